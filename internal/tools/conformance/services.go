package main

import (
	"fmt"
	"time"

	"edged/dimse"
	"edged/dimse/commitment"
)

// The statuses of the services beside storage. The words of each are dimse's own.

var tooLong = fmt.Sprintf("of more than %d bytes, or for which there is no memory now", dimse.MaxSmallDataSet)

// actionTable says what is answered to an N-ACTION-RQ (PS3.4 §J.3.2).
func actionTable() string {
	c := commitment.Config{}.WithDefaults()
	full := fmt.Sprintf("too much is waiting already (%d requests or %d instances of the AE title, %d requests of all); "+
		"an action information %s; so many instances that a report on them would be too long; no room on the disk, or starting: ask again later",
		c.MaxTransactions, c.MaxReferences, c.MaxPending, tooLong)
	return statusRows([]statusRow{
		{dimse.StatusSuccess, "the request is on stable storage and will be answered; also when the same one is waiting already"},
		{dimse.StatusDuplicateTransaction, "the Transaction UID is that of a request that is waiting and names other instances"},
		{dimse.StatusResourceLimitation, full},
		{dimse.StatusInvalidArgument, "the action information cannot be read, or has no Transaction UID, no Referenced SOP Sequence, or a reference without SOP Instance UID"},
		{dimse.StatusMistypedArgument, "there is no action information"},
		{dimse.StatusProcessingFailure, "the request could not be written"},
		{dimse.StatusNoSuchInstance, "the SOP instance is not " + dimse.StorageCommitmentPushInstance},
		{dimse.StatusNoSuchAction, "the action type is not 1"},
		{dimse.StatusNoSuchClass, "the presentation context or the command is of another SOP class"},
	})
}

// reasonTable lists the failure reasons that a report carries (PS3.3 §C.14.1.1).
func reasonTable() string {
	c := commitment.Config{}.WithDefaults()
	t := newTable("failure reason", "when")
	t.row(code(dimse.Status(dimse.FailureNoSuchInstance)), "the instance is not here and did not come within the grace time ("+span(c.Grace)+" after the request), or a person discarded it")
	t.row(code(dimse.Status(dimse.FailureClassConflict)), "it is here under another SOP class")
	t.row(code(dimse.Status(dimse.FailureProcessing)), "it was set aside, is damaged or lost (with `archived` not while the hub has a good copy); "+
		"other contents carry the same UID; the archive has not confirmed it within "+span(c.Patience)+"; or (`archived` with `spool.keep: hub`) it was let go before the archive spoke")
	return t.String()
}

func commitmentTimes() string {
	c := commitment.Config{}.WithDefaults()
	t := newTable("time", "value")
	t.row("an instance that is not here may still come", span(c.Grace))
	t.row("from the request to a report on the same association, at least", span(c.Linger))
	t.row("instances are waited for, then fail with 0110", span(c.Patience))
	t.row("pause after a report that failed, doubled each time, give or take a fifth", span(c.FirstPause)+" to "+span(c.LongestPause))
	t.row("a report is given up, after the request", span(c.Patience+c.GiveUp))
	return t.String()
}

// span words a time as people do.
func span(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		if d >= u.unit && d%u.unit == 0 {
			if n := int64(d / u.unit); u.name == "h" && n > 24 && n%24 == 0 {
				return fmt.Sprintf("%d days", n/24)
			} else {
				return fmt.Sprintf("%d %s", n, u.name)
			}
		}
	}
	return d.String()
}

// stepTable says what is answered to an N-CREATE-RQ and an N-SET-RQ (PS3.4 §F.7.2).
func stepTable() string {
	t := newTable("status", "meaning", "N-CREATE", "N-SET")
	const finished = "COMPLETED, and the Performed Series Sequence is "
	for _, row := range []struct {
		status      dimse.Status
		create, set string
	}{
		{dimse.StatusSuccess, "the step is on stable storage", "the step as it is now is on stable storage"},
		{dimse.StatusInvalidValue, "Performed Procedure Step Status is not IN PROGRESS", "Performed Procedure Step Status is none of IN PROGRESS, COMPLETED, DISCONTINUED"},
		{dimse.StatusProcessingFailure, "the attribute list cannot be read, has too many elements, or could not be written", "the same, or what is kept of the step cannot be read; with Error ID A710: the step has ended and is no longer updated"},
		{dimse.StatusDuplicateInstance, "there is a step of this UID", "-"},
		{dimse.StatusNoSuchInstance, "-", "there is no step of this UID"},
		{dimse.StatusInvalidInstance, "-", "no SOP Instance UID"},
		{dimse.StatusNoSuchClass, "the presentation context or the command is of another SOP class", "the same"},
		{dimse.StatusMissingAttribute, "Performed Procedure Step Status is missing, or there is no attribute list", finished + "missing; or there is no modification list"},
		{dimse.StatusMissingValue, "Performed Procedure Step Status is empty", "the same; or " + finished + "empty"},
		{dimse.StatusResourceLimitation, "an attribute list " + tooLong + "; no room for the step, or starting", "the same"},
	} {
		t.row(code(row.status), row.status.String()[5:], row.create, row.set)
	}
	return t.String()
}

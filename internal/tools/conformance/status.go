package main

import (
	"fmt"

	"edged/dimse"
)

// statusTable says what the appliance answers to a C-STORE-RQ, and when. The words
// of the status are dimse's own.
func statusTable() string {
	return statusRows([]statusRow{
		{dimse.StatusSuccess, "the instance and its directory entry are on stable storage"},
		{dimse.StatusOutOfResources, "the disk is full (for `priority: backfill` nearly full) or has failed, or the spool is being recovered: nothing of the instance is kept, send it again later"},
		{dimse.StatusProcessingFailure, "anything else that is not the instance's fault; send it again"},
		{dimse.StatusInvalidInstance, "no SOP Instance UID, or one of more than 64 bytes"},
		{dimse.StatusNotAuthorized, "the device may get instances and not store them: its `services` have no `store`"},
		{dimse.StatusSOPClassNotSupported, "the presentation context or the command names a class that is not stored"},
		{dimse.StatusCannotUnderstand, "the request carries no data set"},
		{dimse.StatusUnrecognizedOperation, "an operation that this AE does not know"},
	})
}

type statusRow struct {
	status dimse.Status
	when   string
}

func statusRows(rows []statusRow) string {
	t := newTable("status", "meaning", "when")
	for _, row := range rows {
		t.row(code(row.status), row.status.String()[5:], row.when)
	}
	return t.String()
}

func code(s dimse.Status) string { return fmt.Sprintf("%04X", uint16(s)) }

// rejectTable is every A-ASSOCIATE-RJ that is sent.
func rejectTable() string {
	t := newTable("result", "source", "reason", "meaning", "when")
	for _, row := range []struct {
		r    dimse.Reject
		when string
	}{
		{dimse.RejectApplicationName, "the application context is not DICOM's"},
		{dimse.RejectNoReason, "the device has to come by TLS, or to show a certificate there, and does not"},
		{dimse.RejectCalling, "the calling AE title is not a listed device, or comes from another address than its own"},
		{dimse.RejectCalled, "the called AE title is not ours"},
		{dimse.RejectProtocolVersion, "bit 0 of the protocol version is not set"},
		{dimse.RejectCongestion, "the disk is full, for devices with `priority: backfill` nearly full, or has failed (not for devices that only query), or the spool is being recovered"},
		{dimse.RejectLocalLimit, "too many associations: in all, from the address, or of the calling AE title"},
	} {
		t.row(fmt.Sprint(row.r.Result), fmt.Sprint(row.r.Source), fmt.Sprint(row.r.Reason), words(row.r), row.when)
	}
	return t.String()
}

func words(r dimse.Reject) string {
	full := r.Error()
	for i := len(full) - 1; i > 0; i-- {
		if full[i] == ':' {
			return full[i+2:]
		}
	}
	return full
}

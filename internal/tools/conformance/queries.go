package main

import (
	"fmt"
	"slices"

	"edged/dimse"
	"edged/dimse/dataset"
	"edged/dimse/query"
)

// What is answered to a query or a retrieve (PS3.4 Tables C.4-1 to C.4-3).

const (
	starting  = "the list of studies is still being made"
	unfit     = "the identifier is missing, cannot be read or does not fit the model: its level, or the unique key of a level that must have one value"
	otherwise = "anything else: reading the spool has failed"
	strange   = "the command names another SOP class than the presentation context, or one of another operation"
)

func findTable() string {
	return statusRows([]statusRow{
		{dimse.StatusPending, "a match, with every key that was asked for"},
		{dimse.StatusPendingWarning, "a match, without a key that was asked for: it is not supported"},
		{dimse.StatusSuccess, "all matches have been told; also when there is none"},
		{dimse.StatusCancel, "C-CANCEL"},
		{dimse.StatusOutOfResources, starting + "; or an identifier " + tooLong},
		{dimse.StatusDataSetDoesNotMatch, unfit},
		{dimse.StatusCannotUnderstand, otherwise + ", or a match cannot be sent"},
		{dimse.StatusSOPClassNotSupported, strange},
	})
}

func moveTable() string {
	rows := retrieveRows("at once, and each second; with the counts")
	return statusRows(slices.Insert(rows, 4, statusRow{dimse.StatusUnknownDestination,
		"no device, or more than one, has that AE title with one address and a port; or this one cannot be called by TLS; or who asks may not move"}))
}

// getTable has what is answered while a C-GET is under way to other requests, too:
// there is one operation at a time (PS3.7 §D.3.3.3).
func getTable() string {
	rows := append(retrieveRows("each second; with the counts"),
		statusRow{dimse.StatusDuplicateInvocation, "to a request with the message ID of the C-GET that is under way"})
	for i := range rows {
		if rows[i].status == dimse.StatusOutOfResources {
			rows[i].when += "; also to another C- request while a C-GET is under way"
		}
	}
	return statusRows(append(rows, statusRow{dimse.StatusResourceLimitation, "to an N- request while a C-GET is under way"}))
}

func retrieveRows(pending string) []statusRow {
	return []statusRow{
		{dimse.StatusPending, pending},
		{dimse.StatusSuccess, "every sub-operation has been answered with success; also when nothing matched"},
		{dimse.StatusCoercion, "some have failed, or were answered with a warning; those that failed are listed"},
		{dimse.StatusCancel, "C-CANCEL"},
		{dimse.StatusOutOfResources, starting},
		{dimse.StatusCannotCount, "too many instances, or some of them are here and not offered; or an identifier " + tooLong},
		{dimse.StatusCannotMove, "every sub-operation has failed, or we are shutting down"},
		{dimse.StatusDataSetDoesNotMatch, unfit},
		{dimse.StatusCannotUnderstand, otherwise},
		{dimse.StatusSOPClassNotSupported, strange},
	}
}

// keyTable lists the keys by the level that they belong to, and how query matches
// them, which it is asked.
func keyTable() string {
	t := newTable("level", "attribute", "tag", "VR", "matching")
	for _, l := range []query.Level{query.Patient, query.Study, query.Series, query.Image} {
		for _, tag := range query.Attributes(l) {
			name := names[tag]
			if name == "" {
				panic(fmt.Sprintf("conformance: key %v has no name here", tag))
			}
			if tag == l.Unique() {
				name += " (unique key)"
			}
			t.row(l.String(), name, tag.String(), dataset.VR(tag), matching(tag, l))
		}
	}
	return t.String()
}

// matching finds out how a key is matched, by trying.
func matching(tag dataset.Tag, l query.Level) string {
	try := func(wanted, have string) bool { return tried(tag, l, wanted, have) }
	switch {
	case dataset.VR(tag) == "SQ":
		return "sequence"
	case dataset.VR(tag) == "US": // no text
		return numeric(tag, l)
	case try("a*", "ABC"):
		return "wild card, any case"
	case try("A*", "ABC"):
		return "wild card"
	case try("20260101-20260131", "20260115"), try("10-11", "1030"):
		return "range"
	case try("01", "1"):
		return "number"
	case dataset.VR(tag) == "UI" && try(`1.2\1.3`, "1.3"):
		return "list"
	}
	return "single value"
}

func tried(tag dataset.Tag, l query.Level, wanted, have string) bool {
	var key, value dataset.Set
	key.Set(tag, dataset.VR(tag), wanted)
	value.Set(tag, dataset.VR(tag), have)
	return matches(key, value, l)
}

// numeric is for numbers that are no text.
func numeric(tag dataset.Tag, l query.Level) string {
	var one, two dataset.Set
	one.SetUint16(tag, 1)
	two.SetUint16(tag, 2)
	if matches(one, one, l) && !matches(one, two, l) {
		return "number"
	}
	return "single value"
}

// matches asks as the SCU of a Patient Root would, which has all levels.
func matches(key, value dataset.Set, l query.Level) bool {
	for above := query.Patient; above < l; above++ {
		key.Set(above.Unique(), dataset.VR(above.Unique()), "1")
		value.Set(above.Unique(), dataset.VR(above.Unique()), "1")
	}
	key.Set(query.QueryRetrieveLevel, "CS", l.String())
	f, err := query.ParseFind(query.PatientRoot, key)
	return err == nil && f.Matches(value)
}

package page

import (
	"time"

	"edged/agent/status"
)

// receiptView is a sheet of paper that says what of a study is here and in the
// archive, and by which digests that can be checked.
type receiptView struct {
	Facts    []factView
	Sums     []factView
	Meaning  string // what archived means, or that it is not yet
	Whole    bool   // all of it is archived
	Digest   string
	Rows     []receiptRow
	More     string
	Facility string
	AETitle  string
	Made     string
}

type receiptRow struct {
	N                        string
	UID, ID                  string
	Bytes                    string
	Received, AtHub, Archive string
}

func receiptOf(d StudyDetail, s sighted) receiptView {
	w, c, h := s.W, d.Card, d.Card.Hops
	row := studyRowOf(c, deviceNames(s.Devices), s)
	v := receiptView{Facts: studyFacts(d, row, s), Digest: d.Receipt.Digest, Whole: h.Total() > 0 && h.Archived == h.Total(),
		Facility: joined(" · ", status.Shown(s.Status.Facility.Name), status.Shown(s.Status.Facility.Code)), AETitle: status.Shown(s.Status.AETitle), Made: s.stamp(s.Now)}
	add := func(id, value string) {
		if value != "" {
			v.Sums = append(v.Sums, factView{w.Say(id), value})
		}
	}
	add("receipt.received", w.number(h.Total()))
	add("receipt.athub", w.number(h.Reached(status.AtHub)))
	add("receipt.archived", w.number(h.Archived))
	if h.Held+h.Quarantined > 0 {
		add("receipt.stopped", w.number(h.Held+h.Quarantined))
	}
	add("receipt.first", s.stamp(c.FirstReceived))
	add("receipt.last", s.stamp(c.LastReceived))
	add("receipt.hubat", s.stamp(d.LastHub))
	if v.Whole {
		add("receipt.archivedat", s.stamp(d.LastArch))
	}
	v.Meaning = w.Say("receipt.notyet")
	if v.Whole {
		v.Meaning = w.Say("receipt.meaning")
	}
	for i, x := range d.Receipt.Instances {
		v.Rows = append(v.Rows, receiptRow{N: w.number(int64(i + 1)), UID: status.Shown(x.UID), ID: x.ID, Bytes: w.number(x.Bytes),
			Received: s.stamp(x.Received), AtHub: s.stamp(x.AtHub), Archive: s.stamp(x.Archive)})
	}
	if d.Receipt.More > 0 {
		v.More = w.Count("receipt.more", d.Receipt.More)
	}
	return v
}

// stamp is a time that is read years later: with its date and its second.
func (s sighted) stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	t = t.In(s.Now.Location())
	return s.W.date(t) + " " + t.Format("15:04:05")
}

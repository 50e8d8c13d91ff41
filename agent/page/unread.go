package page

// A spool that is not open cannot be asked (status.Status.SpoolUnknown): what it would say is
// not nothing, and not none.

// unread takes back what is zero only because nobody knows.
func (v *view) unread(w *words) {
	v.Hero.Received, v.Hero.Archived = w.Say("unread"), w.Say("unread")
	v.NoStudies = w.Say("unread.studies")
	for i := range v.Counters {
		v.Counters[i].Number, v.Counters[i].Kind = "–", "none"
	}
}

func (v *lineView) unread(w *words) {
	v.Backlog, v.Free, v.KeptIn = w.Say("unread"), w.Say("unread"), w.Say("unread")
	v.Kept, v.Full, v.Size, v.Left = "", "", "", ""
}

// diskUnread are the rows of Sistema about a disk that nobody can ask.
func diskUnread(w *words) (rows []systemRow) {
	for _, id := range []string{"daysleft", "free", "damage", "scrub"} {
		rows = append(rows, systemRow{Label: w.Say("system." + id), Says: w.Say("unread")})
	}
	return rows
}

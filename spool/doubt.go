package spool

// standing is what the segment that recovery begins says of itself. What stood
// in doubt before stays so until the last step has succeeded: this segment is
// durable earlier than the files that it speaks of. If it put the mark behind
// them, a cut between here and that step, or its failure, would leave a torn
// file below the mark, which nobody reads again, and which answers for the
// object when the modality repeats it (D-S5, P1). The next flush moves the mark.
//
// Objects from the mark on are counted by the recovery that sees their files, so
// the counter stays as it was, too. Guarded by mu.
func (r *recovery) standing() standing {
	st := r.s.standingWith(nil)
	st.mark = min(st.mark, r.book.standing.mark)
	st.counters[CountReceived] = r.book.standing.counters[CountReceived]
	r.s.dirty = true
	return st
}

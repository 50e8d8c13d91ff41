package ledger

import "testing"

// P5: an archive's word about a UID is no word about one of two contents. Both
// jobs say so, and other contents that come while a job is out are seen when it
// ends.
func TestJobsSayThatOtherContentsHaveTheirUID(t *testing.T) {
	w := start(t, Config{Deliver: true})
	a, b := object("A", 1, "x"), object("A", 1, "y")
	w.receive(a)
	job := w.one("vna")
	w.want("conflict of the only one", job.Conflict, false)
	w.receive(b)
	job.Duplicate = true
	w.must(w.Done(w.ctx, job, "0111"))
	w.want("archived by a duplicate that may be the other", w.stats().Archived, int64(0))
	jobs := w.lease("vna", 9)
	w.want("jobs", len(jobs), 2)
	for _, j := range jobs {
		w.want("conflict", j.Conflict, true)
		w.must(w.Done(w.ctx, j, ""))
	}
	w.want("archived by what the archive took", w.stats().Archived, int64(2))
}

func TestADuplicateWithoutOtherContentsIsDone(t *testing.T) {
	w := start(t, Config{})
	w.receive(object("A", 1, "x"))
	job := w.one("vna")
	job.Duplicate = true
	w.must(w.Done(w.ctx, job, "0111"))
	w.want("archived", w.stats().Archived, int64(1))
}

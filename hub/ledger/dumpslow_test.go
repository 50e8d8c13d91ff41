package ledger

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"edged/hub"
)

// slowReader stops once, in the middle, longer than a session may be idle.
type slowReader struct {
	*bytes.Reader
	once sync.Once
}

func (r *slowReader) Read(p []byte) (int, error) {
	if r.Len() < int(r.Size())/2 {
		r.once.Do(func() { time.Sleep(700 * time.Millisecond) })
	}
	return r.Reader.Read(p[:min(len(p), 1000)])
}

var _ io.ReadSeeker = (*slowReader)(nil)

// A restore takes as long as it takes: no server's time for idle sessions ends it.
func TestARestoreSurvivesASlowDump(t *testing.T) {
	w := lived(t, Config{})
	c := place(t, Config{Destinations: w.config.Destinations})
	if overPostgres() {
		c.Database += "&idle_in_transaction_session_timeout=200"
	}
	n := start(t, c)
	_, err := n.Restore(n.ctx, &slowReader{Reader: bytes.NewReader(w.dump())}, allHere, "cli:test")
	n.must(err)
	n.want("transactions", n.Commits().Count >= 2, true)
	known, err := n.Known(n.ctx, "a", []hub.ID{object("a", 2, "y").ID})
	n.must(err)
	n.want("receipts", len(known), 1)
}

// Cut off between the rows and the search for the objects it promises nothing that may
// not be here, and what comes again is as before.
func TestARestoreThatIsCutOffPromisesNothing(t *testing.T) {
	w := start(t, Config{})
	o, p := object("a", 1, "x"), object("a", 2, "y")
	w.receive(o, p)
	n := start(t, Config{})
	cut := errors.New("the bucket does not answer")
	if _, err := n.Restore(n.ctx, bytes.NewReader(w.dump()), func(hub.ID) (bool, error) { return true, cut }, "cli:test"); !errors.Is(err, cut) {
		t.Fatalf("got %v", err)
	}
	known, err := n.Known(n.ctx, "a", ids(o, p))
	n.must(err)
	n.want("promised", len(known), 0)
	n.receive(o)
	known, err = n.Known(n.ctx, "a", ids(o, p))
	n.must(err)
	n.want("promised when it came again", len(known), 1)
	n.want("jobs", len(n.lease("vna", 9)), 2)
}

// What was lost when it was dumped is lost, though a file of it is there: that may be
// the damaged one.
func TestWhatWasLostIsLostAfterARestore(t *testing.T) {
	w := start(t, Config{})
	o := object("a", 1, "x")
	w.receive(o)
	w.must(w.Ledger.Lost(w.ctx, w.one("vna"), "digest"))
	n := start(t, Config{})
	n.restore(w.dump(), allHere)
	n.want("lost", n.stats().Lost, 1)
}

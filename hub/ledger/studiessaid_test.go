package ledger

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// A UID costs nothing to invent: who speaks of studies without end, and sends nothing of
// them, fills no table, and keeps nobody else from speaking. What it sends itself it may
// speak of.
func TestADeviceSpeaksOfSoManyStudiesThatItHasNotSent(t *testing.T) {
	w := start(t, Config{})
	w.mostEarly = 5
	say := func(device string, n int) error {
		return w.SayStudy(w.ctx, device, fmt.Sprintf("2.25.%d", n), 1, true, 3, "")
	}
	for n := range 5 {
		w.must(say("rogue", n))
	}
	w.want("one more", errors.Is(say("rogue", 5), ErrStudies), true)
	w.want("rows", w.count(`SELECT count(*) FROM studies_said`), 5)
	w.want("rows of studies", w.count(`SELECT count(*) FROM studies`), 5)
	w.must(w.SayStudy(w.ctx, "rogue", "2.25.1", 2, false, 4, "")) // is none more
	w.must(say("another", 5))
	w.receive(object("rogue", 1, "a")) // of study 1.2.3
	w.must(w.SayStudy(w.ctx, "rogue", "1.2.3", 1, true, 1, ""))
	w.want("what was sent counts not", w.count(`SELECT count(*) FROM studies_said WHERE device = 'rogue' AND received = 0`), 5)

	o := object("rogue", 2, "b")
	o.Study = "2.25.2"
	w.receive(o)
	w.after(time.Hour)
	w.makeAll(toldRules)
	w.must(say("rogue", 7)) // there is room for one again
	w.want("again one more", errors.Is(say("rogue", 8), ErrStudies), true)

	w.after(saidKept + time.Hour)
	w.makeAll(toldRules)
	n, err := w.PruneStudies(w.ctx, 100)
	w.must(err)
	w.want("forgotten", n, 6)
	w.want("rows after it", w.count(`SELECT count(*) FROM studies_said`), 2)
	w.want("rows of studies after it", w.count(`SELECT count(*) FROM studies`), 2)
}

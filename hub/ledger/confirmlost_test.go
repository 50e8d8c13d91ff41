package ledger

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// After a restore the archive may have what the hub has not, and no appliance has it any
// more: somebody looks, says so, and then it is archived, for appliances and in events.
func TestWhatIsLostAndSeenInTheArchiveIsConfirmed(t *testing.T) {
	w := start(t, Config{Destinations: []Destination{{Name: "vna", Required: true}, {Name: "copy", Required: true}}})
	o := object("one", 1, "x")
	w.receive(o)
	w.say("one", "1.2.3", 1, 1)
	w.must(w.Ledger.Lost(w.ctx, w.one("vna"), "no such file"))
	w.must(w.Ledger.Lost(w.ctx, w.one("copy"), "no such file"))
	w.after(25 * time.Hour) // it is not waited for any more
	w.want("told, as not archived", w.told(toldRules), []string{"1.2.3/1:1"})

	confirm := func(destination, words string) error { return w.ConfirmLost(w.ctx, o.ID, destination, "admin", words) }
	w.want("of which of the two", errors.Is(confirm("", "seen"), ErrSeveralLost), true)
	w.want("nobody has seen it", confirm("vna", " \n") != nil, true)
	w.must(confirm("vna", "seen by A. B. in the viewer of the archive"))
	w.want("archived without the other", w.stats().Archived, 0)
	w.want("twice", confirm("vna", "seen") != nil, true)
	w.must(confirm("", "seen there too"))
	w.want("archived", w.stats().Archived, 1)
	w.want("lost", w.stats().Lost, 0)
	w.want("confirmed", w.confirmed("one"), ids(o))
	troubles, err := w.Troubles(w.ctx, "one", 0, 9)
	w.must(err)
	w.want("asked for", len(troubles), 0)
	known, err := w.Known(w.ctx, "one", ids(o))
	w.must(err)
	w.want("known", len(known), 1)
	trail := w.trail(o.ID.String())
	w.want("trail", len(trail) == 2 && strings.Contains(trail[0], "confirm lost: vna: seen by A. B."), true)
	w.after(time.Hour)
	w.want("told, as archived", w.told(toldRules), []string{"1.2.3/2:1"})
	w.want("of these archived", w.count(`SELECT archived FROM studies`), 1)
}

// What an archive refuses was seen by nobody there.
func TestARefusalIsNoLoss(t *testing.T) {
	w := start(t, Config{})
	o := object("one", 1, "x")
	w.receive(o)
	w.must(w.Refuse(w.ctx, w.one("vna"), "A900"))
	if err := w.ConfirmLost(w.ctx, o.ID, "", "admin", "seen"); err == nil {
		t.Error("confirmed")
	}
}

package commitment

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"edged/dimse"
)

// Room, and what there is no way to answer: a device that has no address and has
// left hears of its requests when it comes again, or never. Most never ask again
// for the same, so these requests pile up, and must not be in the way of others.

var errGaveWay = errors.New("there was no way to tell it, and newer requests needed the room")

// makeRoom says why there is no room for a transaction, "" when there is some. The
// oldest transactions without a way to their device give way. Called with putting.
func (e *Engine) makeRoom(ctx context.Context, t *Transaction) (why string) {
	victims, why := e.victims(t)
	for _, en := range victims {
		if err := e.forget(ctx, en); err != nil {
			e.cfg.Log.Error("commitment request not forgotten", "calling", en.calling, "err", err)
			return "no room"
		}
		e.tellGivenUp(en, errGaveWay)
	}
	return why
}

func (e *Engine) victims(t *Transaction) ([]*entry, string) {
	e.mu.Lock()
	_, why := e.book.victims(t, &e.cfg, nil)
	var titles []string
	for title := range e.book.devices {
		titles = append(titles, title)
	}
	e.mu.Unlock()
	if why == "" {
		return nil, ""
	}
	unreachable := map[string]bool{}
	for _, title := range titles {
		unreachable[title] = !e.reachable(title) // asks the program, so not under mu
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.book.victims(t, &e.cfg, unreachable)
}

// victims picks what has to go to make room for t, of what has no way; or says
// why that would not do.
func (b *book) victims(t *Transaction, cfg *Config, unreachable map[string]bool) (out []*entry, why string) {
	var d load
	if of := b.devices[t.Calling]; of != nil {
		d = *of
	}
	all, refs := len(b.entries), len(t.References)
	own := ""
	fits := func() bool { own, why = d.full(refs, cfg), fullOfAll(all, cfg); return own == "" && why == "" }
	if fits() {
		return nil, ""
	}
	for _, en := range b.wayless(t.Calling, unreachable) {
		if en.calling == t.Calling {
			d.transactions, d.references = d.transactions-1, d.references-en.refs
		} else if own != "" {
			break // what others leave is not for it
		}
		all--
		if out = append(out, en); fits() {
			return out, ""
		}
	}
	return nil, cmp.Or(own, why)
}

func (d load) full(references int, cfg *Config) string {
	switch {
	case d.transactions >= cfg.MaxTransactions:
		return "too many pending commitment requests"
	case d.references+references > cfg.MaxReferences:
		return "too many instances in pending commitment requests"
	}
	return ""
}

func fullOfAll(transactions int, cfg *Config) string {
	if transactions >= cfg.MaxPending {
		return "too many commitment requests of all devices"
	}
	return ""
}

// wayless lists what there is no way to answer, that of one device first, then
// the oldest first. An association that was lent is a chance and no way.
func (b *book) wayless(first string, unreachable map[string]bool) (out []*entry) {
	for _, en := range b.entries {
		if unreachable[en.calling] && (en.lent || !en.hasSame()) {
			out = append(out, en)
		}
	}
	now := time.Now()
	rank := func(en *entry) int {
		if en.calling == first {
			return 0
		}
		return 1
	}
	slices.SortFunc(out, func(x, y *entry) int {
		return cmp.Or(cmp.Compare(rank(x), rank(y)), cmp.Compare(y.age(now), x.age(now)), cmp.Compare(x.key, y.key))
	})
	return out
}

// hasSame says that an association of the device itself is open.
func (en *entry) hasSame() bool { return en.same != nil && !en.same.Over() }

// Opened says that a device has opened an association: what there was no way to
// tell it is told there, if it takes reports on it. It is quick; for an Observer.
func (e *Engine) Opened(a *dimse.Association) {
	peer := a.Peer()
	at := line{peer.Calling, peer.Called}
	if !takesReports(a) || !e.pending(at) || e.reachable(peer.Calling) || e.cfg.Same(peer.Calling) == SameNever {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if l := e.book.lanes[at]; l != nil {
		l.opened(a, time.Now().Add(e.cfg.Linger))
	}
	e.poke()
}

func takesReports(a *dimse.Association) bool {
	return slices.ContainsFunc(a.Contexts(), func(c dimse.Context) bool { return c.AbstractSyntax == dimse.StorageCommitmentPush })
}

func (e *Engine) pending(at line) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.book != nil && e.book.lanes[at] != nil && len(e.book.lanes[at].entries) > 0
}

// opened gives every entry without a way this one. Only what had no way before is
// hurried: what the device could not stand has its pauses, and so has a device
// that has hung up on a report, since its images come over that association.
func (l *lane) opened(a *dimse.Association, soon time.Time) {
	for _, en := range l.entries {
		if en.hasSame() {
			continue
		}
		en.same, en.lent = a, true
		if !l.shy && errors.Is(en.last, errNoWay) && soon.Before(en.next) {
			en.next = soon
		}
	}
}

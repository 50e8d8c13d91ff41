package commitment

import (
	"cmp"
	"slices"
	"time"

	"edged/dimse"
)

// book is what is pending, in memory: by key, and by device. It is pure, but for
// being changed in place; Engine.mu guards it.
type book struct {
	entries map[string]*entry
	lanes   map[line]*lane
	devices map[string]*load // by calling title
	serving map[string]bool  // calling titles that have a slot
}

// line is a device and the title that it called: results go back along it.
type line struct{ calling, called string }

// load is what a device has pending.
type load struct{ transactions, references int }

// lane is what goes along a line. Some goroutine serves it, or none.
type lane struct {
	line
	entries map[string]*entry
	busy    bool
	slot    bool      // one of those that are counted, one for a calling title
	calls   []*job    // judged, and waiting for a slot
	asks    int       // requests of the device
	after   time.Time // no call before; the device could not be reached
	tries   int       // calls in vain
	shy     bool      // it did not take a report on its own association
}

// entry is a transaction. key, packed, since, spent, refs and line do not change;
// saved belongs to who serves the lane.
type entry struct {
	line
	key    string
	packed []byte // Transaction.Append
	refs   int
	since  time.Time     // when this process learnt of it
	spent  time.Duration // before that
	saved  time.Duration // of its age, in the Store

	next   time.Time
	looked time.Time
	looks  int   // without a decision
	tries  int   // reports that failed, it being to blame
	last   error // why the last report was in vain
	asked  int   // repetitions
	same   *dimse.Association
	lent   bool // same is not where it asked, but the next that the device opened
}

func newBook() *book {
	return &book{entries: map[string]*entry{}, lanes: map[line]*lane{}, devices: map[string]*load{}, serving: map[string]bool{}}
}

// age is for how long a transaction has been here. It counts the monotonic clock
// of each run, so no wall clock that jumps makes it old.
func (en *entry) age(now time.Time) time.Duration { return en.spent + now.Sub(en.since) }

func (b *book) add(t *Transaction, now, next time.Time, a *dimse.Association) {
	en := &entry{
		line: line{t.Calling, t.Called}, key: t.Key(), packed: t.Append(nil), refs: len(t.References),
		since: now, spent: t.Spent, saved: t.Spent, next: next, same: a,
	}
	if b.entries[en.key] != nil {
		return // a Store with two of a key
	}
	l := b.lanes[en.line]
	if l == nil {
		l = &lane{line: en.line, entries: map[string]*entry{}}
		b.lanes[en.line] = l
	}
	d := b.devices[en.calling]
	if d == nil {
		d = &load{}
		b.devices[en.calling] = d
	}
	b.entries[en.key], l.entries[en.key] = en, en
	d.transactions++
	d.references += en.refs
	if a != nil {
		l.asks++
		l.after = time.Time{} // who asks is alive
	}
}

// again notes a repetition: the result is to be told once more, there.
func (b *book) again(en *entry, next time.Time, a *dimse.Association) {
	en.asked++
	en.same, en.lent = a, false
	en.tries, en.looks, en.last = 0, 0, nil
	if en.next.After(next) || en.next.IsZero() {
		en.next = next
	}
	l := b.lanes[en.line]
	l.asks++
	l.after = time.Time{}
}

// gone says that an entry is not pending any more.
func (b *book) gone(en *entry) bool { return b.entries[en.key] != en }

func (b *book) remove(en *entry) {
	l, d := b.lanes[en.line], b.devices[en.calling]
	delete(b.entries, en.key)
	delete(l.entries, en.key)
	if d.transactions, d.references = d.transactions-1, d.references-en.refs; d.transactions == 0 {
		delete(b.devices, en.calling)
	}
	b.tidy(l)
}

// rememberedLanes bounds what is remembered of devices with nothing pending.
const rememberedLanes = 1000

// tidy forgets a lane that is empty, unless it has taught us something.
func (b *book) tidy(l *lane) {
	if len(l.entries) == 0 && !l.busy && (!l.shy || len(b.lanes) > rememberedLanes) {
		delete(b.lanes, l.line)
	}
}

// rest ends the serving of a lane.
func (b *book) rest(l *lane) {
	b.leave(l)
	l.busy = false
	b.tidy(l)
}

// leave gives the slot of a lane back.
func (b *book) leave(l *lane) {
	if l.slot {
		l.slot = false
		delete(b.serving, l.calling)
	}
}

// due marks lanes as busy that have something to do, as many as may run, and says
// for how long there will be nothing else.
func (b *book) due(now time.Time, most int) (lanes []*lane, wait time.Duration) {
	wait = time.Hour
	for _, l := range b.lanes {
		next := l.next()
		switch {
		case l.busy || next.IsZero() || b.serving[l.calling] || len(b.serving) == most: // the end of another wakes us
		case next.After(now):
			wait = min(wait, next.Sub(now))
		default:
			l.busy, l.slot = true, true
			b.serving[l.calling] = true
			lanes = append(lanes, l)
		}
	}
	return lanes, wait
}

func (l *lane) next() (next time.Time) {
	if len(l.calls) > 0 {
		return time.Unix(1, 0) // at once
	}
	for _, en := range l.entries {
		if next.IsZero() || en.next.Before(next) {
			next = en.next
		}
	}
	return next
}

// batchReferences bounds what is judged and held at a time.
const batchReferences = 20_000

// batch picks what is due, the one that failed least first: so whatever the
// device cannot stand comes last; then the one that waited longest.
func (l *lane) batch(now time.Time) (batch []*entry) {
	for _, en := range l.entries {
		if !en.next.After(now) {
			batch = append(batch, en)
		}
	}
	slices.SortFunc(batch, func(x, y *entry) int {
		return cmp.Or(cmp.Compare(x.tries, y.tries), x.next.Compare(y.next), cmp.Compare(x.key, y.key))
	})
	refs := 0
	for i, en := range batch {
		if refs += en.refs; refs > batchReferences && i > 0 {
			return batch[:i]
		}
	}
	return batch
}

// Pauses between looks at what is not decided.
const firstLook, longestLook = time.Second, time.Minute

func (en *entry) undecided(now time.Time) {
	en.looks++
	en.looked = now
	en.next = now.Add(pause(en.looks, firstLook, longestLook, 0.5))
	if en.same != nil && en.same.Over() {
		en.same = nil // its buffers are not held for nothing
	}
}

// hurry makes what is undecided due, each at most once a second.
func (b *book) hurry(now time.Time) {
	for _, en := range b.entries {
		if soon := en.looked.Add(firstLook); en.looks > 0 && soon.Before(en.next) {
			en.next = soon
		}
	}
}

// Line is what is pending for one device.
type Line struct {
	Calling, Called          string
	Transactions, References int
	Unreached                int // transactions whose result was offered in vain, or has no way to the device
	Oldest                   time.Duration
	Err                      error // why, of one of these
}

func (b *book) lines(now time.Time) (out []Line) {
	for _, l := range b.lanes {
		if len(l.entries) == 0 {
			continue
		}
		x := Line{Calling: l.calling, Called: l.called, Transactions: len(l.entries)}
		for _, en := range l.entries {
			if en.last != nil {
				x.Unreached, x.Err = x.Unreached+1, en.last
			}
			x.References += en.refs
			x.Oldest = max(x.Oldest, en.age(now))
		}
		out = append(out, x)
	}
	slices.SortFunc(out, func(x, y Line) int { return cmp.Or(cmp.Compare(x.Calling, y.Calling), cmp.Compare(x.Called, y.Called)) })
	return out
}

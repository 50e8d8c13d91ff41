package forward

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"edged/dimse"
	"edged/hub/ledger"
)

const (
	// maxRefused is how many objects in a row an archive may refuse for good before
	// it is in doubt: so many are quarantined at most for what is wrong with it.
	maxRefused = 20
	// probeAfter is when, of a kind that an archive in doubt refuses, the next is sent.
	probeAfter = 15 * time.Second
	// maxKinds bounds the memory of kinds.
	maxKinds = 1000
	// calmAfter is after how many batches of which nothing was sent a worker slows down.
	calmAfter = 100
)

// trust says whether an archive is believed when it refuses an object for good. One
// that takes nothing has a wrong access list, licence or table of classes, rather than
// a whole region wrong objects: nothing is given up on its word. Destinations have
// one, for the life of the process; the first object that it takes ends the doubt.
//
// In doubt a kind of objects (class and syntax) of which three were refused is not sent
// but every 15 s one, and the rest put aside for minutes: the archive is not fed what
// it refuses, and other kinds pass (P6).
type trust struct {
	probe time.Duration // if zero, probeAfter

	mu    sync.Mutex // guards what follows
	takes bool       // it has taken something, and has not refused maxRefused since
	once  bool       // it has taken something ever
	row   int        // refused since
	since time.Time  // of the first refusal in doubt; zero if there was none
	why   string     // of the last one; names nobody
	kinds map[dimse.Need]*kind
}

// kind is what an archive in doubt has refused.
type kind struct {
	refused int
	until   time.Time // not sent
}

// weigh returns what an outcome is worth: a refusal for good by an archive in doubt
// makes the object wait. That it has another object under the UID, which o.has says,
// is no refusal to take any.
func (t *trust) weigh(j ledger.Job, o outcome) outcome {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case o.verdict == done && !o.duplicate:
		t.takes, t.once, t.row, t.since, t.kinds = true, true, 0, time.Time{}, nil
	case o.verdict == permanent && !o.has:
		t.row++
		t.takes = t.takes && t.row <= maxRefused
		if !t.takes {
			t.doubt(needOf(j), o.why)
			o.verdict, o.doubted = transient, true
			o.words += "; the object is not given up, because of this archive's word: " + t.reason()
		}
	}
	return o
}

// doubt notes a refusal. mu is held.
func (t *trust) doubt(n dimse.Need, why string) {
	if t.why = why; t.since.IsZero() {
		t.since = time.Now()
	}
	if t.kinds == nil || len(t.kinds) >= maxKinds {
		t.kinds = map[dimse.Need]*kind{}
	}
	k := t.kinds[n]
	if k == nil {
		k = &kind{}
		t.kinds[n] = k
	}
	if k.refused++; k.refused >= maxWorn {
		k.until = time.Now().Add(t.every())
	}
}

func (t *trust) every() time.Duration {
	if t.probe == 0 {
		return probeAfter
	}
	return t.probe
}

// aside reports whether an object is not to be sent now, and what becomes of it.
func (t *trust) aside(j ledger.Job) (outcome, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.kinds[needOf(j)]
	if t.takes || k == nil || k.refused < maxWorn {
		return outcome{}, false
	}
	now := time.Now()
	if now.After(k.until) {
		k.until = now.Add(t.every()) // this one is sent
		return outcome{}, false
	}
	return outcome{verdict: transient, doubted: true, aside: true, why: t.why, words: "not sent now, because of others of its kind: " + t.why + "; " + t.reason()}, true
}

// reason says why it is in doubt. mu is held.
func (t *trust) reason() string {
	if !t.once {
		return "it has refused everything since the hub started"
	}
	return fmt.Sprintf("it has refused the last %d that it was sent", t.row)
}

// believed reports whether its refusals count.
func (t *trust) believed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.takes
}

// status says what a person must look at, and since when; "" if nothing.
func (t *trust) status() (string, time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.takes || t.since.IsZero() {
		return "", time.Time{}
	}
	return fmt.Sprintf("the archive answers, and %s (%s); nothing is given up, all waits: does it still admit the hub (AE title, address, credentials), and is its licence valid?", t.reason(), t.why), t.since
}

// trusting is a destination with a trust.
type trusting interface{ trusted() *trust }

func (d *CStore) trusted() *trust { return &d.trust }
func (d *Stow) trusted() *trust   { return &d.trust }

// doubtful are the refusals of a batch that were not believed. When the archive takes
// something in the same batch, they are after all.
type doubtful struct {
	jobs []ledger.Job
	said [][2]outcome // as the archive said it, and as it is worth
}

func (d *doubtful) add(j ledger.Job, said, worth outcome) {
	d.jobs, d.said = append(d.jobs, j), append(d.said, [2]outcome{said, worth})
}

func (d *doubtful) settle(t *trust, report func(ledger.Job, outcome)) {
	for i, j := range d.jobs {
		if t.believed() {
			report(j, d.said[i][0])
		} else {
			report(j, d.said[i][1])
		}
	}
}

// calm slows a worker down of whose batches nothing was sent for long: the ledger has
// other things to do. It does not where an object comes for the first time, which may
// stand before another kind.
type calm struct{ batches int }

func (c *calm) after(ctx context.Context, jobs []ledger.Job, aside int) {
	if c.batches++; aside < len(jobs) {
		c.batches = 0
	}
	if c.batches > calmAfter && !slices.ContainsFunc(jobs, func(j ledger.Job) bool { return j.Attempts == 0 }) {
		wait(ctx, time.Second, nil)
	}
}

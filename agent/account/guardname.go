package account

import (
	"cmp"
	"hash/maphash"
	"net/netip"
	"time"
)

// pair is a name and the place that it is tried from.
type pair struct {
	name  string
	place netip.Prefix
}

// pairTries locks a name for a place.
type pairTries struct {
	wrong, pending, locks int
	until, last           time.Time
	of                    edition
}

// nameTries: a wrong password from a place that the name has not come from costs nameRefill
// of time; owed is when all is paid. Names with the same hash share it.
type nameTries struct {
	pending int
	owed    time.Time
}

// edition of a record: with another one all begins anew, but where it came from stays.
type edition struct {
	stamp string
	freed uint32
}

func (r record) edition() edition { return edition{r.Stamp, r.Freed} }

// try is one that is looked at: what counts it, the address itself last.
type try struct {
	keys    []pair
	pairs   []*pairTries
	name    *nameTries
	homes   *homes // nil where the name is no account's
	from    netip.Prefix
	strange bool
}

// tryOf makes nothing that is kept but the homes of an account. Who is at home is not kept
// out by others in his network.
func (g guard) tryOf(now time.Time, name string, places []netip.Prefix, known map[string]record) try {
	t := try{from: places[len(places)-1], name: g.count(name), homes: g.homesOf(name, known)}
	t.strange = !t.homes.near(t.from)
	if t.homes.has(t.from) {
		places = places[len(places)-1:]
	}
	for _, place := range places {
		k := pair{name, place}
		t.keys, t.pairs = append(t.keys, k), append(t.pairs, g.pair(now, k, known[name]))
	}
	return t
}

func (g guard) count(name string) *nameTries {
	return &g.names[maphash.String(g.seed, name)%maxCounts]
}

func (g guard) pair(now time.Time, k pair, r record) *pairTries {
	p, of := g.pairs[k], r.edition()
	if p == nil {
		p = &pairTries{of: of, last: now}
	}
	if p.of != of || p.stale(now) {
		p.wrong, p.locks, p.until, p.of = 0, 0, time.Time{}, of
	}
	return p
}

func (p *pairTries) stale(now time.Time) bool {
	return now.Sub(p.last) > forgetting && !now.Before(p.until)
}

func (t try) may(now time.Time) error {
	for _, p := range t.pairs {
		if p.until.After(now) {
			return &WaitError{Until: p.until}
		}
	}
	if again := t.name.again(); t.strange && again.After(now) {
		return &WaitError{Until: again}
	}
	for i, p := range t.pairs {
		if p.wrong+p.pending >= most(t.keys[i]) {
			return ErrBusy
		}
	}
	if t.strange && t.name.full(now) {
		return ErrBusy
	}
	return nil
}

// most is how many wrong ones in a row lock a pair.
func most(k pair) int { return maxWrong * int(times(k.place)) }

func (g guard) book(t try) {
	t.name.pending++
	for i, p := range t.pairs {
		p.pending++
		g.pairs[t.keys[i]] = p
	}
}

// settle keeps what has something to say: of a try that was not looked at, nothing.
func (g guard) settle(now time.Time, t try, v verdict) (locked time.Time) {
	for i, p := range t.pairs {
		locked = later(locked, p.settle(now, v, most(t.keys[i])))
		if p.pending == 0 && p.wrong == 0 && p.locks == 0 {
			delete(g.pairs, t.keys[i])
		}
		g.dropPair(now)
	}
	t.name.pending--
	switch {
	case v == right:
		t.homes.add(t.from)
	case v == wrong && t.strange:
		locked = later(locked, t.name.pay(now))
	}
	return locked
}

func (p *pairTries) settle(now time.Time, v verdict, most int) (locked time.Time) {
	p.pending--
	switch v {
	case right:
		p.wrong, p.locks = 0, 0
	case wrong:
		p.last = now
		if p.wrong++; p.wrong >= most {
			p.until = now.Add(firstLock << min(p.locks, longest))
			p.wrong, p.locks, locked = 0, p.locks+1, p.until
		}
	}
	return locked
}

func (n *nameTries) pay(now time.Time) (locked time.Time) {
	n.owed = later(n.owed, now).Add(nameRefill)
	if again := n.again(); again.After(now) {
		locked = again
	}
	return locked
}

// again is when a strange place may try next.
func (n *nameTries) again() time.Time { return n.owed.Add(-(nameWrong - 1) * nameRefill) }

// full is whether those that are being looked at may use up what strange places have.
func (n *nameTries) full(now time.Time) bool {
	return later(n.owed, now).Add(time.Duration(n.pending)*nameRefill).Sub(now) > (nameWrong-1)*nameRefill
}

// lockedUntil of an account anywhere, the longest; or zero.
func (g guard) lockedUntil(now time.Time, r record) (until time.Time) {
	for k, p := range g.pairs {
		if k.name == r.Name && p.of == r.edition() && now.Before(p.until) {
			until = later(until, p.until)
		}
	}
	if h, again := g.homes[r.Name], g.count(r.Name).again(); h != nil && h.of == r.edition() && now.Before(again) {
		until = later(until, again)
	}
	return until
}

// dropPair makes room by the one that says least. One that is locked goes last: who tries
// a thousand names does not end his own lock.
func (g guard) dropPair(now time.Time) {
	if len(g.pairs) <= maxTracked {
		return
	}
	var least pair
	var found *pairTries
	for k, p := range g.pairs {
		if p.pending == 0 && (found == nil || p.less(now, found)) {
			least, found = k, p
		}
	}
	if found != nil {
		delete(g.pairs, least)
	}
}

func (p *pairTries) less(now time.Time, q *pairTries) bool {
	return cmp.Or(cmp.Compare(p.weight(now), q.weight(now)), p.last.Compare(q.last)) < 0
}

func (p *pairTries) weight(now time.Time) int {
	switch {
	case p.until.After(now):
		return 1 << 20
	case p.stale(now):
		return 0
	}
	return p.locks*maxWrong*wide + p.wrong
}

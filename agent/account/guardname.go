package account

import (
	"net/netip"
	"slices"
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
// of time; owed is when all is paid.
type nameTries struct {
	pending    int
	owed, last time.Time
	homes      []netip.Prefix // that the name has come from with the right password, the latest last
	of         edition
}

// edition of a record: with another one all begins anew.
type edition struct {
	stamp string
	freed uint32
}

func (p *pairTries) settle(now time.Time, v verdict) (locked time.Time) {
	switch v {
	case right:
		p.wrong, p.locks = 0, 0
	case wrong:
		p.last = now
		if p.wrong++; p.wrong >= maxWrong {
			p.until = now.Add(firstLock << min(p.locks, longest))
			p.wrong, p.locks, locked = 0, p.locks+1, p.until
		}
	}
	return locked
}

func (n *nameTries) settle(now time.Time, v verdict, place netip.Prefix, strange bool) (locked time.Time) {
	switch {
	case v == right:
		n.homes = append(slices.DeleteFunc(n.homes, func(h netip.Prefix) bool { return h == place }), place)
		n.homes = n.homes[max(0, len(n.homes)-maxHomes):]
	case v == wrong && strange:
		n.last, n.owed = now, later(n.owed, now).Add(nameRefill)
		if again := n.again(true); again.After(now) {
			locked = again
		}
	}
	return locked
}

// athome is whether the name has come from place, or from this machine itself: what others
// guess elsewhere does not count there.
func (n *nameTries) athome(place netip.Prefix) bool {
	return place.IsValid() && place.Addr().IsLoopback() || slices.Contains(n.homes, place)
}

// again is when a strange place may try next.
func (n *nameTries) again(strange bool) (at time.Time) {
	if strange {
		at = n.owed.Add(-(nameWrong - 1) * nameRefill)
	}
	return at
}

// full is whether those that are being looked at may use up what strange places have.
func (n *nameTries) full(now time.Time) bool {
	return later(n.owed, now).Add(time.Duration(n.pending)*nameRefill).Sub(now) > (nameWrong-1)*nameRefill
}

// name is the entry of name, begun anew where the account is not the one it was.
func (g guard) name(now time.Time, name string, known map[string]record) *nameTries {
	n, of := g.names[name], known[name].edition()
	if n == nil {
		g.dropName(known)
		n = &nameTries{of: of, last: now}
		g.names[name] = n
	}
	if n.of != of {
		n.owed, n.homes, n.of = time.Time{}, nil, of
	}
	return n
}

func (g guard) pair(now time.Time, k pair, r record) *pairTries {
	p, of := g.pairs[k], r.edition()
	if p == nil {
		g.dropPair()
		p = &pairTries{of: of, last: now}
		g.pairs[k] = p
	}
	if p.of != of || now.Sub(p.last) > forgetting && !now.Before(p.until) {
		p.wrong, p.locks, p.until, p.of = 0, 0, time.Time{}, of
	}
	return p
}

func (r record) edition() edition { return edition{r.Stamp, r.Freed} }

// lockedUntil of an account anywhere, the longest; or zero.
func (g guard) lockedUntil(now time.Time, r record) (until time.Time) {
	for k, p := range g.pairs {
		if k.name == r.Name && p.of == r.edition() && now.Before(p.until) {
			until = later(until, p.until)
		}
	}
	if n := g.names[r.Name]; n != nil && n.of == r.edition() && now.Before(n.again(true)) {
		until = later(until, n.again(true))
	}
	return until
}

// dropName makes room by the oldest name that is no account's: the count of a real one
// must not be washed away.
func (g guard) dropName(known map[string]record) {
	if len(g.names) < maxTracked {
		return
	}
	var oldest string
	var found *nameTries
	for name, n := range g.names {
		if _, is := known[name]; is || n.pending > 0 {
			continue
		}
		if found == nil || n.last.Before(found.last) {
			oldest, found = name, n
		}
	}
	if found != nil {
		delete(g.names, oldest)
	}
}

// dropPair makes room by the oldest whose name has not come from there. Who has so many
// places washes away what he owes himself, and the count of the name stays.
func (g guard) dropPair() {
	if len(g.pairs) < maxTracked {
		return
	}
	var oldest pair
	var found *pairTries
	for k, p := range g.pairs {
		if n := g.names[k.name]; p.pending > 0 || n != nil && n.athome(k.place) {
			continue
		}
		if found == nil || p.last.Before(found.last) {
			oldest, found = k, p
		}
	}
	if found != nil {
		delete(g.pairs, oldest)
	}
}

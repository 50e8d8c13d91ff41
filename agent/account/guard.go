package account

import (
	"net/netip"
	"time"
)

const (
	maxWrong   = 10 // in a row, of a name from a place
	firstLock  = 15 * time.Minute
	longest    = 4 // doublings: 4 hours
	forgetting = 24 * time.Hour

	nameWrong  = 50               // of a name from all places that it has not come from, at once
	nameRefill = 10 * time.Minute // and then one each: 144 a day

	addressWrong   = 20               // by address, at once
	addressRefill  = 30 * time.Second // and then one each
	addressPending = 2

	maxTracked = 1024 // names, addresses, and pairs of them
	maxHomes   = 8    // of a name
)

// guard counts wrong passwords, three ways: of a name from a place, so that a stranger locks
// the name for himself alone; of a name from everywhere, so that many strangers together are
// slow; and of a place. Its caller holds the Book's mutex.
type guard struct {
	pairs     map[pair]*pairTries
	names     map[string]*nameTries
	addresses map[netip.Prefix]*addressTries
}

// addressTries: a wrong password costs addressRefill of time; owed is when all is paid.
type addressTries struct {
	pending int
	owed    time.Time
}

type verdict int

const (
	undecided verdict = iota
	wrong
	right
)

func newGuard() guard {
	return guard{make(map[pair]*pairTries), make(map[string]*nameTries), make(map[netip.Prefix]*addressTries)}
}

// admit books a try before it is hashed, so that many at once are no more than ten, and
// gives what books its end. known are those in the file.
func (g guard) admit(now time.Time, name string, address netip.Addr, known map[string]record) (func(time.Time, verdict) (locked time.Time), error) {
	place := origin(address)
	a, n, p := g.address(now, place), g.name(now, name, known), g.pair(now, pair{name, place}, known[name])
	strange := !n.athome(place)
	for _, until := range []time.Time{a.again(), p.until, n.again(strange)} {
		if until.After(now) {
			return nil, &WaitError{Until: until}
		}
	}
	if a.pending >= addressPending || p.wrong+p.pending >= maxWrong || strange && n.full(now) {
		return nil, ErrBusy
	}
	a.pending++
	p.pending++
	n.pending++
	return func(now time.Time, v verdict) time.Time {
		a.pending--
		p.pending--
		n.pending--
		if v == wrong {
			a.pay(now)
		}
		return later(p.settle(now, v), n.settle(now, v, place, strange))
	}, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (a *addressTries) again() time.Time { return a.owed.Add(-(addressWrong - 1) * addressRefill) }

func (a *addressTries) pay(now time.Time) {
	if a.owed.Before(now) {
		a.owed = now
	}
	a.owed = a.owed.Add(addressRefill)
}

func (g guard) address(now time.Time, place netip.Prefix) *addressTries {
	a := g.addresses[place]
	if a == nil {
		g.dropAddress(now)
		a = new(addressTries)
		g.addresses[place] = a
	}
	return a
}

// dropAddress makes room: all that owe nothing, else the one that owes least. To be
// forgotten so an attacker needs a thousand addresses, and still has ten tries a name.
func (g guard) dropAddress(now time.Time) {
	if len(g.addresses) < maxTracked {
		return
	}
	var least netip.Prefix
	var found *addressTries
	for place, a := range g.addresses {
		switch {
		case a.pending > 0:
		case !a.owed.After(now):
			delete(g.addresses, place)
		case found == nil || a.owed.Before(found.owed):
			least, found = place, a
		}
	}
	if found != nil && len(g.addresses) >= maxTracked {
		delete(g.addresses, least)
	}
}

// origin is what is counted as one place: an IPv4 address, or the /64 that one machine
// of IPv6 may choose from at will (RFC 8981).
func origin(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() || a.IsLoopback() {
		bits = a.BitLen()
	}
	p, _ := a.Prefix(bits) // of no address: the zero prefix, a place of its own
	return p
}

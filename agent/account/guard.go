package account

import (
	"hash/maphash"
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

	maxTracked = 1024 // addresses, and pairs of a name and an address
	maxCounts  = 4096 // of names
	maxHomes   = 8    // of a name

	wide = 4 // times as much has a /64 of IPv6 as each address in it
)

// guard counts wrong passwords, three ways: of a name from a place, so that a stranger locks
// the name for himself alone; of a name from everywhere, so that many strangers together are
// slow; and of a place. Its caller holds the Book's mutex.
type guard struct {
	pairs     map[pair]*pairTries
	names     []nameTries // by a hash that nobody outside knows: known or not, a name has its count
	seed      maphash.Seed
	homes     map[string]*homes // of accounts
	addresses map[netip.Prefix]*addressTries
}

// addressTries: a wrong password costs addressRefill of time; owed is when all is paid.
type addressTries struct {
	pending int
	owed    time.Time
	times   time.Duration // as much as one address
}

type verdict int

const (
	undecided verdict = iota
	wrong
	right
)

func newGuard() guard {
	return guard{make(map[pair]*pairTries), make([]nameTries, maxCounts), maphash.MakeSeed(), make(map[string]*homes), make(map[netip.Prefix]*addressTries)}
}

// admit books a try before it is hashed, so that many at once are no more than ten, and
// gives what books its end. known are those in the file. The address comes first: whom it
// keeps out washes away no count of a name.
func (g guard) admit(now time.Time, name string, from netip.Addr, known map[string]record) (func(time.Time, verdict) (locked time.Time), error) {
	places := origins(from)
	var as []*addressTries
	for _, place := range places {
		a := g.address(now, place)
		if err := a.may(now); err != nil {
			return nil, err
		}
		as = append(as, a)
	}
	t := g.tryOf(now, name, places, known)
	if err := t.may(now); err != nil {
		return nil, err
	}
	g.book(t)
	for _, a := range as {
		a.pending++
	}
	return func(now time.Time, v verdict) time.Time {
		for _, a := range as {
			a.settle(now, v)
		}
		return g.settle(now, t, v)
	}, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (a *addressTries) may(now time.Time) error {
	if again := a.owed.Add(-(addressWrong*a.times - 1) * (addressRefill / a.times)); again.After(now) {
		return &WaitError{Until: again}
	}
	if a.pending >= addressPending*int(a.times) {
		return ErrBusy
	}
	return nil
}

func (a *addressTries) settle(now time.Time, v verdict) {
	a.pending--
	if v == wrong {
		a.owed = later(a.owed, now).Add(addressRefill / a.times)
	}
}

func (g guard) address(now time.Time, place netip.Prefix) *addressTries {
	a := g.addresses[place]
	if a == nil {
		g.dropAddress(now)
		a = &addressTries{times: times(place)}
		g.addresses[place] = a
	}
	return a
}

// dropAddress makes room: all that owe nothing, else the one that owes least. To be
// forgotten so an attacker needs a thousand addresses that owe more, of many networks: what
// a /64 owes is paid together. He still has ten tries a name.
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

// origins is what counts as one place, the last of them the address itself. Of IPv6 the
// /64 is one as well, more widely: one machine may choose from it at will (RFC 8981), and
// a whole network may have no other (RFC 4862).
func origins(a netip.Addr) (all []netip.Prefix) {
	a = a.Unmap().WithZone("")
	if a.Is6() && !a.IsLoopback() {
		all = append(all, networkOf(a))
	}
	p, _ := a.Prefix(a.BitLen()) // of no address: the zero prefix, a place of its own
	return append(all, p)
}

func networkOf(a netip.Addr) netip.Prefix {
	p, _ := a.Prefix(64) // an IPv6 address has as many
	return p
}

func times(place netip.Prefix) time.Duration {
	if place.IsValid() && !place.IsSingleIP() {
		return wide
	}
	return 1
}

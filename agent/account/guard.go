package account

import (
	"net/netip"
	"time"
)

const (
	maxWrong   = 10 // in a row, by name
	firstLock  = 15 * time.Minute
	longest    = 4 // doublings: 4 hours
	forgetting = 24 * time.Hour

	addressWrong   = 20               // by address, at once
	addressRefill  = 30 * time.Second // and then one each
	addressPending = 2

	maxTracked = 1024 // names, and addresses
)

// guard counts wrong passwords. Its caller holds the Book's mutex.
type guard struct {
	names     map[string]*nameTries
	addresses map[netip.Prefix]*addressTries
}

type nameTries struct {
	wrong, pending, locks int
	until, last           time.Time
	stamp                 string // the record's: another one begins anew
	freed                 uint32
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
	return guard{make(map[string]*nameTries), make(map[netip.Prefix]*addressTries)}
}

// admit books a try before it is hashed, so that many at once are no more than ten, and
// gives what books its end. known are those in the file.
func (g guard) admit(now time.Time, name string, address netip.Addr, known map[string]record) (func(time.Time, verdict) (locked time.Time), error) {
	place := origin(address)
	a, n := g.address(now, place), g.name(now, name, known)
	if again := a.owed.Add(-(addressWrong - 1) * addressRefill); again.After(now) {
		return nil, &WaitError{Until: again}
	}
	if now.Before(n.until) {
		return nil, &WaitError{Until: n.until}
	}
	if a.pending >= addressPending || n.wrong+n.pending >= maxWrong {
		return nil, ErrBusy
	}
	a.pending++
	n.pending++
	return func(now time.Time, v verdict) time.Time {
		a.pending--
		n.pending--
		if v == wrong {
			a.pay(now)
		}
		return n.settle(now, v)
	}, nil
}

func (a *addressTries) pay(now time.Time) {
	if a.owed.Before(now) {
		a.owed = now
	}
	a.owed = a.owed.Add(addressRefill)
}

func (n *nameTries) settle(now time.Time, v verdict) (locked time.Time) {
	switch v {
	case right:
		n.wrong, n.locks = 0, 0
	case wrong:
		n.last = now
		if n.wrong++; n.wrong >= maxWrong {
			n.until = now.Add(firstLock << min(n.locks, longest))
			n.wrong, n.locks, locked = 0, n.locks+1, n.until
		}
	}
	return locked
}

// name is the entry of name, begun anew where the account is not the one it was.
func (g guard) name(now time.Time, name string, known map[string]record) *nameTries {
	n, r := g.names[name], known[name]
	if n == nil {
		g.dropName(known)
		n = &nameTries{stamp: r.Stamp, freed: r.Freed, last: now}
		g.names[name] = n
	}
	if n.stamp != r.Stamp || n.freed != r.Freed || now.Sub(n.last) > forgetting && !now.Before(n.until) {
		n.wrong, n.locks, n.until = 0, 0, time.Time{}
		n.stamp, n.freed = r.Stamp, r.Freed
	}
	return n
}

// lockedUntil of an account, or zero.
func (g guard) lockedUntil(now time.Time, r record) time.Time {
	n := g.names[r.Name]
	if n == nil || n.stamp != r.Stamp || n.freed != r.Freed || !now.Before(n.until) {
		return time.Time{}
	}
	return n.until
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
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits) // of no address: the zero prefix, a place of its own
	return p
}

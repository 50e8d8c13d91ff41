package account

import (
	"net/netip"
	"slices"
	"time"
)

// homes is where an account has come from with the right password.
type homes struct {
	places   []netip.Prefix // the latest last
	of       edition
	password string // its hash
}

// homesOf an account, nil of what is none. With another edition of it the count of its name
// begins anew. Only a new password forgets the homes: who ends a lock-out, or changes a
// role, must not shut the person out from where he works.
func (g guard) homesOf(name string, known map[string]record) *homes {
	r, is := known[name]
	if !is {
		return nil
	}
	h := g.homes[name]
	if h == nil {
		g.dropHomes(known)
		h = new(homes)
		g.homes[name] = h
	}
	if of := r.edition(); h.of != of {
		g.count(name).owed = time.Time{}
		if h.of.stamp != of.stamp && h.password != r.Password { // a hash made anew has its old stamp
			h.places = nil
		}
		h.of = of
	}
	h.password = r.Password
	return h
}

// dropHomes forgets those of accounts that are no more, so there are as many as accounts.
func (g guard) dropHomes(known map[string]record) {
	for name := range g.homes {
		if _, is := known[name]; !is {
			delete(g.homes, name)
		}
	}
}

func (h *homes) add(from netip.Prefix) {
	h.places = append(slices.DeleteFunc(h.places, func(p netip.Prefix) bool { return p == from }), from)
	h.places = h.places[max(0, len(h.places)-maxHomes):]
}

// has is whether the name has come from this very address.
func (h *homes) has(from netip.Prefix) bool { return h != nil && slices.Contains(h.places, from) }

// near is whether it has come from there or, of IPv6, from the same /64, or from this
// machine itself: what others guess elsewhere does not count there.
func (h *homes) near(from netip.Prefix) bool {
	if from.IsValid() && from.Addr().IsLoopback() {
		return true
	}
	return h != nil && slices.ContainsFunc(h.places, func(p netip.Prefix) bool {
		return p == from || p.IsValid() && from.IsValid() && p.Addr().Is6() && from.Addr().Is6() && networkOf(p.Addr()) == networkOf(from.Addr())
	})
}

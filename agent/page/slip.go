package page

import (
	"crypto/rand"
	"net/url"
	"sync"
	"time"
)

// A slip is what no address of this page may say: whom somebody looks for, what a deed
// did, what was typed that could not be. The address has its number alone, which nobody
// guesses and which is worth nothing to anybody else. So histories, proxies and referrers
// learn nothing, and no link has the page say something.

const (
	slipLife   = 12 * time.Hour // no session lasts longer
	slipsOwner = 64             // of one session, or address, or /64 of IPv6
	slipsAll   = 1024           // of all who have logged in, and as many of the others
	maxSlip    = 2 << 10        // bytes
)

// The names of the numbers in addresses.
const (
	searchSlip = "s"
	noticeSlip = "notice" // said once
	typedSlip  = "typed"
)

type slip struct {
	owner string
	in    bool
	made  time.Time
	says  url.Values
}

type slips struct {
	mu  sync.Mutex // guards all
	all map[string]slip
}

// owner is whose a slip is: this session's, or of nobody at this address, of IPv6 at the
// /64 that one machine may choose from at will (RFC 8981).
func (v viewer) owner() string {
	if v.In() {
		return v.Token
	}
	a := v.Address.Unmap().WithZone("")
	if !a.Is6() || a.IsLoopback() {
		return a.String()
	}
	p, _ := a.Prefix(64) // an IPv6 address has as many
	return p.String()
}

// put keeps what is said and gives its number, "" where that is too long.
func (s *slips) put(now time.Time, v viewer, says url.Values) string {
	if len(says.Encode()) > maxSlip {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string]slip{}
	}
	s.drop(func(x slip) bool { return now.Sub(x.made) >= slipLife })
	s.dropOldest(slipsOwner, func(x slip) bool { return x.owner == v.owner() })
	s.dropOldest(slipsAll, func(x slip) bool { return x.in == v.In() })
	number := rand.Text()
	s.all[number] = slip{v.owner(), v.In(), now, says}
	return number
}

// look gives what is said, nil to whom it does not belong.
func (s *slips) look(now time.Time, v viewer, number string) url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mine(now, v, number)
}

// take is look for the only time.
func (s *slips) take(now time.Time, v viewer, number string) url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	says := s.mine(now, v, number)
	if says != nil {
		delete(s.all, number)
	}
	return says
}

func (s *slips) mine(now time.Time, v viewer, number string) url.Values {
	x, is := s.all[number]
	if !is || x.owner != v.owner() || now.Sub(x.made) >= slipLife {
		return nil
	}
	return x.says
}

// forget drops all of a session that ends.
func (s *slips) forget(v viewer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(func(x slip) bool { return x.owner == v.owner() })
}

func (s *slips) drop(which func(slip) bool) {
	for number, x := range s.all {
		if which(x) {
			delete(s.all, number)
		}
	}
}

// dropOldest makes room for one more.
func (s *slips) dropOldest(most int, of func(slip) bool) {
	oldest, count := "", 0
	for number, x := range s.all {
		if !of(x) {
			continue
		}
		if count++; oldest == "" || x.made.Before(s.all[oldest].made) {
			oldest = number
		}
	}
	if count >= most {
		delete(s.all, oldest)
	}
}

// kept is the slip that the address of a request has by name, nil where there is none.
func (r *request) kept(name string) url.Values {
	return r.page.slips.look(r.Now, r.Viewer, r.URL.Query().Get(name))
}

// noticed is the word of what was done just now. A page that renews itself takes it from
// nobody.
func (r *request) noticed() string {
	number := r.URL.Query().Get(noticeSlip)
	if number == "" || byItself(r.Request) {
		return ""
	}
	if id := "notice." + r.page.slips.take(r.Now, r.Viewer, number).Get(noticeSlip); r.W.has(id) {
		return r.W.Say(id)
	}
	return ""
}

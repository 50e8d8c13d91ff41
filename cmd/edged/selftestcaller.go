package main

import (
	"crypto/rand"
	"net"
	"net/netip"
	"sync"
	"time"
)

// selfCallers are the AE titles under which this appliance calls itself for a
// self-test. Each is made up, known to nobody else, and ends with its test, so that no
// device can store as a test what ought to be archived.
type selfCallers struct {
	mu     sync.RWMutex
	titles map[string]bool
}

// begin makes one; end is to be called.
func (s *selfCallers) begin() (title string, end func()) {
	title = "SELF-" + rand.Text()[:11] // 55 bits of it
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.titles == nil {
		s.titles = make(map[string]bool)
	}
	s.titles[title] = true
	return title, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.titles, title)
	}
}

// are says whether c is this appliance itself: it knows a title of now, and has an
// address of this machine.
func (s *selfCallers) are(c caller) bool {
	s.mu.RLock()
	known := s.titles[c.calling]
	s.mu.RUnlock()
	return known && ofThisMachine(c.address)
}

func ofThisMachine(address string) bool {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	if a = a.Unmap().WithZone(""); a.IsLoopback() {
		return true
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, o := range own {
		if n, ok := o.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.Unmap() == a {
				return true
			}
		}
	}
	return false
}

const (
	listenFor = 2 * time.Minute // somebody waits at a device so long
	maxHeard  = 50              // connections of one window; the latest are kept
)

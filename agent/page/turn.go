package page

import (
	"bytes"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Pages are made of what images need too: locks and the disk. So few are made at a time,
// and those of strangers never take the turn of who has logged in.

const (
	turnsAtOnce = 2                // in each lane
	turnWithin  = 10 * time.Second // then whoever waits is told to come again
	streamShare = 4                // an address has a quarter of all streams of events
)

// The lanes: strangers hold up nobody who has logged in, or wants to, and no monitor.
const (
	laneAnybody = iota
	laneIn      // who has logged in
	laneDoor    // to log in, and for monitors
	lanes
)

func (p *Page) laneOf(r *http.Request) int {
	switch {
	case p.viewer(r).In():
		return laneIn
	case r.URL.Path == "/login" || r.URL.Path == "/metrics":
		return laneDoor
	}
	return laneAnybody
}

// inTurn has next make its answer in its turn. What is made is kept back and sent
// afterwards: a slow reader holds no turn.
func (p *Page) inTurn(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		turns := p.turns[p.laneOf(r)]
		wait := time.NewTimer(turnWithin)
		defer wait.Stop()
		select {
		case turns <- struct{}{}:
		case <-r.Context().Done():
			return
		case <-wait.C:
			w.Header().Set("Retry-After", "5")
			plain(w, http.StatusServiceUnavailable, "too many ask for pages at this moment")
			return
		}
		answer := keptBack{ResponseWriter: w, code: http.StatusOK}
		func() {
			defer func() { <-turns }()
			next(&answer, r)
		}()
		w.WriteHeader(answer.code)
		w.Write(answer.body.Bytes()) // a client that is gone needs no answer
	}
}

// keptBack is an answer that is not sent yet.
type keptBack struct {
	http.ResponseWriter
	code int
	body bytes.Buffer
}

func (k *keptBack) WriteHeader(code int)        { k.code = code }
func (k *keptBack) Write(b []byte) (int, error) { return k.body.Write(b) }

// addresses counts what each address has open.
type addresses struct {
	mu   sync.Mutex
	open map[netip.Addr]int
}

// enter is false where address has most already. This machine itself may have all.
func (a *addresses) enter(address netip.Addr, most int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[address] >= most && !address.IsLoopback() {
		return false
	}
	if a.open == nil {
		a.open = map[netip.Addr]int{}
	}
	a.open[address]++
	return true
}

func (a *addresses) leave(address netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[address]--; a.open[address] <= 0 {
		delete(a.open, address)
	}
}

package page

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edged/agent/status"
)

// slow is a Source that takes its time, and counts how many ask at once.
type slow struct {
	*demo
	mu        sync.Mutex
	now, most int
}

func (s *slow) Devices() []status.Device {
	s.mu.Lock()
	s.now++
	s.most = max(s.most, s.now)
	s.mu.Unlock()
	time.Sleep(time.Second)
	s.mu.Lock()
	s.now--
	s.mu.Unlock()
	return s.demo.Devices()
}

// However many strangers ask, two pages are made at a time: images need the same locks.
// Each is answered, or told to come again.
func TestStrangersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &slow{demo: ordinary()}
		p := newPage(t, source)
		codes := make([]int, 64)
		var all sync.WaitGroup
		for i := range codes {
			path := []string{"/", "/api/v1/devices"}[i%2]
			all.Go(func() {
				w := httptest.NewRecorder()
				p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
				if codes[i] = w.Code; w.Code != http.StatusOK && w.Header().Get("Retry-After") == "" {
					t.Errorf("%s answers %d", path, w.Code)
				}
			})
		}
		all.Wait()
		served := 0
		for _, code := range codes {
			if code == http.StatusOK {
				served++
			}
		}
		if source.most != turnsAtOnce || served < 2*int(turnWithin/time.Second)-2 {
			t.Errorf("%d at once, %d served", source.most, served)
		}
	})
}

// While strangers take all their turns, and none ends, one can still log in, and monitors hear.
func TestStrangersLeaveTheDoorFree(t *testing.T) {
	p := newPage(t, ordinary())
	for range turnsAtOnce {
		p.turns[laneAnybody] <- struct{}{}
	}
	for path, want := range map[string]int{"/metrics": laneDoor, "/login": laneDoor, "/": laneAnybody, "/days": laneAnybody, "/api/v1/studies": laneAnybody} {
		if got := p.laneOf(httptest.NewRequestWithContext(t.Context(), "GET", path, nil)); got != want {
			t.Errorf("%s is in lane %d, want %d", path, got, want)
		}
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Errorf("a monitor is answered %d", w.Code)
	}
}

// One address cannot hold all streams of events: others follow the page too.
func TestOneAddressHoldsNotAllStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPage(t, ordinary())
		ctx, cancel := context.WithCancel(t.Context())
		var waits []func()
		for range cap(p.streams) / streamShare {
			_, wait := listenFrom(ctx, p, "10.1.2.3:40000")
			waits = append(waits, wait)
		}
		synctest.Wait()
		late, wait := listenFrom(ctx, p, "10.1.2.3:40001")
		if wait(); late.code != http.StatusServiceUnavailable {
			t.Errorf("one too many of an address answers %d", late.code)
		}
		other, wait := listenFrom(ctx, p, "10.1.2.4:40000")
		synctest.Wait()
		if other.code != http.StatusOK {
			t.Errorf("another address is answered %d", other.code)
		}
		cancel()
		for _, wait := range append(waits, wait) {
			wait()
		}
		if len(p.who.open) != 0 {
			t.Errorf("%v are remembered for ever", p.who.open)
		}
	})
}

package account

import (
	"errors"
	"testing"
	"time"
)

// A session that ends by itself is told once, whoever meets its end first: somebody who
// uses it, a log-out, the list, one session too many, or nobody.
func TestASessionThatEndsByItselfIsTold(t *testing.T) {
	for name, meet := range map[string]func(*testing.T, place, string){
		"used":    func(t *testing.T, p place, token string) { p.wantOpen(t, token, false) },
		"log-out": func(t *testing.T, p place, token string) { p.LogOut(token, desk) },
		"list":    func(_ *testing.T, p place, _ string) { p.List() },
		"log-in":  func(t *testing.T, p place, _ string) { p.in(t, "anna") },
		"nobody":  func(*testing.T, place, string) {},
	} {
		p := newPlace(t)
		token := p.in(t, "bruno")
		p.wantLapsed(t, name+", before", 0)
		p.pass(30 * time.Minute)
		meet(t, p, token)
		p.wantLapsed(t, name, 1)
		p.wantLapsed(t, name+", again", 1)
		if e := p.trail.events[len(p.trail.events)-1]; e.Account != "bruno" || e.Address != desk || !e.At.Equal(p.now()) {
			t.Errorf("%s: %+v", name, e)
		}
		if p.count(LoggedOut) != 0 {
			t.Errorf("%s: it is told as a log-out", name)
		}
	}
}

func TestASessionTooManyIsTold(t *testing.T) {
	p := newPlace(t)
	for range sessionsAccount + 1 {
		p.in(t, "bruno")
	}
	p.wantLapsed(t, "one too many", 1)
}

// What could not be told is told later; a log-out and a change have rows of their own.
func TestTheEndOfASessionIsNotLost(t *testing.T) {
	p := newPlace(t)
	ended := p.in(t, "anna")
	if err := p.LogOut(ended, desk); err != nil {
		t.Fatal(err)
	}
	p.in(t, "bruno")
	p.in(t, "bruno")
	p.pass(time.Hour)
	p.trail.err = errors.New("full")
	if p.Lapse() == nil {
		t.Error("no error")
	}
	p.trail.err = nil
	p.wantLapsed(t, "after an error", 2)
}

func (p place) wantLapsed(t *testing.T, when string, want int) {
	t.Helper()
	if err := p.Lapse(); err != nil || p.count(Lapsed) != want {
		t.Errorf("%s: %v, told %d times, want %d", when, err, p.count(Lapsed), want)
	}
}

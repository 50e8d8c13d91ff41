package account

import (
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// cheap hashes in well under a millisecond; what a real one costs is in phc_test.go.
var cheap = params{kib: 8, passes: 1, lanes: 1}

const (
	pass  = "seven calm cats 7"
	pass2 = "a quiet blue tram"
)

var (
	desk = netip.MustParseAddr("192.0.2.10")
	far  = netip.MustParseAddr("192.0.2.200")
	root = Actor{Name: "root"}
)

// clock is moved by the test.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// trail keeps what it is told; an error makes it refuse.
type trail struct {
	mu        sync.Mutex
	events    []Event
	err       error
	meanwhile func() // between recording and acting
}

func (a *trail) Note(e Event) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		a.events = append(a.events, e)
	}
	return a.err
}

func (a *trail) Do(e Event, act func() error) error {
	if err := a.Note(e); err != nil {
		return err
	}
	if a.meanwhile != nil {
		a.meanwhile()
	}
	return act()
}

func (a *trail) count(what Action) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.events {
		if e.Action == what {
			n++
		}
	}
	return n
}

// place is a Book with an administrator "anna" and a technician "bruno", and what is
// around it.
type place struct {
	*Book
	*clock
	*trail
}

func newPlace(t *testing.T) place {
	t.Helper()
	p := another(filepath.Join(t.TempDir(), "page", "accounts.json"))
	p.add(t, "anna", Administrator)
	p.add(t, "bruno", Technician)
	p.events = nil
	return p
}

// another process with the same file.
func another(path string) place {
	c, a := &clock{t: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)}, &trail{}
	return place{newBook(Config{Path: path, Now: c.now, Audit: a, Log: slog.New(slog.DiscardHandler)}, cheap), c, a}
}

func (p place) add(t *testing.T, name string, role Role) {
	t.Helper()
	if err := p.Add(t.Context(), root, name, pass, role); err != nil {
		t.Fatal(err)
	}
}

// in logs somebody in.
func (p place) in(t *testing.T, name string) string {
	t.Helper()
	token, _, err := p.LogIn(t.Context(), Attempt{Name: name, Password: pass, Address: desk})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// try gives the error of a log-in.
func (p place) try(t *testing.T, name, password string, from netip.Addr) error {
	t.Helper()
	token, s, err := p.LogIn(t.Context(), Attempt{Name: name, Password: password, Address: from})
	if err != nil && (token != "" || s != Session{}) {
		t.Fatalf("a session with the error %v", err)
	}
	return err
}

func (p place) wantOpen(t *testing.T, token string, want bool) {
	t.Helper()
	_, err := p.Look(token)
	if want && err != nil || !want && !errors.Is(err, ErrNoSession) {
		t.Errorf("session: %v, want open %v", err, want)
	}
}

// stranger is another address each time, so that addresses do not count.
func stranger(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

func wantWait(t *testing.T, err error, until time.Time) {
	t.Helper()
	if w, ok := errors.AsType[*WaitError](err); !ok || !w.Until.Equal(until) {
		t.Errorf("got %v, want to wait until %v", err, until)
	}
}

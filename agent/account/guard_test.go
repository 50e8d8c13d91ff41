package account

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// wrongly tries n times from one address.
func (p place) wrongly(t *testing.T, name string, n int, from netip.Addr) {
	t.Helper()
	for i := range n {
		if err := p.try(t, name, "wrong", from); !errors.Is(err, ErrWrong) {
			t.Fatalf("try %d: %v", i+1, err)
		}
		p.pass(addressRefill)
	}
}

func TestTenWrongInARowLockLongerEachTime(t *testing.T) {
	p := newPlace(t)
	for i, lock := range []time.Duration{15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 4 * time.Hour} {
		p.wrongly(t, "bruno", 10, far)
		until := p.now().Add(lock - addressRefill)
		wantWait(t, p.try(t, "bruno", pass, far), until)
		p.pass(until.Sub(p.now()) - time.Second)
		wantWait(t, p.try(t, "bruno", pass, far), until)
		if all, err := p.List(); err != nil || !all[1].LockedUntil.Equal(until) || !all[0].LockedUntil.IsZero() {
			t.Errorf("shown: %v, %v", all, err)
		}
		p.pass(time.Second)
		if got := p.count(Locked); got != i+1 {
			t.Errorf("told %d times of %d", got, i+1)
		}
	}
	if err := p.try(t, "bruno", pass, far); err != nil {
		t.Fatal(err)
	}
	p.wrongly(t, "bruno", 10, far)
	wantWait(t, p.try(t, "bruno", pass, far), p.now().Add(15*time.Minute-addressRefill)) // from the beginning
}

func TestRightPasswordBeginsTheCountAnew(t *testing.T) {
	p := newPlace(t)
	for range 3 {
		p.wrongly(t, "bruno", 9, desk)
		p.in(t, "bruno")
	}
}

func TestAnEarlierDayIsForgotten(t *testing.T) {
	p := newPlace(t)
	p.wrongly(t, "bruno", 10, desk)
	p.pass(forgetting + time.Hour)
	p.wrongly(t, "bruno", 10, desk)
	wantWait(t, p.try(t, "bruno", pass, desk), p.now().Add(15*time.Minute-addressRefill))
}

// Neither from a session that is open nor from logging in, with this name or another.
func TestStrangerWhoGuessesKeepsNobodyFromWork(t *testing.T) {
	p := newPlace(t)
	open := p.in(t, "bruno")
	p.wrongly(t, "bruno", 10, far)
	if _, err := p.Use(open); err != nil {
		t.Errorf("the session that was open: %v", err)
	}
	p.in(t, "anna")
	p.in(t, "bruno")
	if err := p.try(t, "bruno", pass, stranger(1)); err != nil {
		t.Errorf("from where bruno has never been: %v", err)
	}
}

// One stranger who guesses all day does not use up what a name has, nor does he end his own
// lock by names that he invents: it is let in from where it has never been.
func TestOneStrangerNeverUsesUpAName(t *testing.T) {
	for _, invented := range []int{0, maxTracked + 76} {
		p := newPlace(t)
		tries, locked := 0, false
		for end := p.now().Add(48 * time.Hour); p.now().Before(end); p.pass(addressRefill) {
			err := p.try(t, "bruno", "wrong", far)
			if errors.Is(err, ErrWrong) {
				tries, locked = tries+1, false
			}
			for i := 0; err != nil && !errors.Is(err, ErrWrong) && !locked && i < invented; i++ {
				_ = p.try(t, fmt.Sprint(tries, "name", i), "wrong", far)
			}
			locked = locked || !errors.Is(err, ErrWrong)
			if err := p.try(t, "bruno", pass, desk); err != nil {
				t.Fatalf("after %d tries bruno is kept out: %v", tries, err)
			}
			p.guard.homes["bruno"].places = nil // desk is new each time
		}
		if tries < 60 || tries > 200 {
			t.Errorf("%d tries in two days, with %d invented names after each lock", tries, invented)
		}
	}
}

// Whoever is kept out, or goes before he is looked at, leaves nothing that washes away a
// count.
func TestWhatIsNotLookedAtIsNotKept(t *testing.T) {
	p := newPlace(t)
	p.wrongly(t, "bruno", 9, far)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range maxTracked + 200 {
		_, _, err := p.LogIn(gone, Attempt{Name: fmt.Sprint("name", i), Password: "wrong", Address: desk})
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	for i := range addressWrong {
		_ = p.try(t, fmt.Sprint("name", i), "wrong", desk)
	}
	for i := range maxTracked + 200 {
		_ = p.try(t, fmt.Sprint("other", i), "wrong", desk)
	}
	if n := len(p.guard.pairs); n != 1+addressWrong {
		t.Errorf("%d pairs are kept", n)
	}
	_ = p.try(t, "bruno", "wrong", far)
	wantWait(t, p.try(t, "bruno", pass, far), p.now().Add(firstLock))
}

// A pair that is locked, or looked at, is dropped last, however old it is.
func TestALockIsNotWashedAway(t *testing.T) {
	p := newPlace(t)
	p.wrongly(t, "bruno", 10, far)
	_, _, settle, err := p.admit("anna", far)
	if err != nil {
		t.Fatal(err)
	}
	p.pass(time.Minute)
	for i := range maxTracked + 200 {
		_ = p.try(t, fmt.Sprint("name", i), "wrong", stranger(i))
	}
	if len(p.guard.pairs) != maxTracked {
		t.Errorf("%d pairs", len(p.guard.pairs))
	}
	if _, ok := errors.AsType[*WaitError](p.try(t, "bruno", pass, far)); !ok {
		t.Error("the lock is washed away")
	}
	if x := p.guard.pairs[pair{"anna", origins(far)[0]}]; x == nil || x.pending != 1 {
		t.Error("one that is looked at is dropped")
	}
	settle(p.now(), wrong)
}

// Locks that are over go before one that is not; where all are locked the table has an end
// all the same.
func TestLocksHaveAnEnd(t *testing.T) {
	p := newPlace(t)
	for i := range maxTracked + 5 {
		until := p.now().Add(-time.Minute)
		if i < 2 {
			until = p.now().Add(time.Hour)
		}
		p.guard.pairs[pair{"bruno", origins(stranger(i))[0]}] = &pairTries{locks: 1 + i, until: until, last: p.now()}
	}
	p.guard.dropPair(p.now())
	if n := len(p.guard.pairs); n != maxTracked+4 || p.guard.pairs[pair{"bruno", origins(stranger(0))[0]}] == nil {
		t.Errorf("%d pairs, or the lock is dropped", n)
	}
	for _, x := range p.guard.pairs {
		x.until = p.now().Add(time.Hour)
	}
	p.guard.dropPair(p.now())
	if n := len(p.guard.pairs); n != maxTracked+3 {
		t.Errorf("%d pairs", n)
	}
}

// Many strangers together have 50 tries and then 144 a day, and keep nobody out where he
// has been before, nor at the machine itself.
func TestManyStrangersAreSlow(t *testing.T) {
	p := newPlace(t)
	p.in(t, "bruno")
	tries, kept := 0, 0
	homes := []netip.Addr{desk, netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()}
	for end, i := p.now().Add(24*time.Hour), 0; p.now().Before(end); i++ {
		err := p.try(t, "bruno", "wrong", stranger(i))
		if errors.Is(err, ErrWrong) {
			tries++
		} else if w, ok := errors.AsType[*WaitError](err); !ok || w.Until.Sub(p.now()) > nameRefill {
			t.Fatalf("try %d: %v", i, err)
		}
		if p.try(t, "bruno", pass, netip.MustParseAddr("198.51.100.7")) != nil {
			kept++
		}
		for _, home := range homes {
			if err := p.try(t, "bruno", pass, home); err != nil {
				t.Fatalf("after %d tries, from %s: %v", tries, home, err)
			}
		}
		p.guard.homes["bruno"].places = origins(desk)
		p.pass(time.Minute)
	}
	if want := nameWrong + int(24*time.Hour/nameRefill); tries > want || tries < want-1 {
		t.Errorf("%d tries in a day, want %d", tries, want)
	}
	if kept == 0 {
		t.Error("where bruno has never been he is a stranger, too")
	}
	if p.count(Locked) == 0 {
		t.Error("nobody is told")
	}
}

// usedUp has strangers use up what a name has.
func (p place) usedUp(t *testing.T, name string) {
	t.Helper()
	for i := range nameWrong {
		if err := p.try(t, name, "wrong", stranger(i)); !errors.Is(err, ErrWrong) {
			t.Fatalf("try %d: %v", i+1, err)
		}
	}
	wantWait(t, p.try(t, name, "wrong", stranger(1<<20)), p.now().Add(nameRefill))
}

// With a new password all begins anew. Who ends the wait, or changes the role, leaves the
// homes: the strangers go on, and the person is not to be kept out by that.
func TestOnlyANewPasswordForgetsTheHomes(t *testing.T) {
	for how, change := range map[string]func(place) error{
		"unlock":   func(p place) error { return p.Unlock(root, "bruno") },
		"role":     func(p place) error { return p.SetRole(root, "bruno", Administrator) },
		"password": func(p place) error { return p.SetPassword(t.Context(), root, "bruno", pass2) },
	} {
		p := newPlace(t)
		p.in(t, "bruno")
		p.usedUp(t, "bruno")
		if all, _ := p.List(); !all[1].LockedUntil.Equal(p.now().Add(nameRefill)) || !all[0].LockedUntil.IsZero() {
			t.Errorf("%s: shown %v", how, all)
		}
		if err := change(p); err != nil {
			t.Fatal(how, err)
		}
		if all, _ := p.List(); !all[1].LockedUntil.IsZero() {
			t.Errorf("%s: shown as locked until %v", how, all[1].LockedUntil)
		}
		p.usedUp(t, "bruno")
		if kept := p.guard.homes["bruno"].has(origins(desk)[0]); kept != (how != "password") {
			t.Errorf("%s: homes %v", how, p.guard.homes["bruno"].places)
		}
		if err := p.try(t, "bruno", pass, desk); (err == nil) != (how != "password") {
			t.Errorf("%s: from home: %v", how, err)
		}
	}
}

// Names that nobody has are counted as long as those of accounts: who waits tells nothing.
func TestAnInventedNameWaitsLikeAKnownOne(t *testing.T) {
	p := newPlace(t)
	p.usedUp(t, "bruno")
	p.usedUp(t, "nobody")
	for i := range maxTracked + 200 {
		_ = p.try(t, fmt.Sprint("name", i), "wrong", stranger(1000+i))
	}
	for _, name := range []string{"bruno", "nobody"} {
		wantWait(t, p.try(t, name, "wrong", stranger(1<<20)), p.now().Add(nameRefill))
	}
	if len(p.guard.homes) != 1 {
		t.Errorf("homes of %d names", len(p.guard.homes))
	}
}

// A name has eight homes: the one that it came from longest ago is strange again.
func TestHomesAreBounded(t *testing.T) {
	p := newPlace(t)
	p.in(t, "bruno")
	for i := range maxHomes {
		if err := p.try(t, "bruno", pass, stranger(i)); err != nil {
			t.Fatal(err)
		}
	}
	h := p.guard.homes["bruno"]
	if len(h.places) != maxHomes || h.has(origins(desk)[0]) || !h.near(origins(stranger(0))[0]) {
		t.Errorf("homes %v", h.places)
	}
}

// An administrator ends it at the page, or with a command, which is another process.
func TestLockOutIsEnded(t *testing.T) {
	p := newPlace(t)
	command := another(p.cfg.Path)
	for how, end := range map[string]func() error{
		"unlock here":    func() error { return p.Unlock(Actor{Name: "anna"}, "bruno") },
		"unlock there":   func() error { return command.Unlock(root, "Bruno") },
		"password there": func() error { return command.SetPassword(t.Context(), root, "bruno", pass) },
		"made anew, there": func() error {
			return errors.Join(command.Remove(root, "bruno"), command.Add(t.Context(), root, "bruno", pass, Technician))
		},
	} {
		p.wrongly(t, "bruno", 10, desk)
		if p.try(t, "bruno", pass, desk) == nil {
			t.Fatalf("%s: was not locked", how)
		}
		if err := end(); err != nil {
			t.Fatalf("%s: %v", how, err)
		}
		if all, _ := p.List(); !all[1].LockedUntil.IsZero() {
			t.Errorf("%s: shown as locked", how)
		}
		if err := p.try(t, "bruno", pass, desk); err != nil {
			t.Errorf("%s: %v", how, err)
		}
	}
}

// Many at once are no more than in turn: each is counted before it is looked at.
func TestManyGuessesAtOnceAreNoMore(t *testing.T) {
	for most, from := range map[int]func(int) netip.Addr{addressPending: func(int) netip.Addr { return far }, nameWrong: stranger} {
		p := newPlace(t)
		p.places = places{make(chan struct{}, 100), make(chan struct{}, 100)} // so that they are at once
		began, looked := p.now(), 0
		var settle []func(time.Time, verdict) time.Time
		for i := range 100 {
			if _, _, s, err := p.admit("bruno", from(i)); err == nil {
				settle, looked = append(settle, s), looked+1
			}
		}
		for _, s := range settle {
			s(began, wrong)
		}
		if looked != most {
			t.Errorf("%d are looked at, want %d", looked, most)
		}
	}
}

func TestAddressThatGuessesWaits(t *testing.T) {
	p := newPlace(t)
	for i := range addressWrong {
		if err := p.try(t, fmt.Sprint("name", i), "wrong", far); !errors.Is(err, ErrWrong) {
			t.Fatalf("try %d: %v", i+1, err)
		}
	}
	wantWait(t, p.try(t, "anna", pass, far), p.now().Add(addressRefill))
	wantWait(t, p.try(t, "anna", pass, netip.AddrFrom16(far.As16())), p.now().Add(addressRefill)) // written as IPv6
	if err := p.try(t, "anna", pass, desk); err != nil {
		t.Errorf("another address: %v", err)
	}
	p.pass(addressRefill)
	if err := p.try(t, "anna", pass, far); err != nil {
		t.Errorf("half a minute later: %v", err)
	}
	if err := p.try(t, "anna", "wrong", far); !errors.Is(err, ErrWrong) {
		t.Errorf("one more: %v", err)
	}
	if err := p.try(t, "anna", pass, far); err == nil {
		t.Error("a right password paid for the wrong ones")
	}
}

// sixth is an address of a network of IPv6.
func sixth(network string, i int) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("%s%x", network, i+1))
}

// A whole network of IPv6 may be one /64. One machine in it keeps out itself; with more
// addresses it is four at most.
func TestAMachineOfIPv6IsNotItsNetwork(t *testing.T) {
	for _, network := range []string{"fe80::", "fd00::", "2001:db8::"} {
		p := newPlace(t)
		p.wrongly(t, "bruno", maxWrong, sixth(network, 0))
		if p.try(t, "bruno", pass, sixth(network, 0)) == nil {
			t.Errorf("%s: not locked where the tries came from", network)
		}
		for i := range addressWrong {
			_ = p.try(t, fmt.Sprint("name", i), "wrong", sixth(network, 1))
		}
		if p.try(t, "anna", pass, sixth(network, 1)) == nil {
			t.Errorf("%s: an address that guesses does not wait", network)
		}
		for _, name := range []string{"anna", "bruno"} {
			if err := p.try(t, name, pass, sixth(network, 2)); err != nil {
				t.Errorf("%s: %s is kept out by a neighbour: %v", network, name, err)
			}
		}
	}
}

func TestMachineWithManyAddressesOfIPv6IsFour(t *testing.T) {
	p := newPlace(t)
	tries := 0
	for i := range 10 * addressWrong {
		if errors.Is(p.try(t, fmt.Sprint("name", i), "wrong", sixth("2001:db8::", i)), ErrWrong) {
			tries++
		}
	}
	if tries != wide*addressWrong {
		t.Errorf("%d tries for all names", tries)
	}
	if p.try(t, "anna", pass, sixth("2001:db8::", 1000)) == nil {
		t.Error("another address of the same /64 is let in")
	}
	if err := p.try(t, "anna", pass, netip.MustParseAddr("2001:db8:0:1::1")); err != nil {
		t.Error(err)
	}
}

// It locks a name for strangers in its network, and not for who is at home there.
func TestANeighbourOfIPv6LocksNobodyOutOfHisOwnAddress(t *testing.T) {
	p := newPlace(t)
	home := sixth("fd00::", 500)
	if err := p.try(t, "bruno", pass, home); err != nil {
		t.Fatal(err)
	}
	p.pass(time.Hour)
	tries := 0
	for i := range 10 * maxWrong {
		if errors.Is(p.try(t, "bruno", "wrong", sixth("fd00::", i)), ErrWrong) {
			tries++
		}
		p.pass(time.Second * 8)
	}
	if tries != wide*maxWrong {
		t.Errorf("%d tries at the name", tries)
	}
	if p.try(t, "bruno", pass, sixth("fd00::", 501)) == nil {
		t.Error("a new address of the network is let in")
	}
	if err := p.try(t, "bruno", pass, home); err != nil {
		t.Errorf("kept out at home: %v", err)
	}
}

// Nor is the count of a real account washed away by names that are none.
func TestTablesHaveAnEnd(t *testing.T) {
	p := newPlace(t)
	p.in(t, "bruno")
	p.wrongly(t, "bruno", 9, desk)
	for i := range nameWrong {
		_ = p.try(t, "bruno", "wrong", stranger(i))
	}
	for i := range maxTracked + 200 {
		_ = p.try(t, fmt.Sprint("name", i), "wrong", stranger(i))
	}
	if len(p.guard.names) != maxCounts || len(p.guard.addresses) > maxTracked || len(p.guard.pairs) > maxTracked {
		t.Errorf("%d names, %d addresses, %d pairs", len(p.guard.names), len(p.guard.addresses), len(p.guard.pairs))
	}
	if _, ok := errors.AsType[*WaitError](p.try(t, "bruno", "wrong", stranger(1<<20))); !ok {
		t.Error("what strangers owe is forgotten")
	}
	if err := p.try(t, "bruno", "wrong", desk); !errors.Is(err, ErrWrong) {
		t.Error(err)
	}
	if p.try(t, "bruno", pass, desk) == nil {
		t.Error("nine and one are not ten any more")
	}
	if n := p.count(Failed); n > noisy+9+2 {
		t.Errorf("%d rows of one minute", n)
	}
}

// The address that owes most is remembered for longest.
func TestAddressThatGuessedIsNotWashedAway(t *testing.T) {
	p := newPlace(t)
	for i := range addressWrong {
		_ = p.try(t, fmt.Sprint("name", i), "wrong", far)
	}
	for i := range maxTracked + 200 {
		_ = p.try(t, fmt.Sprint("name", i%50, "x", i), "wrong", stranger(i))
	}
	if p.try(t, "anna", pass, far) == nil {
		t.Error("forgotten")
	}
}

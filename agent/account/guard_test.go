package account

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// wrongly tries n times, each from another address.
func (p place) wrongly(t *testing.T, name string, n int) {
	t.Helper()
	for i := range n {
		if err := p.try(t, name, "wrong", stranger(i)); !errors.Is(err, ErrWrong) {
			t.Fatalf("try %d: %v", i+1, err)
		}
		p.pass(addressRefill)
	}
}

func TestTenWrongInARowLockLongerEachTime(t *testing.T) {
	p := newPlace(t)
	for i, lock := range []time.Duration{15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 4 * time.Hour} {
		p.wrongly(t, "bruno", 10)
		until := p.now().Add(lock - addressRefill)
		wantWait(t, p.try(t, "bruno", pass, desk), until)
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
	p.in(t, "bruno")
	p.wrongly(t, "bruno", 10)
	wantWait(t, p.try(t, "bruno", pass, desk), p.now().Add(15*time.Minute-addressRefill)) // from the beginning
}

func TestRightPasswordBeginsTheCountAnew(t *testing.T) {
	p := newPlace(t)
	for range 3 {
		p.wrongly(t, "bruno", 9)
		p.in(t, "bruno")
	}
}

func TestAnEarlierDayIsForgotten(t *testing.T) {
	p := newPlace(t)
	p.wrongly(t, "bruno", 10)
	p.pass(forgetting + time.Hour)
	p.wrongly(t, "bruno", 10)
	wantWait(t, p.try(t, "bruno", pass, desk), p.now().Add(15*time.Minute-addressRefill))
}

func TestStrangerWhoGuessesKeepsNobodyFromWork(t *testing.T) {
	p := newPlace(t)
	open := p.in(t, "bruno")
	p.wrongly(t, "bruno", 10)
	if _, err := p.Use(open); err != nil {
		t.Errorf("the session that was open: %v", err)
	}
	p.in(t, "anna") // nor anybody else from logging in
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
		p.wrongly(t, "bruno", 10)
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

// Many at once are not more than ten: each is counted before it is looked at.
func TestManyGuessesAtOnceAreTenAtMost(t *testing.T) {
	p := newPlace(t)
	p.places = places{make(chan struct{}, 100), make(chan struct{}, 100)} // so that they are at once
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() { _ = p.try(t, "bruno", "wrong", stranger(i)) })
	}
	all.Wait()
	if n := p.count(Failed); n > maxWrong {
		t.Errorf("%d were looked at", n)
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

func TestMachineWithManyAddressesOfIPv6IsOne(t *testing.T) {
	p := newPlace(t)
	for i := range addressWrong {
		_ = p.try(t, fmt.Sprint("name", i), "wrong", netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", i+1)))
	}
	if err := p.try(t, "anna", pass, netip.MustParseAddr("2001:db8::ffff")); err == nil {
		t.Error("another address of the same /64 is let in")
	}
	if err := p.try(t, "anna", pass, netip.MustParseAddr("2001:db8:0:1::1")); err != nil {
		t.Error(err)
	}
}

// Nor is the count of a real account washed away by names that are none.
func TestTablesHaveAnEnd(t *testing.T) {
	p := newPlace(t)
	p.wrongly(t, "bruno", 9)
	for i := range maxTracked + 200 {
		_ = p.try(t, fmt.Sprint("name", i), "wrong", stranger(i))
	}
	if len(p.guard.names) > maxTracked || len(p.guard.addresses) > maxTracked {
		t.Errorf("%d names, %d addresses", len(p.guard.names), len(p.guard.addresses))
	}
	if err := p.try(t, "bruno", "wrong", desk); !errors.Is(err, ErrWrong) {
		t.Error(err)
	}
	if p.try(t, "bruno", pass, desk) == nil {
		t.Error("nine and one are not ten any more")
	}
	if n := p.count(Failed); n > noisy+9+1 {
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

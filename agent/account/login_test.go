package account

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

func TestOnlyThePasswordOfTheAccountLetsIn(t *testing.T) {
	p := newPlace(t)
	if err := p.SetPassword(t.Context(), root, "bruno", pass2); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(p.cfg.Path)
	if err != nil || bytes.Contains(raw, []byte(pass)) {
		t.Fatalf("the file holds a password: %v", err)
	}
	hash := strings.Split(strings.Split(string(raw), `"password": "`)[1], `"`)[0]
	for i, c := range []struct{ name, password string }{
		{"anna", ""}, {"anna", pass[:len(pass)-1]}, {"anna", pass + " "}, {"anna", " " + pass}, {"anna", pass + "\x00"},
		{"anna", strings.ToUpper(pass)}, {"anna", pass2}, {"anna", hash}, {"anna", strings.Repeat("x", 1<<20)},
		{"bruno", pass}, {"carla", pass}, {"carla", ""}, {"", pass}, {"", ""}, {"anna\x00", pass}, {strings.Repeat("anna", 1<<18), pass},
	} {
		if err := p.try(t, c.name, c.password, stranger(i)); !errors.Is(err, ErrWrong) {
			t.Errorf("%.20q with %.20q: %v", c.name, c.password, err)
		}
	}
	if len(p.sessions) != 0 {
		t.Errorf("%d sessions", len(p.sessions))
	}
	for k := range p.guard.pairs {
		if k.name != "" && !validName(k.name) {
			t.Errorf("%.20q is kept", k.name)
		}
	}
	for _, name := range []string{"anna", "Anna", " ANNA "} {
		if err := p.try(t, name, pass, desk); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := p.try(t, "bruno", pass2, desk); err != nil {
		t.Error(err)
	}
}

// The same characters may come composed or not: a keyboard and a telephone differ.
func TestPasswordIsTheSameHoweverItIsComposed(t *testing.T) {
	p := newPlace(t)
	if err := p.SetPassword(t.Context(), root, "bruno", "caff\u00e8 alle undici"); err != nil {
		t.Fatal(err)
	}
	if err := p.try(t, "bruno", "caffe\u0300 alle undici", desk); err != nil {
		t.Error(err)
	}
}

// Nobody is in before the first account is made: there is no default.
func TestNobodyIsInWithoutAnAccount(t *testing.T) {
	p := another(t.TempDir() + "/accounts.json")
	for _, name := range []string{"admin", "administrator", "root", ""} {
		for _, password := range []string{"", "admin", "password", name} {
			if err := p.try(t, name, password, stranger(len(name)*10+len(password))); err == nil {
				t.Errorf("%q with %q is in", name, password)
			}
		}
	}
}

func TestUnknownNameAnswersLikeAKnownOne(t *testing.T) {
	p := newPlace(t)
	for i := range 25 {
		known, unknown := p.try(t, "bruno", "wrong", stranger(i)), p.try(t, "carla", "wrong", stranger(1000+i))
		if fmt.Sprint(known) != fmt.Sprint(unknown) {
			t.Fatalf("try %d: known %v, unknown %v", i+1, known, unknown)
		}
	}
}

// The cost of a hash is its memory; that is counted here, time would not tell on a busy
// machine.
func TestUnknownNameIsHashedLikeAKnownOne(t *testing.T) {
	p := newPlace(t)
	p.params.kib = 4 << 10
	p.decoy = decoy(p.params)
	if err := p.SetPassword(t.Context(), root, "bruno", pass); err != nil {
		t.Fatal(err)
	}
	for i, c := range [][2]string{{"bruno", "wrong"}, {"carla", "wrong"}, {"\x00", "wrong"}, {"bruno", strings.Repeat("x", maxPassword+1)}} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := p.try(t, c[0], c[1], stranger(i))
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, ErrWrong) || took < 4<<20 || took > 6<<20 {
			t.Errorf("%q: %v with %d bytes", c[0], err, took)
		}
	}
}

// One hashes, 16 wait, two from one address; the rest are told to come again, and no
// try is counted that was not looked at.
func TestFloodTakesNoMemory(t *testing.T) {
	p := newPlace(t)
	synctest.Test(t, func(t *testing.T) {
		p.places = newPlaces()      // of this bubble
		p.places.hash <- struct{}{} // somebody hashes, without a place in the queue
		ctx, leave := context.WithCancelCause(t.Context())
		gone := errors.New("gone")
		var all sync.WaitGroup
		var mu sync.Mutex
		got := make(map[string]int)
		send := func(i int, name string) {
			all.Go(func() {
				_, _, err := p.LogIn(ctx, Attempt{Name: name, Password: pass, Address: stranger(i)})
				mu.Lock()
				defer mu.Unlock()
				got[fmt.Sprint(err)]++
			})
		}
		for range 5 {
			send(1, "anna")
		}
		synctest.Wait()
		if got[ErrBusy.Error()] != 3 {
			t.Errorf("five from one address: %v", got)
		}
		for i := range 100 {
			send(10+i, fmt.Sprint("name", i))
		}
		synctest.Wait()
		if got[ErrBusy.Error()] != 3+100-(hashesQueued+hashesAtOnce-2) || len(got) != 1 {
			t.Errorf("a hundred: %v", got)
		}
		leave(gone)
		all.Wait()
		if got[gone.Error()] != hashesQueued+hashesAtOnce {
			t.Errorf("who waited: %v", got)
		}
		<-p.places.hash
		if p.count(Failed) != 0 || len(p.places.queue) != 0 || len(p.places.hash) != 0 {
			t.Error("somebody was counted, or stays")
		}
		if err := p.try(t, "anna", pass, stranger(1)); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// What was hashed with other parameters is hashed anew when the password is there, and
// nobody notices.
func TestHashIsRenewedAtLogIn(t *testing.T) {
	p := newPlace(t)
	open := p.in(t, "bruno")
	later := another(p.cfg.Path)
	later.params.kib = 128
	hash := func() string {
		p.wantOpen(t, open, true) // reads the file
		return p.accounts["bruno"].Password
	}
	old := hash()
	if err := later.try(t, "bruno", "wrong", desk); !errors.Is(err, ErrWrong) || hash() != old {
		t.Errorf("a wrong password: %v, %s", err, hash())
	}
	later.in(t, "bruno")
	renewed := hash()
	if !strings.HasPrefix(renewed, "$argon2id$v=19$m=128,t=1,p=1$") {
		t.Errorf("after log-in: %s", renewed)
	}
	if later.in(t, "bruno"); hash() != renewed {
		t.Error("renewed although it is of today")
	}
	if err := later.try(t, "bruno", pass2, desk); !errors.Is(err, ErrWrong) {
		t.Error(err)
	}
}

// A password that changes while it is looked at does not open a session.
func TestPasswordThatWasReplacedMeanwhileDoesNotLetIn(t *testing.T) {
	p := newPlace(t)
	r, err := p.verify(t.Context(), "bruno", pass, desk)
	if err != nil {
		t.Fatal(err)
	}
	if err := another(p.cfg.Path).SetPassword(t.Context(), root, "bruno", pass2); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.open(r, desk); !errors.Is(err, ErrWrong) {
		t.Errorf("got %v", err)
	}
}

// Whatever the hash says: there must be an account, and what was typed must be what was
// hashed.
func TestHashAloneDoesNotLetIn(t *testing.T) {
	p := newPlace(t)
	p.decoy = hashed(cheap, pass)
	if err := p.try(t, "carla", pass, desk); !errors.Is(err, ErrWrong) {
		t.Errorf("unknown: %v", err)
	}
	err := rewrite(p.cfg.Path, func(all []record) ([]record, error) {
		all[0].Password = hashed(cheap, "").String() // nothing that Rules lets through
		return all, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.try(t, "anna", strings.Repeat("x", maxPassword+1), desk); !errors.Is(err, ErrWrong) {
		t.Errorf("too long: %v", err)
	}
}

func TestWhoHasLeftIsNotHashed(t *testing.T) {
	p := newPlace(t)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	for i := range 30 {
		if _, _, err := p.LogIn(ctx, Attempt{Name: "anna", Password: pass, Address: stranger(i)}); !errors.Is(err, context.Canceled) {
			t.Fatalf("try %d: %v", i, err)
		}
	}
	if err := p.try(t, "anna", pass, desk); err != nil {
		t.Errorf("they were counted: %v", err)
	}
}

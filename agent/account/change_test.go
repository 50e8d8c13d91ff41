package account

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

func TestPersonChangesTheirPassword(t *testing.T) {
	p := newPlace(t)
	token, other := p.in(t, "bruno"), p.in(t, "bruno")
	for want, try := range map[error][2]string{ErrWrong: {"wrong", pass2}, ErrShort: {pass, "short"}, ErrGuessable: {pass, "bruno bruno bruno"}} {
		if _, _, err := p.ChangePassword(t.Context(), token, desk, try[0], try[1]); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", try, err, want)
		}
	}
	p.wantOpen(t, other, true)
	fresh, s, err := p.ChangePassword(t.Context(), token, desk, pass, pass2)
	if err != nil || s.Name != "bruno" || fresh == token {
		t.Fatal(s, err)
	}
	p.wantOpen(t, fresh, true)
	p.wantOpen(t, token, false)
	p.wantOpen(t, other, false)
	if err := p.try(t, "bruno", pass, desk); !errors.Is(err, ErrWrong) {
		t.Errorf("the old one: %v", err)
	}
	if err := p.try(t, "bruno", pass2, desk); err != nil {
		t.Errorf("the new one: %v", err)
	}
}

// An administrator who sets a password at the same moment has the last word.
func TestAdministratorsPasswordStands(t *testing.T) {
	p := newPlace(t)
	token := p.in(t, "bruno")
	p.meanwhile = func() {
		if err := another(p.cfg.Path).SetPassword(t.Context(), root, "bruno", "what the boss set"); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := p.ChangePassword(t.Context(), token, desk, pass, pass2); !errors.Is(err, ErrNoSession) {
		t.Errorf("got %v", err)
	}
	p.wantOpen(t, token, false)
	if err := p.try(t, "bruno", "what the boss set", desk); err != nil {
		t.Error(err)
	}
}

// Whoever found an open page has ten tries at the password like everybody.
func TestOldPasswordIsNotGuessedFromASession(t *testing.T) {
	p := newPlace(t)
	token := p.in(t, "bruno")
	for range maxWrong {
		if _, _, err := p.ChangePassword(t.Context(), token, desk, "wrong", pass2); !errors.Is(err, ErrWrong) {
			t.Fatal(err)
		}
	}
	_, _, err := p.ChangePassword(t.Context(), token, desk, pass, pass2)
	wantWait(t, err, p.now().Add(firstLock))
}

func TestLastAdministratorStays(t *testing.T) {
	p := newPlace(t)
	for what, err := range map[string]error{"removed": p.Remove(root, "anna"), "made technician": p.SetRole(root, "anna", Technician)} {
		if !errors.Is(err, ErrLast) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := errors.Join(p.SetRole(root, "anna", Administrator), p.SetRole(root, "bruno", Administrator), p.Remove(root, "anna")); err != nil {
		t.Error(err)
	}
	if err := p.Remove(root, "bruno"); !errors.Is(err, ErrLast) {
		t.Error(err)
	}
}

func TestChangeOfNobodyIsNone(t *testing.T) {
	p := newPlace(t)
	for what, err := range map[string]error{
		"password": p.SetPassword(t.Context(), root, "carla", pass), "role": p.SetRole(root, "carla", Technician),
		"removal": p.Remove(root, "carla"), "unlock": p.Unlock(root, "carla"),
	} {
		if !errors.Is(err, ErrUnknown) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, role := range []Role{0, 3, -1} {
		if a, b := p.Add(t.Context(), root, "carla", pass, role), p.SetRole(root, "bruno", role); !errors.Is(a, ErrRole) || !errors.Is(b, ErrRole) {
			t.Errorf("role %d: %v, %v", role, a, b)
		}
	}
	if len(p.events) != 0 {
		t.Errorf("told: %v", p.events)
	}
}

func TestAccountsHaveAnEnd(t *testing.T) {
	p := newPlace(t)
	for i := range maxAccounts - 2 {
		p.add(t, fmt.Sprint("person", i), Technician)
	}
	if err := p.Add(t.Context(), root, "onemore", pass, Technician); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
}

// Who, when, from where; in order; never a password, never what a stranger typed.
func TestTrailTellsWhoDidWhat(t *testing.T) {
	p := newPlace(t)
	by := Actor{"anna", desk}
	_ = p.try(t, "bruno", "my secret!", far)
	_ = p.try(t, "the password in the wrong field", "x", far)
	token := p.in(t, "bruno")
	_, _, err := p.ChangePassword(t.Context(), token, far, pass, pass2)
	err = errors.Join(err, p.Add(t.Context(), by, "carla", pass, Technician), p.SetRole(by, "carla", Administrator), p.Unlock(by, "bruno"),
		p.SetPassword(t.Context(), by, "bruno", pass), p.Remove(by, "carla"), p.LogOut(p.in(t, "anna"), desk))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range p.events {
		if !e.At.Equal(p.now()) {
			t.Errorf("at %v", e.At)
		}
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s: %s %s %s %s", e.Action, e.Who, e.Address, e.Account, e.Role)))
	}
	want := []string{
		"log-in failed:  192.0.2.200 bruno nobody", "log-in failed:  192.0.2.200  nobody",
		"log-in: bruno 192.0.2.10 bruno technician", "password changed: bruno 192.0.2.200 bruno nobody",
		"account made: anna 192.0.2.10 carla technician", "role changed: anna 192.0.2.10 carla administrator",
		"account unlocked: anna 192.0.2.10 bruno nobody", "password changed: anna 192.0.2.10 bruno nobody",
		"account removed: anna 192.0.2.10 carla nobody", "log-in: anna 192.0.2.10 anna administrator", "log-out: anna 192.0.2.10 anna nobody",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, secret := range []string{"secret", "wrong field", pass, pass2, token, "argon2id"} {
		if text := fmt.Sprintf("%+v", p.events); strings.Contains(text, secret) {
			t.Errorf("the trail has %q", secret)
		}
	}
}

func TestWhatCannotBeRecordedDoesNotHappen(t *testing.T) {
	p := newPlace(t)
	token := p.in(t, "anna")
	before, _ := os.ReadFile(p.cfg.Path)
	p.err = errors.New("the disk is full")
	_, _, change := p.ChangePassword(t.Context(), token, desk, pass, pass2)
	for what, err := range map[string]error{
		"log-in": p.try(t, "bruno", pass, desk), "own password": change, "made": p.Add(t.Context(), root, "carla", pass, Technician),
		"password": p.SetPassword(t.Context(), root, "bruno", pass2), "role": p.SetRole(root, "bruno", Administrator),
		"removal": p.Remove(root, "bruno"), "unlock": p.Unlock(root, "bruno"),
	} {
		if !errors.Is(err, p.err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if after, _ := os.ReadFile(p.cfg.Path); string(after) != string(before) || len(p.sessions) != 1 {
		t.Errorf("something happened: %d sessions", len(p.sessions))
	}
	if err := p.try(t, "bruno", "wrong", desk); !errors.Is(err, ErrWrong) || !errors.Is(err, p.err) {
		t.Errorf("a wrong password: %v", err)
	}
	if err := p.LogOut(token, desk); !errors.Is(err, p.err) {
		t.Errorf("log-out: %v", err)
	}
	p.wantOpen(t, token, false) // that does
}

func TestFloodDoesNotFillTheTrail(t *testing.T) {
	p := newPlace(t)
	for i := range 1000 {
		_ = p.try(t, fmt.Sprint("name", i), "wrong", stranger(i))
	}
	if n := p.count(Failed); n != noisy {
		t.Errorf("%d rows", n)
	}
	p.wrongly(t, "bruno", 10, desk) // five minutes
	told := 0
	for _, e := range p.events {
		told += e.LeftOut
	}
	if p.count(Locked) != 1 || told+p.count(Failed) != 1010 {
		t.Errorf("told %d and %d left out, %d locks", p.count(Failed), told, p.count(Locked))
	}
}

// Two processes add accounts at once, and nobody's is lost.
func TestTwoProcessesWriteTheFile(t *testing.T) {
	const each = 10
	if path := os.Getenv("ACCOUNT_TEST_FILE"); path != "" {
		p := another(path)
		for i := range each {
			p.add(t, fmt.Sprint(os.Getenv("ACCOUNT_TEST_NAME"), i), Technician)
		}
		return
	}
	p := newPlace(t)
	var all sync.WaitGroup
	for _, name := range []string{"one", "two"} {
		all.Go(func() {
			c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTwoProcessesWriteTheFile$", "-test.count=1")
			c.Env = append(os.Environ(), "ACCOUNT_TEST_FILE="+p.cfg.Path, "ACCOUNT_TEST_NAME="+name)
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s", name, err, out)
			}
		})
	}
	for i := range each {
		p.add(t, fmt.Sprint("three", i), Technician)
	}
	all.Wait()
	if got, err := p.List(); err != nil || len(got) != 2+3*each {
		t.Errorf("%d accounts, %v", len(got), err)
	}
}

// The same from many goroutines of one process, with people at work: for the race
// detector.
func TestAllAtOnce(t *testing.T) {
	p := newPlace(t)
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			name := fmt.Sprint("person", i)
			err := p.Add(t.Context(), root, name, pass, Technician)
			token, s, in := p.LogIn(t.Context(), Attempt{Name: name, Password: pass, Address: stranger(i)})
			if err != nil || in != nil || !p.CheckCSRF(token, s.CSRF) {
				t.Errorf("%s: %v, %v", name, err, in)
			}
			_, list := p.List()
			if err := errors.Join(list, p.SetRole(root, name, Administrator), p.Unlock(root, name), p.Remove(root, name)); err != nil {
				t.Error(err)
			}
			p.wantOpen(t, token, false)
		})
	}
	all.Wait()
}

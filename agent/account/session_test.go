package account

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func TestSessionEndsWithoutUse(t *testing.T) {
	p := newPlace(t)
	token := p.in(t, "bruno")
	for range 3 {
		p.pass(30*time.Minute - time.Second)
		s, err := p.Use(token)
		if err != nil || s.Name != "bruno" || s.Role != Technician || !s.Ends.Equal(p.now().Add(30*time.Minute)) {
			t.Fatalf("%+v, %v", s, err)
		}
	}
	p.pass(30*time.Minute - time.Second)
	p.wantOpen(t, token, true) // Look is no use
	p.pass(time.Second)
	p.wantOpen(t, token, false)
	if _, err := p.Use(token); !errors.Is(err, ErrNoSession) || len(p.sessions) != 0 {
		t.Errorf("used again: %v, %d kept", err, len(p.sessions))
	}
}

func TestSessionEndsAfterTwelveHours(t *testing.T) {
	p := newPlace(t)
	token, end := p.in(t, "bruno"), p.now().Add(12*time.Hour)
	for p.now().Before(end.Add(-time.Minute)) {
		s, err := p.Use(token)
		if err != nil || s.Ends.After(end) {
			t.Fatalf("at %v: %v, %v", p.now(), s.Ends, err)
		}
		p.pass(time.Minute)
	}
	p.pass(time.Minute)
	p.wantOpen(t, token, false)
}

func TestTokenIsWorthNothingAfterLogOut(t *testing.T) {
	p := newPlace(t)
	token, other := p.in(t, "bruno"), p.in(t, "bruno")
	csrf := p.csrfOf(t, token)
	if err := p.LogOut(token, desk); err != nil {
		t.Fatal(err)
	}
	p.wantOpen(t, token, false)
	p.wantOpen(t, other, true)
	if p.CheckCSRF(token, csrf) {
		t.Error("its forms are taken")
	}
	if _, _, err := p.ChangePassword(t.Context(), token, desk, pass, pass2); !errors.Is(err, ErrNoSession) {
		t.Errorf("its password changes: %v", err)
	}
	if err := p.LogOut(token, desk); err != nil || p.count(LoggedOut) != 1 {
		t.Errorf("logged out twice: %v, told %d", err, p.count(LoggedOut))
	}
}

// A token that somebody put into the browser before is no session, neither before nor
// after log-in; and the session that was there ends.
func TestNobodyChoosesAToken(t *testing.T) {
	p := newPlace(t)
	planted := base64.RawURLEncoding.EncodeToString(make([]byte, tokenLen))
	p.wantOpen(t, planted, false)
	strangers := p.in(t, "anna")
	for _, before := range []string{planted, strangers} {
		token, s, err := p.LogIn(t.Context(), Attempt{Name: "bruno", Password: pass, Address: desk, Token: before})
		if err != nil || token == before || s.Name != "bruno" {
			t.Fatalf("%+v, %v", s, err)
		}
		p.wantOpen(t, before, false)
	}
	// A wrong password ends nothing: else anybody's form could log people out.
	token := p.in(t, "bruno")
	_, _, _ = p.LogIn(t.Context(), Attempt{Name: "bruno", Password: "wrong", Address: desk, Token: token})
	p.wantOpen(t, token, true)
}

func TestTokensAreRandomAndNotKept(t *testing.T) {
	p := newPlace(t)
	seen := make(map[string]bool)
	for range 20 {
		token := p.in(t, "bruno")
		raw, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil || len(raw) != 32 || seen[token] {
			t.Fatalf("%d bytes, %v, seen %v", len(raw), err, seen[token])
		}
		seen[token] = true
		if p.sessions[digest(raw)] != nil || p.sessions[sha256.Sum256(raw)] == nil {
			t.Error("kept by something else than its digest")
		}
		if text := fmt.Sprintf("%+v", p.sessions); strings.Contains(text, token) {
			t.Error("the token is kept")
		}
	}
	for _, token := range []string{"", "x", strings.Repeat("A", 43), strings.Repeat("=", 43), strings.Repeat("A", 1<<20)} {
		p.wantOpen(t, token, false)
	}
}

func (p place) csrfOf(t *testing.T, token string) string {
	t.Helper()
	s, err := p.Look(token)
	if err != nil || len(s.CSRF) < 43 {
		t.Fatalf("%q: %v", s.CSRF, err)
	}
	return s.CSRF
}

func TestFormsAreOfTheirSession(t *testing.T) {
	p := newPlace(t)
	one, two := p.in(t, "bruno"), p.in(t, "bruno")
	csrf := p.csrfOf(t, one)
	if !p.CheckCSRF(one, csrf) || csrf != p.csrfOf(t, one) {
		t.Error("its own is refused")
	}
	sum := sha256.Sum256([]byte(one))
	for what, c := range map[string][2]string{
		"of another session": {two, csrf}, "none": {one, ""}, "a part": {one, csrf[:20]}, "the token": {one, one},
		"a digest anybody makes": {one, base64.RawURLEncoding.EncodeToString(sum[:])}, "no session": {"", csrf}, "neither": {"", ""},
	} {
		if p.CheckCSRF(c[0], c[1]) {
			t.Errorf("%s is taken", what)
		}
	}
	p.pass(time.Hour)
	if p.CheckCSRF(one, csrf) {
		t.Error("taken when the session is over")
	}
}

// What ends them happens in this process or in another one.
func TestSessionsEndWithWhatTheyWereOpenedBy(t *testing.T) {
	p := newPlace(t)
	p.add(t, "carla", Administrator)
	for where, by := range map[string]place{"here": p, "there": another(p.cfg.Path)} {
		for what, do := range map[string]func() error{
			"password": func() error { return by.SetPassword(t.Context(), root, "bruno", pass) },
			"role": func() error {
				return errors.Join(by.SetRole(root, "bruno", Administrator), by.SetRole(root, "bruno", Technician))
			},
			"removal": func() error { return by.Remove(root, "bruno") },
			"another of this name": func() error {
				return errors.Join(by.Remove(root, "bruno"), by.Add(t.Context(), root, "bruno", pass, Technician))
			},
			"no file": func() error { return os.Rename(p.cfg.Path, p.cfg.Path+".away") },
		} {
			bruno, anna := p.in(t, "bruno"), p.in(t, "anna")
			if err := do(); err != nil {
				t.Fatalf("%s %s: %v", what, where, err)
			}
			p.wantOpen(t, bruno, false)
			p.wantOpen(t, anna, what != "no file")
			_ = os.Rename(p.cfg.Path+".away", p.cfg.Path)
			p.wantOpen(t, bruno, false) // for good
			if what == "removal" {
				p.add(t, "bruno", Technician)
			}
		}
	}
}

func TestUnlockAndOtherPeoplesChangesEndNoSession(t *testing.T) {
	p := newPlace(t)
	token := p.in(t, "bruno")
	if err := errors.Join(p.Unlock(root, "bruno"), p.SetPassword(t.Context(), root, "anna", pass2)); err != nil {
		t.Fatal(err)
	}
	p.wantOpen(t, token, true)
}

func TestSessionsHaveAnEnd(t *testing.T) {
	p := newPlace(t)
	anna, first := p.in(t, "anna"), p.in(t, "bruno")
	p.pass(time.Second)
	var tokens []string
	for range sessionsAccount {
		tokens = append(tokens, p.in(t, "bruno"))
		p.pass(time.Second)
	}
	p.wantOpen(t, first, false) // the one that was not used for longest
	p.wantOpen(t, anna, true)   // not another's
	for _, token := range tokens {
		p.wantOpen(t, token, true)
	}
	all, err := p.List()
	if err != nil || all[1].Sessions != sessionsAccount {
		t.Errorf("%v, %v", all, err)
	}
	for i := range sessionsAll/sessionsAccount + 3 {
		name := fmt.Sprint("person", i)
		p.add(t, name, Technician)
		for range sessionsAccount {
			p.in(t, name)
		}
	}
	if len(p.sessions) != sessionsAll {
		t.Errorf("%d in all", len(p.sessions))
	}
	p.pass(time.Hour)
	if _, err := p.List(); err != nil || len(p.sessions) != 0 {
		t.Errorf("an hour later %d, %v", len(p.sessions), err)
	}
}

// A file that cannot be believed lets nobody in and keeps nobody in; what was open is
// there again when the file is.
func TestDamagedFileLetsNobodyIn(t *testing.T) {
	p := newPlace(t)
	token := p.in(t, "anna")
	good, err := os.ReadFile(p.cfg.Path)
	if err != nil {
		t.Fatal(err)
	}
	for what, damage := range map[string]func() error{
		"cut":      func() error { return os.WriteFile(p.cfg.Path, good[:len(good)/2], 0o600) },
		"empty":    func() error { return os.WriteFile(p.cfg.Path, nil, 0o600) },
		"writable": func() error { return os.Chmod(p.cfg.Path, 0o620) },
		"a symlink": func() error {
			return errors.Join(os.Rename(p.cfg.Path, p.cfg.Path+"2"), os.Symlink(p.cfg.Path+"2", p.cfg.Path))
		},
		"a folder":   func() error { return errors.Join(os.Remove(p.cfg.Path), os.Mkdir(p.cfg.Path, 0o700)) },
		"of version": func() error { return os.WriteFile(p.cfg.Path, []byte(`{"version":2,"accounts":[]}`), 0o600) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if s, err := p.Use(token); err == nil {
			t.Errorf("%s: session %v", what, s)
		}
		if err := p.try(t, "anna", pass, desk); err == nil || errors.Is(err, ErrWrong) {
			t.Errorf("%s: log-in %v", what, err)
		}
		if err := p.Add(t.Context(), root, "dora", pass, Administrator); err == nil {
			t.Errorf("%s: an account was made", what)
		}
		if err := errors.Join(os.RemoveAll(p.cfg.Path), os.WriteFile(p.cfg.Path, good, 0o600)); err != nil {
			t.Fatal(err)
		}
		p.wantOpen(t, token, true)
	}
}

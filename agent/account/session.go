package account

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
	"time"
)

const (
	tokenLen        = 32
	sessionsAccount = 8
	sessionsAll     = 256
)

type digest [sha256.Size]byte

// session is kept by the digest of its token.
type session struct {
	name, stamp string
	began, used time.Time
	csrf        string
	address     netip.Addr // of the log-in
}

// Session is who is logged in.
type Session struct {
	Name string
	Role Role
	Ends time.Time // if it is not used any more
	CSRF string    // for the forms of this session
}

// Use is the session of token, which counts as used now; ErrNoSession where there is
// none.
func (b *Book) Use(token string) (Session, error) { return b.session(token, true) }

// Look is like Use, but does not keep the session open: for streams and pages that
// renew themselves.
func (b *Book) Look(token string) (Session, error) { return b.session(token, false) }

func (b *Book) session(token string, use bool) (Session, error) {
	key, ok := digestOf(token)
	if !ok {
		return Session{}, ErrNoSession
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sessions[key] == nil { // a stranger does not make us read the file
		return Session{}, ErrNoSession
	}
	if err := b.refresh(); err != nil {
		return Session{}, err
	}
	s, now := b.sessions[key], b.cfg.Now()
	if s == nil {
		return Session{}, ErrNoSession
	}
	if b.over(s, now) {
		b.lapse(now, func(x *session) bool { return x == s })
		return Session{}, ErrNoSession
	}
	if use {
		s.used = now
	}
	return b.shown(s), nil
}

func (b *Book) shown(s *session) Session {
	ends := s.used.Add(b.cfg.Idle)
	if last := s.began.Add(b.cfg.Life); last.Before(ends) {
		ends = last
	}
	return Session{Name: s.name, Role: b.accounts[s.name].Role, Ends: ends, CSRF: s.csrf}
}

func (b *Book) over(s *session, now time.Time) bool {
	return now.Sub(s.used) >= b.cfg.Idle || now.Sub(s.began) >= b.cfg.Life
}

// CheckCSRF is whether given is the token of the forms of this session, which must be
// open.
func (b *Book) CheckCSRF(token, given string) bool {
	s, err := b.Look(token)
	return err == nil && hmac.Equal([]byte(s.CSRF), []byte(given))
}

// LogOut ends the session of token, if there is one. The error is of the audit trail:
// the session has ended all the same.
func (b *Book) LogOut(token string, address netip.Addr) error {
	key, _ := digestOf(token)
	b.mu.Lock()
	now := b.cfg.Now()
	b.lapse(now, func(s *session) bool { return b.over(s, now) })
	s := b.sessions[key]
	delete(b.sessions, key)
	b.mu.Unlock()
	if s == nil {
		return nil
	}
	return b.cfg.Audit.Note(Event{At: now, Action: LoggedOut, Who: s.name, Account: s.name, Address: address})
}

// open makes a session for the account that was verified as r, or ErrWrong where that is
// not the account any more.
func (b *Book) open(r record, from netip.Addr) (string, Session, error) {
	token := random(tokenLen)
	key := digest(sha256.Sum256(token))
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.refresh(); err != nil {
		return "", Session{}, err
	}
	if b.accounts[r.Name].Stamp != r.Stamp {
		return "", Session{}, ErrWrong
	}
	now := b.cfg.Now()
	b.makeRoom(r.Name, now)
	s := &session{name: r.Name, stamp: r.Stamp, began: now, used: now, csrf: b.csrf(key), address: from}
	b.sessions[key] = s
	return base64.RawURLEncoding.EncodeToString(token), b.shown(s), nil
}

// makeRoom for one more: what is over goes, else what was not used for longest, of the
// account if that has its share, else of all.
func (b *Book) makeRoom(name string, now time.Time) {
	b.lapse(now, func(s *session) bool { return b.over(s, now) })
	b.dropOldest(now, sessionsAccount, func(s *session) bool { return s.name == name })
	b.dropOldest(now, sessionsAll, func(*session) bool { return true })
}

func (b *Book) dropOldest(now time.Time, limit int, of func(*session) bool) {
	var oldest *session
	count := 0
	for _, s := range b.sessions {
		if !of(s) {
			continue
		}
		if count++; oldest == nil || s.used.Before(oldest.used) {
			oldest = s
		}
	}
	if count >= limit {
		b.lapse(now, func(s *session) bool { return s == oldest })
	}
}

func (b *Book) dropSessions(which func(*session) bool) {
	for key, s := range b.sessions {
		if which(s) {
			delete(b.sessions, key)
		}
	}
}

// csrf is bound to the session: another one's does not fit, and it says nothing of the
// token.
func (b *Book) csrf(key digest) string {
	mac := hmac.New(sha256.New, b.key)
	mac.Write(key[:])
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// digestOf a token as a browser sends it.
func digestOf(token string) (digest, bool) {
	if len(token) != base64.RawURLEncoding.EncodedLen(tokenLen) {
		return digest{}, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	return digest(sha256.Sum256(raw)), err == nil
}

package main

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"edged/hub/ledger"
)

// sessions are the browsers that have logged in. They are in memory: when hubd
// starts again everybody logs in again.
type sessions struct {
	mu  sync.Mutex // guards by
	by  map[[sha256.Size]byte]*session
	now func() time.Time
}

// session stands for the token that it was made with, and ends with it.
type session struct {
	token         string // name
	csrf          string
	made, touched time.Time
}

const (
	sessionIdle  = 30 * time.Minute
	sessionMost  = 12 * time.Hour
	maxSessions  = 1000
	cookiePlain  = "hubd"
	cookieSecure = "__Host-hubd" // RFC 6265bis §4.1.3.2: from this host, over TLS, for every path
)

func newSessions() *sessions {
	return &sessions{by: map[[sha256.Size]byte]*session{}, now: time.Now}
}

func random() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// add returns the cookie's value. When there are too many, the one that was idle
// for longest ends.
func (s *sessions) add(token string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.by) >= maxSessions {
		s.drop()
	}
	id, now := random(), s.now()
	s.by[sha256.Sum256([]byte(id))] = &session{token: token, csrf: random(), made: now, touched: now}
	return id
}

func (s *sessions) drop() {
	var oldest [sha256.Size]byte
	var at time.Time
	for key, one := range s.by {
		if at.IsZero() || one.touched.Before(at) {
			oldest, at = key, one.touched
		}
	}
	delete(s.by, oldest)
}

// find returns a copy of one that is good.
func (s *sessions) find(id string) (session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, now := sha256.Sum256([]byte(id)), s.now()
	one := s.by[key]
	if one == nil {
		return session{}, false
	}
	if now.Sub(one.touched) > sessionIdle || now.Sub(one.made) > sessionMost {
		delete(s.by, key)
		return session{}, false
	}
	one.touched = now
	return *one, true
}

func (s *sessions) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.by, sha256.Sum256([]byte(id)))
}

func (c *console) cookieName() string {
	if c.h.cfg.Console.TLS.Cert != "" {
		return cookieSecure
	}
	return cookiePlain
}

func (c *console) cookie(value string, age int) *http.Cookie {
	return &http.Cookie{Name: c.cookieName(), Value: value, Path: "/", MaxAge: age, HttpOnly: true, Secure: c.h.cfg.Console.TLS.Cert != "", SameSite: http.SameSiteStrictMode}
}

// browser is who has a session. Its token is looked up each time: a session does
// not outlive it.
func (c *console) browser(r *http.Request) (caller, *problem) {
	who := caller{origin: originOf(r)}
	k, err := r.Cookie(c.cookieName())
	if err != nil {
		return who, nil
	}
	one, ok := c.sessions.find(k.Value)
	if !ok {
		return who, nil
	}
	t, err := c.h.ledger.TokenNamed(r.Context(), one.token)
	if err != nil && !errors.Is(err, ledger.ErrNoToken) {
		c.h.log.Error("token not looked up", "err", err)
		return who, unavailable("the ledger cannot be asked at the moment; the session goes on")
	}
	if err != nil || !t.Good(time.Now()) {
		c.sessions.end(k.Value)
		return who, nil
	}
	who.name, who.csrf = t.Name, one.csrf
	who.role, _ = roleOf(t.Role)
	c.memory.usedToken(t.Name, time.Now())
	return who, nil
}

// sameForm reports whether a form came from a page of this session.
func (c caller) sameForm(r *http.Request) bool {
	return c.csrf != "" && subtle.ConstantTimeCompare([]byte(r.PostFormValue("csrf")), []byte(c.csrf)) == 1
}

const maxForm = 64 << 10

// logIn is POST /login.
func (c *console) logIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	origin := originOf(r)
	t, p := c.token(r.Context(), origin, r.PostFormValue("token"))
	if p != nil {
		p.retry(w)
		c.html(w, p.Status, "login", view{Title: "Log in", Data: loginData{Problem: p, Back: backTo(r.PostFormValue("back"))}})
		return
	}
	who := caller{name: t.Name, origin: origin}
	if err := c.h.ledger.Audit(r.Context(), who.who(), "log in", "console", ""); err != nil {
		c.problemPage(w, caller{}, c.problemOf(err))
		return
	}
	http.SetCookie(w, c.cookie(c.sessions.add(t.Name), int(sessionMost.Seconds())))
	http.Redirect(w, r, backTo(r.PostFormValue("back")), http.StatusSeeOther)
}

// logOut is POST /logout.
func (c *console) logOut(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	who, _ := c.browser(r)
	if k, err := r.Cookie(c.cookieName()); err == nil && who.sameForm(r) {
		c.sessions.end(k.Value) // also where it cannot be written down
		if err := c.h.ledger.Audit(r.Context(), who.who(), "log out", "console", ""); err != nil {
			c.h.log.Error("audit trail not written", "err", err)
		}
		http.SetCookie(w, c.cookie("", -1))
	}
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// backTo is a place of this console, whatever was asked for.
func backTo(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(path, "//") || strings.Contains(path, "\\") {
		return "/"
	}
	return u.RequestURI()
}

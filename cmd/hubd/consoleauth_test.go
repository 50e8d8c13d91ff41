package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edged/hub/ledger"
)

// browser keeps the cookie, as browsers do.
type browser struct {
	*desk
	cookie string
}

func (b *browser) do(method, path string, form url.Values, headers ...string) *httptest.ResponseRecorder {
	b.Helper()
	body := ""
	if form != nil {
		body, headers = form.Encode(), append(headers, "Content-Type", "application/x-www-form-urlencoded")
	}
	if b.cookie != "" {
		headers = append(headers, "Cookie", b.cookie)
	}
	w := b.ask(method, path, "", body, headers...)
	for _, k := range w.Result().Cookies() {
		b.cookie = k.Name + "=" + k.Value
		if k.MaxAge < 0 {
			b.cookie = ""
		}
	}
	return w
}

func (d *desk) logIn(role string) *browser {
	d.Helper()
	b := &browser{desk: d}
	if w := b.do("POST", "/login", url.Values{"token": {d.token(role)}, "back": {"/appliances"}}); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/appliances" {
		d.Fatalf("log-in: %d %s", w.Code, w.Body)
	}
	return b
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

func (b *browser) csrf(path string) string {
	b.Helper()
	m := csrfField.FindStringSubmatch(b.do("GET", path, nil).Body.String())
	if m == nil {
		b.Fatalf("%s has no form", path)
	}
	return m[1]
}

// The token becomes a cookie that scripts and other sites do not get; what changes
// something needs the form's own secret too; a log-out ends it.
func TestABrowserLogsInActsAndLogsOut(t *testing.T) {
	d := newDesk(t)
	d.busy()
	b := &browser{desk: d}
	if w := b.do("GET", "/appliances", nil); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/login?back=%2Fappliances" {
		t.Errorf("without a session: %d %s", w.Code, w.Header().Get("Location"))
	}
	b = d.logIn("operator")
	w := b.do("POST", "/login", url.Values{"token": {d.token("operator")}})
	if c := w.Header().Get("Set-Cookie"); !strings.Contains(c, "HttpOnly") || !strings.Contains(c, "SameSite=Strict") || strings.Contains(c, tokenPrefix) {
		t.Errorf("cookie %q", c)
	}
	if w := b.do("GET", "/appliances/box1", nil); w.Code != 200 || !strings.Contains(w.Body.String(), "Revoke") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	csrf := b.csrf("/appliances/box1")
	for _, wrong := range []string{"", csrf[:40] + "xxx", random()} {
		if w := b.do("POST", "/appliances/box1/revoke", url.Values{"csrf": {wrong}}); w.Code != http.StatusForbidden {
			t.Errorf("with the form's secret %q: %d", wrong, w.Code)
		}
	}
	if w := b.do("POST", "/appliances/box1/revoke", url.Values{"csrf": {csrf}}, "Sec-Fetch-Site", "cross-site"); w.Code != http.StatusForbidden {
		t.Errorf("from another site: %d", w.Code)
	}
	if a := d.get("/api/v1/appliances/box1", d.token("viewer")); a["state"] != "approved" {
		t.Fatalf("it was revoked by what was refused: %v", a)
	}
	if w := b.do("POST", "/appliances/box1/revoke", url.Values{"csrf": {csrf}, "back": {"//evil.example/x"}}); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/" {
		t.Errorf("%d to %q", w.Code, w.Header().Get("Location"))
	}
	if a := d.get("/api/v1/appliances/box1", d.token("viewer")); a["state"] != "revoked" {
		t.Errorf("got %v", a)
	}
	if w := b.do("GET", "/tokens", nil); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "needs the role admin") {
		t.Errorf("tokens for an operator: %d", w.Code)
	}
	old := b.cookie
	b.do("POST", "/logout", url.Values{"csrf": {"wrong"}})
	if w := b.do("GET", "/appliances", nil); w.Code != 200 {
		t.Errorf("another site can log out: %d", w.Code)
	}
	b.do("POST", "/logout", url.Values{"csrf": {b.csrf("/appliances")}})
	if w := b.do("GET", "/appliances", nil, "Cookie", old); w.Code != http.StatusSeeOther {
		t.Errorf("after the log-out: %d", w.Code)
	}
}

// A session is no bearer token, and ends with the token that it was made with.
func TestASessionEndsWithItsToken(t *testing.T) {
	d := newDesk(t)
	b := d.logIn("viewer")
	if w := d.ask("GET", "/api/v1/appliances", "", "", "Cookie", b.cookie); w.Code != http.StatusUnauthorized {
		t.Errorf("the API takes cookies: %d", w.Code)
	}
	all, err := d.h.ledger.Tokens(t.Context(), "", 10)
	d.must(err)
	d.must(d.h.ledger.RevokeToken(t.Context(), all[0].Name, "cli:test"))
	if w := b.do("GET", "/appliances", nil); w.Code != http.StatusSeeOther {
		t.Errorf("the token was revoked and its session goes on: %d", w.Code)
	}
}

func TestSessionsEndByIdlenessAndByAge(t *testing.T) {
	s := newSessions()
	now := time.Now()
	s.now = func() time.Time { return now }
	id := s.add("anna")
	for range 23 {
		now = now.Add(29 * time.Minute)
		if _, ok := s.find(id); !ok {
			t.Fatal("it ended while it was used")
		}
	}
	now = now.Add(sessionMost - 23*29*time.Minute + time.Second)
	if _, ok := s.find(id); ok {
		t.Error("older than it may be")
	}
	id = s.add("anna")
	now = now.Add(sessionIdle + time.Second)
	if _, ok := s.find(id); ok {
		t.Error("idle for longer than it may be")
	}
	first := s.add("berta")
	for range maxSessions {
		now = now.Add(time.Millisecond)
		s.add("anna")
	}
	if _, ok := s.find(first); ok || len(s.by) > maxSessions {
		t.Errorf("%d sessions", len(s.by))
	}
}

// Who guesses is locked out, by address; the same wrong token again is no guess. Who
// has a good one goes on, also from that address: many have the one of a tunnel or NAT.
func TestWhoGuessesTokensIsLockedOut(t *testing.T) {
	d := newDesk(t)
	good, b := d.token("viewer"), d.logIn("viewer")
	d.origin = "10.0.0.66:1"
	wrong, _ := newToken()
	for range 50 {
		if w := d.ask("GET", "/api/v1/appliances", wrong, ""); w.Code != http.StatusUnauthorized {
			t.Fatalf("a program with an old token is locked out: %d", w.Code)
		}
	}
	for range maxWrong {
		guess, _ := newToken()
		d.ask("POST", "/login", "", url.Values{"token": {guess}}.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	}
	guess, _ := newToken()
	w := d.ask("GET", "/api/v1/appliances", guess, "")
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "wait 15m") && !strings.Contains(w.Body.String(), "wait 14m") {
		t.Errorf("after %d guesses: %d %s", maxWrong, w.Code, w.Body)
	}
	if w := b.do("GET", "/appliances", nil); w.Code != http.StatusOK {
		t.Errorf("who has logged in from there: %d", w.Code)
	}
	if w := d.ask("GET", "/api/v1/appliances", good, ""); w.Code != http.StatusOK {
		t.Errorf("a good token from there: %d %s", w.Code, w.Body)
	}
	d.logIn("viewer")
	d.origin = "10.0.0.67:1"
	if w := d.ask("GET", "/api/v1/appliances", good, ""); w.Code != http.StatusOK {
		t.Errorf("from another address: %d", w.Code)
	}
	entries, _, err := d.h.ledger.AuditPage(t.Context(), ledger.AuditFilter{Action: "log-in failed"}, 0, 1000)
	d.must(err)
	if len(entries) == 0 || len(entries) > noteBurst || entries[0].Origin != "10.0.0.66" || strings.Contains(fmt.Sprint(entries), wrong) {
		t.Errorf("%d rows: %+v", len(entries), entries[0])
	}
}

// P9: whoever comes from everywhere takes no more memory than is allowed, and fills
// the trail no faster.
func TestTheGuardIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		now := time.Now()
		for n := range 3 * maxAddresses {
			g.failed(fmt.Sprintf("2001:db8:%x:%x::1", n>>12, n&0xfff), [32]byte{byte(n)}, now)
		}
		if len(g.by) > maxAddresses {
			t.Errorf("%d addresses", len(g.by))
		}
		if network("2001:db8::1") != network("2001:db8::ffff:1") || network("10.0.0.1") == network("10.0.0.2") {
			t.Error("who has a /64 has many addresses")
		}
		written := 0
		var dropped int64
		for range 3600 {
			n, ok := g.strangers.take(now)
			if dropped += n; ok {
				written++
			}
			now = now.Add(time.Second)
		}
		if written > noteBurst+3600/30+1 || written < 100 || dropped < 3000 {
			t.Errorf("%d rows in an hour, %d told of", written, dropped)
		}
		g.by = map[string]*failures{}
		for n := range maxWrong {
			g.failed("10.0.0.1", [32]byte{byte(n)}, now)
		}
		if g.wait("10.0.0.1", now.Add(lockFor-time.Second)) == 0 || g.wait("10.0.0.1", now.Add(lockFor)) != 0 {
			t.Error("the lock lasts for another time than it says")
		}
	})
}

// The first token is made on the machine; roles are as given; what ended is refused.
func TestTokensAreMadeListedAndRevokedOnTheMachine(t *testing.T) {
	s := newSite(t)
	p := s.start()
	token := strings.TrimSpace(s.do("token", "new", "--name", "anna", "--role", "admin"))
	ask := func(token string) int {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+p.console+"/api/v1/tokens", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		rs, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		rs.Body.Close()
		return rs.StatusCode
	}
	if code := ask(token); code != http.StatusOK {
		t.Errorf("got %d", code)
	}
	if code := ask(token + "x"); code != http.StatusUnauthorized {
		t.Errorf("another token: %d", code)
	}
	if ls := s.do("token", "ls"); !strings.Contains(ls, "anna  admin  good") || strings.Contains(ls, token) {
		t.Errorf("ls:\n%s", ls)
	}
	s.do("token", "revoke", "anna")
	if code := ask(token); code != http.StatusUnauthorized {
		t.Errorf("revoked: %d", code)
	}
	if out := s.do("audit", "verify"); !strings.Contains(out, "rows of the chain are as they were written") {
		t.Errorf("verify: %s", out)
	}
	last := regexp.MustCompile(`last hash ([0-9a-f]{64})`).FindStringSubmatch(s.do("audit", "verify"))[1]
	if out := s.do("audit", "verify", "--last", last); !strings.Contains(out, "nothing up to it was cut off") {
		t.Errorf("verify --last: %s", out)
	}
	var refused, why strings.Builder
	if code := run(t.Context(), []string{"audit", "verify", "--last", strings.Repeat("ab", 32), "-c", s.config}, &refused, &why); code != exitFailed || !strings.Contains(why.String(), "no row of the chain has the hash") {
		t.Errorf("a hash of another chain: exit %d %s", code, &why)
	}
	export := s.do("audit", "export")
	if !strings.Contains(export, `"action":"token revoke","subject":"anna"`) || strings.Contains(export, token) {
		t.Errorf("export:\n%s", export)
	}
	for _, args := range []string{"token new --name A --role admin", "token new --name a --role king", "token new --name a --role admin --ttl 1s", "audit verify --last xyz"} {
		var out, errOut strings.Builder
		if code := run(t.Context(), append(strings.Fields(args), "-c", s.config), &out, &errOut); code != exitUsage {
			t.Errorf("%s: exit %d", args, code)
		}
	}
}

// Strangers who fill the trail as fast as they may keep nothing out of it that somebody
// with a token tried. A log-out is a row, as the log-in is.
func TestStrangersHideNoRefusalOfATokenInTheTrail(t *testing.T) {
	d := newDesk(t)
	viewer := d.token("viewer")
	for range 3 * noteBurst {
		wrong, _ := newToken()
		d.ask("GET", "/api/v1/appliances", wrong, "")
		d.origin = fmt.Sprintf("10.0.%d.1:1", len(wrong)+time.Now().Nanosecond()%200)
	}
	if w := d.ask("POST", "/api/v1/codes", viewer, "{}"); w.Code != http.StatusForbidden {
		t.Fatalf("a viewer makes a code: %d", w.Code)
	}
	b := d.logIn("viewer")
	b.do("POST", "/logout", url.Values{"csrf": {b.csrf("/appliances")}})
	entries, _, err := d.h.ledger.AuditPage(t.Context(), ledger.AuditFilter{}, 0, 3)
	d.must(err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Action+" "+e.Subject)
	}
	if fmt.Sprint(got) != "[log out console log in console token new "+strings.TrimPrefix(entries[2].Subject, "")+"]" || !strings.HasPrefix(entries[0].Actor, "token:viewer-") {
		t.Errorf("got %v by %s", got, entries[0].Actor)
	}
	entries, _, err = d.h.ledger.AuditPage(t.Context(), ledger.AuditFilter{Action: "refused"}, 0, 10)
	d.must(err)
	if len(entries) != 1 || entries[0].Subject != "/api/v1/codes" || !strings.HasPrefix(entries[0].Actor, "token:viewer-") {
		t.Errorf("refused: %+v", entries)
	}
}

package page

import (
	"crypto/tls"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edged/agent/account"
)

// door is a page with accounts, and a clock that the test turns.
type door struct {
	*Page
	t    *testing.T
	book *account.Book
	now  time.Time
}

// secretWord is the password of everybody here.
const secretWord = "Fiume lento 77"

func newDoor(t *testing.T, change func(*Config)) *door {
	t.Helper()
	d := &door{t: t, now: morning}
	d.book = account.New(account.Config{Path: filepath.Join(t.TempDir(), "edge", "accounts.json"), KiB: 64, Now: func() time.Time { return d.now }, Log: slog.New(slog.DiscardHandler)})
	for name, role := range map[string]account.Role{"anna": account.Administrator, "tea": account.Technician} {
		if err := d.book.Add(t.Context(), account.Actor{Name: "test"}, name, secretWord, role); err != nil {
			t.Fatal(err)
		}
	}
	cfg := Config{Source: ordinary(), Location: rome, Version: "0.1.0", Accounts: d.book, now: func() time.Time { return d.now },
		Studies: struct{ StudyDesk }{}, Fix: struct{ FixDesk }{}, Devices: struct{ DeviceDesk }{}, Tests: struct{ TestDesk }{}, Alarms: madeUpAlarms{},
		LineDesk: struct{ LineDesk }{}, System: struct{ SystemDesk }{}, Audit: struct{ AuditDesk }{}, Days: struct{ DayDesk }{}}
	if change != nil {
		change(&cfg)
	}
	var err error
	if d.Page, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return d
}

// browser is one, at an address, with its cookies.
type browser struct {
	*door
	plain   bool
	address string
	host    string
	jar     map[string]string
	csrf    string
}

func (d *door) browser() *browser {
	return &browser{door: d, address: "10.1.2.3:40000", host: "10.0.0.9:8443", jar: map[string]string{}}
}

func (b *browser) send(method, path string, form url.Values, headers ...string) *http.Response {
	b.t.Helper()
	r := httptest.NewRequestWithContext(b.t.Context(), method, path, strings.NewReader(form.Encode()))
	if method == "GET" {
		r = httptest.NewRequestWithContext(b.t.Context(), method, path, nil)
	}
	r.RemoteAddr, r.Host = b.address, b.host
	scheme := "http://"
	if !b.plain {
		r.TLS, scheme = &tls.ConnectionState{}, "https://"
	}
	if method == "POST" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", scheme+b.host)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	r.Header.Set("Accept-Language", "en")
	for name, value := range b.jar {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if r.Header.Del(headers[i]); headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	answer := w.Result()
	for _, c := range answer.Cookies() {
		if b.jar[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.jar, c.Name)
		}
	}
	return answer
}

// bodyText is the body of an answer, saysOf what stands in it.
func bodyText(t *testing.T, r *http.Response) string {
	t.Helper()
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func saysOf(t *testing.T, r *http.Response) string {
	t.Helper()
	return html.UnescapeString(bodyText(t, r))
}

func (b *browser) logIn(name, password string, headers ...string) *http.Response {
	b.t.Helper()
	return b.send("POST", "/login", url.Values{"name": {name}, "password": {password}, "to": {"/accounts"}}, headers...)
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// in is a browser in which somebody is logged in.
func (d *door) in(name string) *browser {
	d.t.Helper()
	b := d.browser()
	if r := b.logIn(name, secretWord); r.StatusCode != http.StatusSeeOther {
		d.t.Fatalf("log-in: %d", r.StatusCode)
	}
	m := csrfField.FindStringSubmatch(bodyText(d.t, b.send("GET", "/password", nil)))
	if m == nil {
		d.t.Fatal("the page for the password has no token")
	}
	b.csrf = m[1]
	return b
}

func (b *browser) post(path string, pairs ...string) *http.Response {
	b.t.Helper()
	form := url.Values{"csrf": {b.csrf}}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return b.send("POST", path, form)
}

// The cookie of a session goes back to where it came from and to nobody else; what a
// browser had before log-in is no session after it.
func TestLogInGivesACookieThatNobodyElseGets(t *testing.T) {
	d := newDoor(t, nil)
	for _, c := range []struct {
		name, address, cookie string
		plain                 bool
	}{{"by TLS", "10.1.2.3:5", secureCookie, false}, {"on the machine itself", "127.0.0.1:5", plainCookie, true}, {"and by IPv6", "[::1]:5", plainCookie, true}} {
		b := d.browser()
		b.address, b.plain = c.address, c.plain
		b.jar[c.cookie] = "chosen-by-somebody-else"
		r := b.logIn("Anna ", secretWord)
		if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/accounts" || len(r.Cookies()) != 1 {
			t.Fatalf("%s: %d to %q, cookies %v", c.name, r.StatusCode, r.Header.Get("Location"), r.Cookies())
		}
		k := r.Cookies()[0]
		if k.Name != c.cookie || !k.HttpOnly || k.SameSite != http.SameSiteStrictMode || k.Secure == c.plain || k.Path != "/" || k.Domain != "" || k.Value == "chosen-by-somebody-else" || k.MaxAge != 0 || !k.Expires.IsZero() {
			t.Errorf("%s: cookie %v", c.name, k)
		}
		if r := b.send("GET", "/accounts", nil); r.StatusCode != http.StatusOK || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: accounts %d, %v", c.name, r.StatusCode, r.Header)
		}
	}
}

// Who guesses is not told whether a name is right, and waits after ten tries: the answer
// says how long, in his language.
func TestAWrongPasswordIsToldAndTenAreTooMany(t *testing.T) {
	d := newDoor(t, nil)
	b := d.browser()
	known, unknown := b.logIn("anna", "not the password"), b.logIn("nobody", "not the password")
	a, o := saysOf(t, known), saysOf(t, unknown)
	if known.StatusCode != http.StatusForbidden || unknown.StatusCode != known.StatusCode || nonce.ReplaceAllString(strings.ReplaceAll(a, `"anna"`, `"nobody"`), "") != nonce.ReplaceAllString(o, "") {
		t.Errorf("known: %d, unknown: %d", known.StatusCode, unknown.StatusCode)
	}
	if !strings.Contains(a, "The name or the password is wrong.") || strings.Contains(a, "not the password") || len(known.Cookies()) != 0 {
		t.Errorf("the answer to a wrong password: %v\n%s", known.Cookies(), a)
	}
	for range 9 {
		b.logIn("anna", "not the password")
	}
	for lang, want := range map[string]string{"it": "Riprova tra 15 minuti", "en": "Try again in 15 minutes", "de": "in 15 Minuten wieder"} {
		r := b.logIn("anna", secretWord, "Accept-Language", lang)
		if text := saysOf(t, r); r.StatusCode != http.StatusTooManyRequests || r.Header.Get("Retry-After") != "900" || !strings.Contains(text, want) {
			t.Errorf("%s: %d, Retry-After %s, want %q in\n%s", lang, r.StatusCode, r.Header.Get("Retry-After"), want, text)
		}
	}
	if r := d.in("tea").send("GET", "/password", nil); r.StatusCode != http.StatusOK {
		t.Errorf("somebody else is kept out: %d", r.StatusCode)
	}
	elsewhere := d.browser()
	elsewhere.address = "10.9.9.9:1"
	if r := elsewhere.logIn("anna", secretWord); r.StatusCode != http.StatusSeeOther {
		t.Errorf("whose name it is is kept out by a stranger: %d", r.StatusCode)
	}
	d.now = d.now.Add(14*time.Minute + 30*time.Second)
	if text := saysOf(t, b.logIn("anna", secretWord)); !strings.Contains(text, "Try again in 1 minute,") {
		t.Errorf("after 14:30 minutes: %s", text)
	}
	d.now = d.now.Add(time.Minute)
	if r := b.logIn("anna", secretWord); r.StatusCode != http.StatusSeeOther {
		t.Errorf("after the wait: %d", r.StatusCode)
	}
}

// nonce is another one in each page.
var nonce = regexp.MustCompile(`nonce="[^"]*"`)

// An administrator ends a lock-out, and sees it.
func TestAnAdministratorUnlocks(t *testing.T) {
	d := newDoor(t, nil)
	anna, b := d.in("anna"), d.browser()
	for range 10 {
		b.logIn("tea", "not the password")
	}
	if text := saysOf(t, anna.send("GET", "/accounts", nil)); !strings.Contains(text, "Locked for an address until 08:57") {
		t.Errorf("the list does not say who is locked:\n%s", text)
	}
	if r := anna.post("/accounts/unlock", "name", "tea"); !strings.Contains(saysOf(t, anna.send("GET", r.Header.Get("Location"), nil)), catalogues["en"].Say("notice.account_freed")) {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
	if r := b.logIn("tea", secretWord); r.StatusCode != http.StatusSeeOther {
		t.Errorf("after it: %d", r.StatusCode)
	}
}

// Another site's form logs nobody in and changes nothing, nor does a form without the
// token of this very session.
func TestOnlyOurOwnFormsAreBelieved(t *testing.T) {
	d := newDoor(t, func(c *Config) { c.Hosts = []string{"edge1.hospital.example"} })
	foreign := []struct {
		name    string
		headers []string
		host    string
	}{
		{"another origin", []string{"Origin", "https://evil.example"}, ""},
		{"another port", []string{"Origin", "https://10.0.0.9:9999"}, ""},
		{"another origin of the same site", []string{"Sec-Fetch-Site", "same-site"}, ""},
		{"another site that says no origin", []string{"Origin", "", "Sec-Fetch-Site", "cross-site"}, ""},
		{"no origin at all", []string{"Origin", "", "Sec-Fetch-Site", ""}, ""},
		{"a sandbox", []string{"Origin", "null"}, ""},
		{"a sandbox and no host", []string{"Origin", "null", "Sec-Fetch-Site", ""}, "-"},
		{"a typed address", []string{"Origin", "", "Sec-Fetch-Site", "none"}, ""},
		{"a name that was made to lead here", nil, "rebound.evil.example"},
	}
	anna, other := d.in("anna"), d.in("anna")
	for _, c := range foreign {
		b, anna := d.browser(), new(browser)
		*anna = *other
		if c.host != "" {
			b.host, anna.host = strings.Trim(c.host, "-"), strings.Trim(c.host, "-")
		}
		if r := b.logIn("anna", secretWord, c.headers...); r.StatusCode < 400 || len(r.Cookies()) != 0 {
			t.Errorf("%s logs in: %d %v", c.name, r.StatusCode, r.Cookies())
		}
		form := url.Values{"csrf": {anna.csrf}, "name": {"x"}, "role": {"technician"}, "password": {secretWord}}
		if r := anna.send("POST", "/accounts/add", form, c.headers...); r.StatusCode < 400 {
			t.Errorf("%s makes an account: %d", c.name, r.StatusCode)
		}
	}
	for name, token := range map[string]string{"no token": "", "a wrong one": "abc", "that of another session": other.csrf} {
		anna := *anna
		anna.csrf = token
		if r := anna.post("/accounts/add", "name", "x", "role", "technician", "password", secretWord); r.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d", name, r.StatusCode)
		}
	}
	if all, err := d.book.List(); err != nil || len(all) != 2 {
		t.Errorf("accounts: %v, %v", all, err)
	}
	for _, host := range []string{"10.0.0.9:8443", "[fd00::9]:8443", "localhost:8080", "edge1.hospital.example:8443", "EDGE1.hospital.example"} {
		anna.host = host
		if r := anna.post("/accounts/unlock", "name", "tea"); r.StatusCode != http.StatusSeeOther {
			t.Errorf("our own name %s: %d", host, r.StatusCode)
		}
	}
	if r := d.browser().send("GET", "/accounts/add", nil); r.StatusCode != http.StatusMethodNotAllowed && r.StatusCode != http.StatusNotFound {
		t.Errorf("a link makes a change: %d", r.StatusCode)
	}
}

// After log-in nobody is sent elsewhere.
func TestLogInLeadsToThisPageOnly(t *testing.T) {
	for _, to := range []string{"", "//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example/", "javascript:alert(1)", "evil.example", "///evil.example", "/\t/evil.example",
		"/\n/evil.example", "/%09/evil.example", "/%5Cevil.example", "/%2F/evil.example", "//user@evil.example", "/login", "/login?to=/login", "http:/evil.example", "/" + strings.Repeat("a", 3000), "/\x7f", "%2F%2Fevil.example", "?to=x"} {
		if got := local(to); got != "/" {
			t.Errorf("%q leads to %q", to, got)
		}
	}
	for _, to := range []string{"/", "/accounts", "/studies?q=a%20b&day=2026-11-22", "/devices/of/CT%2F1", "/studies#x"} {
		if got := local(to); got != to {
			t.Errorf("%q leads to %q", to, got)
		}
	}
}

// Every change there is refuses who may not make it, whoever added it to the page.
func TestNobodyDoesWhatHisRoleDoesNotAllow(t *testing.T) {
	d := newDoor(t, nil)
	nobody, tea := d.browser(), d.in("tea")
	nobody.csrf = tea.csrf
	wildcard := regexp.MustCompile(`\{[^}]*\}`)
	deeds := d.deeds()
	if len(deeds) < 7 {
		t.Fatalf("only %d changes are looked at", len(deeds))
	}
	for _, e := range deeds {
		path := wildcard.ReplaceAllString(strings.ReplaceAll(e.path, "{$}", ""), "x")
		if e.role != account.Technician && e.role != account.Administrator {
			t.Errorf("%s may be done by %v", e.path, e.role)
		}
		if r := nobody.post(path); r.StatusCode != http.StatusForbidden {
			t.Errorf("%s by anybody: %d", path, r.StatusCode)
		}
		if e.role == account.Administrator {
			if r := tea.post(path); r.StatusCode != http.StatusForbidden {
				t.Errorf("%s by a technician: %d", path, r.StatusCode)
			}
		}
	}
	for _, l := range d.leaves() {
		path := wildcard.ReplaceAllString(strings.ReplaceAll(l.path, "{$}", ""), "x")
		if l.role == 0 {
			continue
		}
		if r := nobody.send("GET", path, nil); r.StatusCode != http.StatusSeeOther || !strings.HasPrefix(r.Header.Get("Location"), "/login?to=") {
			t.Errorf("%s is shown to anybody: %d %s", path, r.StatusCode, r.Header.Get("Location"))
		}
		if l.role == account.Administrator {
			if r := tea.send("GET", path, nil); r.StatusCode != http.StatusForbidden {
				t.Errorf("%s is shown to a technician: %d", path, r.StatusCode)
			}
		}
	}
}

// A page that stays open while its session ends, or another one begins, loads itself
// whole: it never says that somebody manages who does not.
func TestAnOpenPageFollowsTheSession(t *testing.T) {
	d := newDoor(t, func(c *Config) {
		c.Studies, c.Fix, c.Devices, c.Tests, c.Alarms, c.LineDesk, c.System, c.Audit, c.Days = nil, nil, nil, nil, nil, nil, nil, nil, nil
	})
	b := d.in("tea")
	again := func(v string) bool { return b.send("GET", "/", nil, freshHeader, v).Header.Get("HX-Refresh") == "true" }
	drawn := d.viewer(b.asks("/", "X")).drawn()
	if !strings.Contains(bodyText(t, b.send("GET", "/", nil)), drawn) {
		t.Fatal("the page does not say for whom it was drawn")
	}
	if again(drawn) || !again(build) || !again(build+".administrator.tea") {
		t.Error("while it lasts: wrong")
	}
	d.now = d.now.Add(31 * time.Minute)
	if !again(drawn) || again(build) {
		t.Error("after its end: wrong")
	}
	if text := bodyText(t, b.send("GET", "/", nil)); strings.Contains(text, "tea") || strings.Contains(text, `class="managing"`) {
		t.Errorf("after its end somebody manages:\n%s", text)
	}
}

// A page that renews itself keeps no session open, one that somebody opens does; after
// the end the page is that of anybody.
func TestASessionEndsWhenNobodyDoesAnything(t *testing.T) {
	for _, header := range []string{freshHeader, "HX-Request"} {
		d := newDoor(t, nil)
		b := d.in("tea")
		for range 5 {
			d.now = d.now.Add(20 * time.Minute)
			if r := b.send("GET", "/password", nil); r.StatusCode != http.StatusOK {
				t.Fatalf("in use: %d", r.StatusCode)
			}
		}
		for range 2 {
			d.now = d.now.Add(14 * time.Minute)
			if !d.viewer(b.asks("/", header)).In() {
				t.Fatalf("%s: it ended early", header)
			}
		}
		d.now = d.now.Add(3 * time.Minute)
		if v := d.viewer(b.asks("/", header)); v.In() || v.Name != "" || v.Token != "" {
			t.Errorf("%s: after 31 minutes it is that of %+v", header, v)
		}
		if r := b.send("GET", "/password", nil); r.StatusCode != http.StatusSeeOther {
			t.Errorf("%s: after its end: %d", header, r.StatusCode)
		}
		if r := b.post("/logout"); r.StatusCode != http.StatusForbidden || !strings.Contains(saysOf(t, r), "You are logged out") {
			t.Errorf("%s: a form from before: %d", header, r.StatusCode)
		}
	}
}

// A sheet of paper has no script that renews it: it asks for itself once more when the
// session has ended, so that no name stays on the screen, and keeps no session open by it.
func TestASheetGoesWhenTheSessionHasEnded(t *testing.T) {
	d := newDoor(t, func(c *Config) { *c = allDesks(*c) })
	b := d.in("tea")
	sheet := bodyText(t, b.send("GET", "/devices/sheet?bilingual=1", nil))
	want := `data-leave="1802" data-leave-to="/devices/sheet?bilingual=1&amp;look=1"`
	if !strings.Contains(sheet, want) {
		t.Errorf("the sheet stays: it has no %s:\n%.900s", want, sheet)
	}
	if strings.Contains(bodyText(t, d.browser().send("GET", "/devices/sheet", nil)), `data-leave`) {
		t.Error("a sheet without a person renews itself")
	}
	d.now = d.now.Add(29 * time.Minute)
	b.send("GET", "/devices/sheet?look=1", nil)
	if d.now = d.now.Add(2 * time.Minute); d.viewer(b.asks("/", freshHeader)).In() {
		t.Error("a sheet that asks for itself keeps the session open")
	}
}

func (b *browser) asks(path, header string) *http.Request {
	r := httptest.NewRequestWithContext(b.t.Context(), "GET", path, nil)
	r.RemoteAddr, r.TLS = b.address, &tls.ConnectionState{}
	r.AddCookie(&http.Cookie{Name: secureCookie, Value: b.jar[secureCookie]})
	r.Header.Set(header, "1")
	return r
}

func TestLogOutEndsTheSession(t *testing.T) {
	d := newDoor(t, func(c *Config) { *c = allDesks(*c) })
	b := d.in("tea")
	stolen := b.jar[secureCookie]
	if r := b.post("/logout"); r.StatusCode != http.StatusSeeOther || !strings.Contains(saysOf(t, b.send("GET", r.Header.Get("Location"), nil)), catalogues["en"].Say("notice.logged_out")) || b.jar[secureCookie] != "" {
		t.Errorf("%d to %q, cookies %v", r.StatusCode, r.Header.Get("Location"), b.jar)
	}
	b.jar[secureCookie] = stolen
	if d.viewer(b.asks("/", "X")).In() {
		t.Error("its cookie still lets somebody in")
	}
}

// Over the network without TLS no password is taken and no session known; the page says
// what to do.
func TestNobodyLogsInOverAWireThatOthersRead(t *testing.T) {
	d := newDoor(t, nil)
	b := d.browser()
	b.plain = true
	r := b.logIn("anna", secretWord)
	if text := saysOf(t, r); r.StatusCode != http.StatusForbidden || len(r.Cookies()) != 0 || !strings.Contains(text, "without HTTPS") || strings.Contains(text, `type="password"`) {
		t.Errorf("%d %v\n%s", r.StatusCode, r.Cookies(), text)
	}
	if text := saysOf(t, b.send("GET", "/login", nil)); !strings.Contains(text, "without HTTPS") || strings.Contains(text, `type="password"`) {
		t.Errorf("the page asks for a password:\n%s", text)
	}
	here := d.browser()
	here.plain, here.address = true, "127.0.0.1:1"
	here.logIn("anna", secretWord)
	b.jar = here.jar
	if r := b.send("GET", "/accounts", nil); r.StatusCode != http.StatusSeeOther {
		t.Errorf("a session of this machine is known from elsewhere: %d", r.StatusCode)
	}
	if r := here.send("GET", "/accounts", nil); r.StatusCode != http.StatusOK {
		t.Errorf("on this machine: %d", r.StatusCode)
	}
}

// A new password ends all sessions of its account but the one in which it was set.
func TestANewPasswordEndsTheOtherSessions(t *testing.T) {
	d := newDoor(t, nil)
	here, there := d.in("tea"), d.in("tea")
	for _, c := range []struct {
		old, new, again, says string
		code                  int
	}{
		{"not this one 1", "Grande Fiume 78", "Grande Fiume 78", "The present password is wrong", 403},
		{secretWord, "Grande Fiume 78", "Grande Fiume 79", "not the same", 422},
		{secretWord, "kurz", "kurz", "fewer than 12", 422},
		{secretWord, "teatea1234567890", "teatea1234567890", "easy to guess", 422},
	} {
		r := here.post("/password", "old", c.old, "new", c.new, "again", c.again)
		if text := saysOf(t, r); r.StatusCode != c.code || !strings.Contains(text, c.says) || strings.Contains(text, c.new) {
			t.Errorf("%q: %d, want %d and %q\n%s", c.new, r.StatusCode, c.code, c.says, text)
		}
	}
	old := here.jar[secureCookie]
	if r := here.post("/password", "old", secretWord, "new", "Grande Fiume 78", "again", "Grande Fiume 78"); r.StatusCode != http.StatusSeeOther || here.jar[secureCookie] == old {
		t.Errorf("%d, cookies %v", r.StatusCode, r.Cookies())
	}
	if r := here.send("GET", "/password", nil); r.StatusCode != http.StatusOK {
		t.Errorf("here: %d", r.StatusCode)
	}
	if r := there.send("GET", "/password", nil); r.StatusCode != http.StatusSeeOther {
		t.Errorf("in the other browser: %d", r.StatusCode)
	}
	if r := d.browser().logIn("tea", secretWord); r.StatusCode != http.StatusForbidden {
		t.Errorf("the old password: %d", r.StatusCode)
	}
}

// An administrator makes, changes and removes accounts; what cannot be is said in words.
func TestAccountsAreManagedOnThePage(t *testing.T) {
	d := newDoor(t, nil)
	anna := d.in("anna")
	for _, c := range []struct{ path, pairs, says string }{
		{"/accounts/add", "name=m.rossi&role=technician&password=Grande+Fiume+78", "notice.account_made"},
		{"/accounts/add", "name=m.rossi&role=technician&password=Grande+Fiume+78", "accounts.exists"},
		{"/accounts/add", "name=%3Cb%3E&role=technician&password=Grande+Fiume+78", "accounts.badname"},
		{"/accounts/add", "name=x1&role=root&password=Grande+Fiume+78", "accounts.badrole"},
		{"/accounts/add", "name=x1&role=technician&password=kurz", "accounts.short"},
		{"/accounts/role", "name=m.rossi&role=administrator", "notice.account_changed"},
		{"/accounts/role", "name=nobody&role=administrator", "accounts.unknown"},
		{"/accounts/password", "name=m.rossi&password=Grande+Fiume+79", "notice.account_changed"},
		{"/accounts/remove", "name=m.rossi", "accounts.notsure"},
		{"/accounts/remove", "name=m.rossi&sure=1", "notice.account_removed"},
		{"/accounts/remove", "name=anna&sure=1", "accounts.last"},
		{"/accounts/role", "name=anna&role=technician", "accounts.last"},
	} {
		form, err := url.ParseQuery(c.pairs)
		if err != nil {
			t.Fatal(err)
		}
		typed := form.Get("name")
		form.Set("csrf", anna.csrf)
		r := anna.send("POST", c.path, form)
		to := r.Header.Get("Location")
		raw := bodyText(t, anna.send("GET", to, nil))
		if text := html.UnescapeString(raw); !strings.HasPrefix(to, "/accounts?") || strings.Contains(to, url.QueryEscape(typed)) || !strings.Contains(text, catalogues["en"].Say(c.says)) {
			t.Errorf("%s %s: %d to %q, which does not say %s", c.path, c.pairs, r.StatusCode, to, c.says)
		}
		if again := strings.Contains(raw, `name="name" value="`+html.EscapeString(typed)+`" maxlength`); again != (c.path == "/accounts/add" && !strings.HasPrefix(c.says, "notice.")) {
			t.Errorf("%s %s: what was typed is there again: %t", c.path, c.pairs, again)
		}
		if strings.Contains(raw, "<b>") {
			t.Error("what was typed is markup")
		}
	}
}

// Where nothing can be recorded, nobody is told that it went wrong inside, but what it
// means.
func TestWhatCannotBeRecordedIsSaid(t *testing.T) {
	d := newDoor(t, nil)
	tea := d.in("tea")
	w := httptest.NewRecorder()
	r := tea.asks("/", "X")
	d.failed(w, d.request(r), fmt.Errorf("pause: %w: no key", ErrNotRecorded))
	if text := saysOf(t, w.Result()); w.Code != http.StatusServiceUnavailable || strings.Contains(text, "no key") || !strings.Contains(text, "registro di chi fa che cosa") {
		t.Errorf("%d: %s", w.Code, text)
	}
}

// No request takes memory or a connection for long by what it brings along.
func TestWhatIsSentIsBounded(t *testing.T) {
	d := newDoor(t, nil)
	tea := d.in("tea")
	if r := tea.post("/logout", "x", strings.Repeat("a", maxForm)); r.StatusCode != http.StatusBadRequest || r.Header.Get("Connection") != "close" {
		t.Errorf("a long form: %d", r.StatusCode)
	}
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/", strings.NewReader("x"))
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest || w.Header().Get("Connection") != "close" {
		t.Errorf("a GET with a body: %d", w.Code)
	}
}

// Who sends a form slowly, or a body where none belongs, does not keep a connection.
func TestASlowFormKeepsNoConnection(t *testing.T) {
	for _, head := range []string{"POST /login HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n", "GET / HTTP/1.1\r\n"} {
		synctest.Test(t, func(t *testing.T) {
			d := newDoor(t, nil)
			theirs, ours := net.Pipe()
			l := &oneConn{conns: make(chan net.Conn, 1)}
			l.conns <- ours
			server := &http.Server{Handler: d.Page}
			over := make(chan error, 1)
			go func() { over <- server.Serve(l) }()
			began := time.Now()
			go fmt.Fprintf(theirs, "%sHost: 10.0.0.9\r\nContent-Length: 1000\r\n\r\nname=", head)
			answer, err := io.ReadAll(theirs) // to its end
			if took := time.Since(began); !strings.HasPrefix(string(answer), "HTTP/1.1 400") || err != nil || took > 2*formWithin {
				t.Errorf("after %v: %v %.60q", took, err, answer)
			}
			theirs.Close()
			server.Close()
			<-over
		})
	}
}

// oneConn is a listener with one connection.
type oneConn struct{ conns chan net.Conn }

func (l *oneConn) Accept() (net.Conn, error) {
	if c, ok := <-l.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error   { close(l.conns); return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// Initials are for who came to us, not for a site that had its own name lead here.
func TestInitialsAreNotForAStrangersName(t *testing.T) {
	d := newDoor(t, func(c *Config) { c.Anonymous, c.Hosts = AnonymousMasked, []string{"edge1"} })
	for host, want := range map[string]bool{"10.0.0.9": true, "edge1:8080": true, "evil.example": false} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.Host = host
		rq := d.request(r)
		if got := rq.Masked(); got != want {
			t.Errorf("by %s: %t", host, got)
		}
		if rq.Viewer.Role = account.Administrator; rq.Full() != want || rq.Masked() != want {
			t.Errorf("by %s, with a cookie: %t %t", host, rq.Full(), rq.Masked())
		}
	}
}

package page

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

// searched is where a search for words leads.
func (b *browser) searched(words string, headers ...string) *http.Response {
	b.t.Helper()
	return b.send("POST", "/studies", url.Values{"csrf": {b.csrf}, "q": {words}, "day": {"2026-11-20"}, "device": {"CT1"}, "state": {"archived"}}, headers...)
}

// lastAsked is what the desk was asked last.
func (d *secretDesk) lastAsked() StudyQuery { return d.asked[len(d.asked)-1] }

func searchDoor(t *testing.T, anonymous string) (*door, *secretDesk) {
	desk := &secretDesk{}
	return newDoor(t, func(c *Config) {
		*c = allDesks(*c)
		c.Studies, c.Anonymous, c.Sentence, c.Hosts = desk, anonymous, sayPlainly, []string{"edge1.hospital.example"}
	}), desk
}

// Whom somebody looks for stands in no address: neither where the search leads, nor in a
// link of the list, nor in what it renews itself by. It is found all the same, on each
// page of the list, and again.
func TestNoAddressSaysWhomSomebodyLooksFor(t *testing.T) {
	d, desk := searchDoor(t, AnonymousState)
	tea := d.in("tea")
	r := tea.searched("SECRETWORD 501U")
	to := r.Header.Get("Location")
	if r.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, "/studies?") || strings.Contains(to, "SECRET") || strings.Contains(to, "501U") {
		t.Fatalf("%d to %q", r.StatusCode, to)
	}
	for _, q := range []string{"day=2026-11-20", "device=CT1", "state=archived"} {
		if !strings.Contains(to, q) {
			t.Errorf("%q lacks %s", to, q)
		}
	}
	for _, page := range []string{"", "&page=2", ""} {
		text := saysOf(t, tea.send("GET", to+page, nil))
		if got := desk.lastAsked(); got.Text != "SECRETWORD 501U" || got.Sight != SeesFull || got.Device != "CT1" {
			t.Errorf("%s asks for %+v", to+page, got)
		}
		if n := strings.Count(text, "SECRETWORD"); n != 1 || !strings.Contains(text, `value="SECRETWORD 501U"`) {
			t.Errorf("the words stand %d times on the page, want once, in the box", n)
		}
	}
	asked := len(desk.asked)
	text := saysOf(t, tea.send("GET", "/studies?q=SECRETWORD", nil)) // a bookmark of long ago
	if !strings.Contains(text, "This search is over") || strings.Contains(text, `value="SECRETWORD`) || len(desk.asked) != asked {
		t.Errorf("words of an address are looked for, or all studies are shown:\n%s", text)
	}
	for _, path := range []string{"/", "/studies"} {
		text := bodyText(t, tea.send("GET", path, nil))
		if box := strings.Index(text, `name="q"`); box < 0 || !strings.Contains(text[max(0, box-800):box], `method="post" action="/studies"`) {
			t.Errorf("%s: words are not sent by POST", path)
		}
	}
}

// A search is its session's: somebody else who has the address is told that it is over,
// and is shown no study. So is he himself when the session has ended.
func TestASearchIsItsSessions(t *testing.T) {
	d, desk := searchDoor(t, AnonymousMasked)
	tea, anna := d.in("tea"), d.in("anna")
	to := tea.searched("SECRETWORD").Header.Get("Location")
	over := func(name string, b *browser, to string) {
		t.Helper()
		asked := len(desk.asked)
		text := saysOf(t, b.send("GET", to, nil))
		if !strings.Contains(text, "This search is over") || strings.Contains(text, "SECRETWORD") || strings.Contains(text, "No study found") || len(desk.asked) != asked {
			t.Errorf("%s: asked %d times:\n%s", name, len(desk.asked)-asked, text)
		}
	}
	over("another session", anna, to)
	over("nobody", d.browser(), to)
	over("a number that is made up", tea, "/studies?s=AAAAAAAAAAAAAAAAAAAAAAAAAA")
	tea.post("/logout")
	over("after the log-out", tea, to)
	if n := len(d.slips.all); n != 1 { // the word of the log-out
		t.Errorf("%d slips are kept of a session that has ended", n)
	}
	to = anna.searched("SECRETWORD").Header.Get("Location")
	d.now = d.now.Add(12 * time.Hour)
	over("after twelve hours", d.in("anna"), to)
}

// Who has not logged in looks for initials where these are shown, and for no words where
// they are not.
func TestAnybodyLooksForWhatHeMaySee(t *testing.T) {
	for anonymous, want := range map[string]string{AnonymousState: "", AnonymousMasked: "Z.S."} {
		d, desk := searchDoor(t, anonymous)
		b := d.browser()
		b.plain = true
		r := b.searched("Z.S.")
		to := r.Header.Get("Location")
		if r.StatusCode != http.StatusSeeOther || strings.Contains(to, "Z.S") {
			t.Fatalf("%s: %d to %q", anonymous, r.StatusCode, to)
		}
		b.send("GET", to, nil)
		if q := desk.lastAsked(); q.Text != want || q.Device != "CT1" {
			t.Errorf("%s: asks %+v", anonymous, q)
		}
		b.address = "10.7.7.7:1"
		asked := len(desk.asked)
		if b.send("GET", to, nil); len(desk.asked) != asked && desk.lastAsked().Text != "" {
			t.Errorf("%s: another address sees the search %+v", anonymous, desk.lastAsked())
		}
	}
}

// Nobody else's page has somebody who is logged in look for somebody; filters name nobody.
func TestASearchComesFromOurOwnForm(t *testing.T) {
	d, desk := searchDoor(t, AnonymousMasked)
	tea, nobody := d.in("tea"), d.browser()
	for name, headers := range map[string][]string{"another origin": {"Origin", "https://evil.example"}, "no origin": {"Origin", "", "Sec-Fetch-Site", ""}, "another site": {"Sec-Fetch-Site", "cross-site"}} {
		for _, b := range []*browser{tea, nobody} {
			if r := b.searched("SECRETWORD", headers...); r.StatusCode != http.StatusForbidden {
				t.Errorf("%s: %d to %q", name, r.StatusCode, r.Header.Get("Location"))
			}
		}
	}
	stale := *tea
	stale.csrf = "AAAA"
	if r := stale.searched("SECRETWORD"); r.StatusCode != http.StatusForbidden {
		t.Errorf("another token: %d", r.StatusCode)
	}
	stale.jar, stale.csrf = map[string]string{}, tea.csrf
	if text := saysOf(t, stale.searched("SECRETWORD")); !strings.Contains(text, "Log in again") {
		t.Errorf("whose session has ended is told: %s", text)
	}
	nobody.host = "some.alias.example"
	if r := nobody.searched(""); r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/studies?day=2026-11-20&device=CT1&state=archived" {
		t.Errorf("filters alone: %d to %q", r.StatusCode, r.Header.Get("Location"))
	}
	if len(desk.asked) != 0 || len(d.slips.all) != 0 {
		t.Errorf("asked %+v, kept %d", desk.asked, len(d.slips.all))
	}
}

// What is kept is bounded, by who asked and in all; strangers take nothing of who has
// logged in (P9).
func TestSlipsAreBounded(t *testing.T) {
	var s slips
	in := viewer{Name: "tea", Role: viewers[1].Role, Token: "session"}
	mine := s.put(morning, in, url.Values{"q": {"mine"}})
	for i := range 3 * slipsAll {
		stranger := viewer{Address: netip.MustParseAddr(fmt.Sprintf("10.0.%d.%d", i/250%250, i%250))}
		if s.put(morning.Add(time.Duration(i)*time.Millisecond), stranger, url.Values{"q": {"x"}}) == "" {
			t.Fatal("nothing is kept")
		}
	}
	if n := len(s.all); n != slipsAll+1 {
		t.Errorf("%d are kept, want %d", n, slipsAll+1)
	}
	if got := s.look(morning, in, mine); got.Get("q") != "mine" {
		t.Errorf("mine is %v", got)
	}
	for i := range 2 * slipsOwner {
		s.put(morning.Add(time.Duration(i)*time.Second), in, url.Values{"q": {"x"}})
	}
	if n := len(s.all); n != slipsAll+slipsOwner || s.look(morning, in, mine) != nil {
		t.Errorf("%d are kept, want %d", n, slipsAll+slipsOwner)
	}
	if s.put(morning, in, url.Values{"q": {strings.Repeat("x", maxSlip)}}) != "" {
		t.Error("something of any length is kept")
	}
	if s.put(morning.Add(slipLife+time.Hour), in, url.Values{}); len(s.all) != 1 {
		t.Errorf("%d are kept of yesterday", len(s.all)-1)
	}
}

// Of IPv6 one machine has a whole /64 of addresses: its slips are those of one.
func TestStrangersOfIPv6AreOne(t *testing.T) {
	var s slips
	of := func(address string) viewer { return viewer{Address: netip.MustParseAddr(address)} }
	other, local := of("2001:db8:0:1::1"), of("::1")
	its, here := s.put(morning, other, url.Values{"q": {"its"}}), s.put(morning, local, url.Values{"q": {"here"}})
	for i := range 2 * slipsAll {
		s.put(morning.Add(time.Duration(i+1)*time.Millisecond), of(fmt.Sprintf("2001:db8::%x", i+1)), url.Values{"q": {"x"}})
	}
	if s.look(morning, other, its) == nil || s.look(morning, local, here) == nil || len(s.all) != slipsOwner+2 {
		t.Errorf("one machine pushes out all others: %d are kept", len(s.all))
	}
	if s.look(morning, of("10.0.0.1"), its) != nil || s.look(morning, viewer{}, its) != nil || s.look(morning, of("::2"), here) != nil {
		t.Error("somebody else sees it")
	}
}

// What a deed did is said once, to the session that did it: nobody writes a link that has
// the page say something, and what was refused is said by no link either.
func TestNoLinkHasThePageSaySomething(t *testing.T) {
	d := newDoor(t, func(c *Config) { *c = allDesks(*c) })
	anna, other := d.in("anna"), d.in("anna")
	to := anna.post("/accounts/unlock", "name", "tea").Header.Get("Location")
	says := func(b *browser, to string) bool {
		return strings.Contains(bodyText(t, b.send("GET", to, nil)), `class="notice"`)
	}
	if says(other, to) || says(d.browser(), strings.Replace(to, "/accounts", "/", 1)) {
		t.Error("somebody else is told")
	}
	if bodyText(t, anna.send("GET", to, nil, freshHeader, anna.viewerNow().drawn())); !says(anna, to) {
		t.Error("whoever did it is not told, or by a page that renewed itself")
	}
	if says(anna, to) {
		t.Error("it is said again")
	}
	for _, link := range []string{"/accounts?notice=account_made", "/?notice=logged_out", "/?notice=line.paused", "/accounts?wrong=last", "/accounts?wrong=name&name=evil"} {
		text := saysOf(t, anna.send("GET", link, nil))
		if strings.Contains(text, `class="notice"`) || strings.Contains(text, "accounts-wrong") || strings.Contains(text, `value="evil"`) {
			t.Errorf("%s has the page say something", link)
		}
	}
}

// viewerNow is who the browser's cookie says that it is.
func (b *browser) viewerNow() viewer { return b.viewer(b.asks("/", "X")) }

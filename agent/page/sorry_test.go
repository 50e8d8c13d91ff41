package page

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edged/agent/account"
)

// Who reads pages is told in one, with the way back, that there is nothing; scripts are
// told in a line.
func TestWhatIsNotHereIsSaidInAPage(t *testing.T) {
	for _, path := range []string{"/nothing", "/studies/none", "/index.html"} {
		p := deskPage(t, ordinary())
		for accept, page := range map[string]bool{"text/html,application/xhtml+xml": true, "*/*": false} {
			r := httptest.NewRequestWithContext(t.Context(), "GET", path+"?lang=it", nil)
			r.Header.Set("Accept", accept)
			w := httptest.NewRecorder()
			p.ServeHTTP(w, r)
			body := w.Body.String()
			if w.Code != http.StatusNotFound || !strings.Contains(body, "Questa pagina non c’è") {
				t.Errorf("%s for %s: %d %.200s", path, accept, w.Code, body)
			}
			if isPage := strings.Contains(body, `<nav class="menu"`) && strings.Contains(body, `class="btn btn-primary" href="/"`); isPage != page {
				t.Errorf("%s for %s is a page: %t", path, accept, isPage)
			}
		}
	}
	for _, path := range []string{"/api/v2/x", "/assets/x"} {
		if r := ask(t, ordinary(), path, "Accept", "text/html"); r.StatusCode != 404 || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain") {
			t.Errorf("%s: %d %s", path, r.StatusCode, r.Header.Get("Content-Type"))
		}
	}
}

// HEAD is answered as GET is, without the body; it waits for no end of a stream.
func TestHeadIsAnswered(t *testing.T) {
	p := deskPage(t, ordinary())
	paths := drawnPaths(p)
	for _, path := range append(paths, "/api/v1/status", "/api/v1/events", "/metrics", "/healthz", "/assets/page.js") {
		get, head := http.StatusOK, httptest.NewRecorder()
		if path != "/api/v1/events" {
			w := httptest.NewRecorder()
			p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
			get = w.Code
		}
		p.ServeHTTP(head, httptest.NewRequestWithContext(t.Context(), "HEAD", path, nil))
		if head.Code != get {
			t.Errorf("%s: HEAD %d, GET %d", path, head.Code, get)
		}
	}
}

// Before there is an account the page says how the first one is made, and asks for nothing.
func TestWithoutAnAccountThePageSaysHowTheFirstIsMade(t *testing.T) {
	d := newDoor(t, func(c *Config) {
		c.Accounts = account.New(account.Config{Path: filepath.Join(t.TempDir(), "edge", "accounts.json"), KiB: 64})
	})
	text := bodyText(t, d.browser().send("GET", "/login", nil))
	if !strings.Contains(text, "<code>edged account add NAME --role administrator</code>") || strings.Contains(text, `type="password"`) {
		t.Errorf("the page says %s", text)
	}
}

// Who manages reads until when.
func TestThePageSaysWhenTheSessionEnds(t *testing.T) {
	p := deskPage(t, ordinary())
	who := viewers[1]
	who.Ends = morning.Add(30 * time.Minute)
	body, _ := drawn(t, p, p.stateLeaf(), who, "it")
	if want := "si chiude da solo alle " + who.Ends.In(rome).Format("15:04"); !strings.Contains(body, want) {
		t.Errorf("no %q", want)
	}
}

// Sending can be resumed while it is paused, and where that is said.
func TestSendingIsResumedOnlyWhilePaused(t *testing.T) {
	source := ordinary()
	p := deskPage(t, source)
	line := p.lineLeaves()[0]
	for _, paused := range []bool{false, true} {
		if source.status.Uplink.PausedUntil = (time.Time{}); paused {
			source.status.Uplink.PausedUntil = morning.Add(time.Hour)
		}
		if body, _ := drawn(t, p, line, viewers[1], "it"); strings.Contains(body, "/line/resume") != paused {
			t.Errorf("paused %t: it is not so that only then sending can be resumed", paused)
		}
	}
}

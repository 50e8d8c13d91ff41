package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edged/hub"
	"edged/hub/ledger"
)

// pagePaths are all pages with something on them.
var pagePaths = []string{"/", "/trouble", "/studies", "/studies/1", "/findings", "/findings?code=fiscal.check", "/appliances", "/appliances/box0", "/codes", "/destinations", "/nodes", "/events", "/audit", "/tokens", "/login"}

// Every page is whole HTML, legible without scripts, and carries no form without its
// session's secret; what peers said is text and nothing else.
func TestEveryPageIsWholeAndTakesPeersTextAsText(t *testing.T) {
	d := newDesk(t)
	d.busy()
	evil := d.object("box0", 77, "evil")
	evil.Study, evil.Calling, evil.Names.SOPInstance = "<script>alert(1)</script>", `"><img src=x>`, "<b>bold"
	d.must(d.h.ledger.Receive(t.Context(), []hub.Object{evil}))
	jobs, err := d.h.ledger.Lease(t.Context(), "vna", 1, time.Hour)
	d.must(err)
	d.must(d.h.ledger.Refuse(t.Context(), jobs[0], "<script>steal()</script>"))
	d.must(d.h.ledger.Audit(t.Context(), "cli:<i>root", "<script>", "</td>", ""))
	b := d.logIn("admin")
	for _, path := range pagePaths {
		w := b.do("GET", path, nil)
		text := w.Body.String()
		if w.Code != http.StatusOK || !strings.HasSuffix(strings.TrimSpace(text), "</html>") || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %d %s", path, w.Code, text)
		}
		for _, bad := range []string{"<script", "<img", "<b>bold", "<i>root", "ZgotmplZ", "%!"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s has %q", path, bad)
			}
		}
		if strings.Count(text, `method="post"`) != strings.Count(text, `name="csrf"`)+strings.Count(text, `action="/login"`) {
			t.Errorf("%s: a form without the session's secret", path)
		}
		if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "script-src") {
			t.Errorf("%s: policy %q", path, csp)
		}
	}
	if text := b.do("GET", "/studies/"+fmt.Sprint(14), nil).Body.String(); !strings.Contains(text, "&lt;script&gt;alert(1)") {
		t.Errorf("the study's UID is not shown as it came: %s", text)
	}
}

// What needs a person stands on the first page, with where to go.
func TestTheOverviewSaysWhatNeedsAPersonFirst(t *testing.T) {
	d := newDesk(t)
	d.busy()
	text := d.logIn("viewer").do("GET", "/", nil).Body.String()
	for _, want := range []string{"Please look at this", "1 object is missing or damaged here", "1 object is held until somebody releases it", `<a href="/trouble?state=permanent">Show</a>`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(text, "Tokens") || strings.Contains(text, "Audit") {
		t.Error("the menu shows what a viewer may not see")
	}
}

// A code and a token made by a form are shown once, in the answer.
func TestSecretsAreShownOnce(t *testing.T) {
	d := newDesk(t)
	b := d.logIn("admin")
	w := b.do("POST", "/codes", map[string][]string{"csrf": {b.csrf("/codes")}, "facility": {"ASL1"}, "ttl": {"2d"}})
	if w.Code != 200 || !strings.Contains(w.Body.String(), "edged enroll --hub") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = b.do("POST", "/tokens", map[string][]string{"csrf": {b.csrf("/tokens")}, "name": {"berta"}, "role": {"viewer"}, "ttl": {"never"}})
	if w.Code != 200 || !strings.Contains(w.Body.String(), tokenPrefix) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, path := range []string{"/codes", "/tokens", "/audit"} {
		if strings.Contains(b.do("GET", path, nil).Body.String(), tokenPrefix) {
			t.Errorf("%s shows it again", path)
		}
	}
	got, err := d.h.ledger.TokenNamed(t.Context(), "berta")
	d.must(err)
	if !got.Expires.IsZero() || !strings.HasPrefix(got.CreatedBy, "token:admin-") {
		t.Errorf("got %+v", got)
	}
}

// TestPictures draws the pages with a real browser:
//
//	HUBD_PICTURES=/tmp/pictures go test -run Pictures ./cmd/hubd
//
// It asserts only that pictures came out: whether they are good is for eyes.
func TestPictures(t *testing.T) {
	dir := os.Getenv("HUBD_PICTURES")
	if dir == "" {
		t.Skip("set HUBD_PICTURES to the folder to write to")
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed: no picture is taken")
	}
	d := newDesk(t)
	d.h.cfg.Node = "hub-1"
	d.fleet()
	b := d.logIn("admin")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Cookie", b.cookie)
		d.handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	for _, path := range pagePaths {
		name := strings.Trim(strings.ReplaceAll(path, "/", "-"), "-")
		if name == "" {
			name = "overview"
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		out, err := exec.CommandContext(ctx, chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--user-data-dir="+t.TempDir(),
			"--window-size=1280,900", "--screenshot="+filepath.Join(dir, "console-"+name+".png"), server.URL+path).CombinedOutput()
		cancel()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
}

// fleet is a region in the middle of a day.
func (d *desk) fleet() {
	d.Helper()
	ctx, l := d.Context(), d.h.ledger
	facilities := []string{"ASL-RM1-SFN", "ASL-RM1-SGO", "AOU-SAPIENZA", "ASL-LT-GOR", "ASL-VT-BLC", "ASL-FR-SPZ"}
	seen := map[string]time.Time{}
	for n := range 60 {
		id := fmt.Sprintf("%08x-%04x", 0x5e1f0000+n*7919, n*331&0xffff)
		d.enrol(id, facilities[n%len(facilities)], byte(n+1))
		if n%9 != 0 {
			seen[id] = time.Now().Add(-time.Duration(n*n) * time.Minute)
		}
		var all []hub.Object
		for k := range 1 + n%7*6 {
			o := d.object(id, n*100+k, "x")
			o.Study, o.Names.SOPInstance, o.Length = fmt.Sprintf("1.2.826.0.1.3680043.8.498.%d", 4711000+n), fmt.Sprintf("1.2.826.0.1.3680043.8.498.%d.%d", 4711000+n, k), 524_000
			all = append(all, o)
		}
		if n%11 == 0 {
			o := d.object(id, n*100, "other")
			o.Names.SOPInstance, o.Study = all[0].Names.SOPInstance, all[0].Study
			all = append(all, o)
		}
		d.must(l.Receive(ctx, all))
		if n%8 == 2 {
			found := []string{"fiscal.check N", "fiscal.birth N; accession.missing N", "study.births 0"}[n/8%3]
			d.must(l.SayStudy(ctx, id, all[0].Study, 1, true, uint32(len(all)), strings.ReplaceAll(found, "N", fmt.Sprint(len(all)))))
		}
		if n == 5 {
			d.must(l.SetApproved(ctx, id, false, ledger.Who("token:anna", "10.4.1.20")))
		}
	}
	d.must(l.Seen(ctx, "hub-2", seen))
	d.enrol("box0", "AOU-SAPIENZA", 200)
	jobs, err := l.Lease(ctx, "vna", 2000, time.Hour)
	d.must(err)
	for i, j := range jobs {
		switch {
		case i%97 == 3:
			d.must(l.Refuse(ctx, j, "0122 SOP class not supported"))
		case i%131 == 7:
			d.must(l.Lost(ctx, j, "the digest of the file is another one"))
		case i%3 != 0:
			d.must(l.Done(ctx, j, ""))
		default:
			d.must(l.Later(ctx, j, time.Minute, true, "A700 out of resources"))
		}
	}
	_, _ = newToken()
	_, hash := newToken()
	d.must(l.AddToken(ctx, ledger.Token{Name: "prometheus", Role: "viewer"}, hash, "token:anna"))
}

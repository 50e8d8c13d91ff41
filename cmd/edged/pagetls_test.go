package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edged/agent/account"
	"edged/internal/identity"
)

func newTestKeys(t *testing.T, dir string, names certNames) *pageKeys {
	t.Helper()
	return &pageKeys{dir: dir, want: func() certNames { return names }, held: func() *identity.Bundle { return nil }, now: time.Now, log: slog.New(slog.DiscardHandler)}
}

func printOf(t *testing.T, k *pageKeys) string {
	t.Helper()
	c, err := k.certificate()
	ok(t, err)
	return fingerprint(c.Leaf.Raw)
}

// A certificate that people have compared stays: over restarts, and when an address goes.
// It is made anew before it ends, and where the machine is called otherwise.
func TestThePagesOwnCertificateStaysAsLongAsItCan(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "page")
	names := certNames{dns: []string{"edge1", "localhost"}, ips: []net.IP{net.IPv4(10, 0, 0, 9), net.ParseIP("2001:db8::9")}}
	k := newTestKeys(t, dir, names)
	first := printOf(t, k)
	info, err := os.Stat(filepath.Join(dir, pageFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	leaf := k.serve.Leaf
	if leaf.IsCA || leaf.KeyUsage&x509.KeyUsageCertSign != 0 || leaf.VerifyHostname("edge1") != nil || leaf.VerifyHostname("10.0.0.9") != nil || leaf.NotAfter.Sub(leaf.NotBefore) > 825*24*time.Hour {
		t.Errorf("the certificate: %+v", leaf)
	}
	for _, c := range []struct {
		name string
		now  certNames
		same bool
	}{
		{"after a restart", names, true},
		{"an address has gone", certNames{dns: names.dns, ips: nil}, true},
		{"another temporary IPv6 address", certNames{dns: names.dns, ips: []net.IP{net.ParseIP("2001:db8::77")}}, true},
		{"another IPv4 address", certNames{dns: names.dns, ips: []net.IP{net.IPv4(10, 0, 0, 10)}}, false},
		{"another name", certNames{dns: []string{"edge2", "localhost"}}, false},
	} {
		before := printOf(t, newTestKeys(t, dir, certNames{dns: []string{"localhost"}}))
		if got := printOf(t, newTestKeys(t, dir, c.now)) == before; got != c.same {
			t.Errorf("%s: the same certificate is %t", c.name, got)
		}
	}
	k = newTestKeys(t, dir, certNames{dns: []string{"localhost"}})
	before, now := printOf(t, k), time.Now()
	k.now = func() time.Time { return now.Add(selfSignedLife - selfSignedLeft - 2*time.Hour) }
	if printOf(t, k) != before {
		t.Error("it is made anew too early")
	}
	k.now = func() time.Time { return now.Add(selfSignedLife - selfSignedLeft + time.Hour) }
	if again := printOf(t, k); again == before || again != printOf(t, newTestKeys(t, dir, certNames{dns: []string{"localhost"}})) {
		t.Error("it is not made anew before its end")
	}
	ok(t, os.WriteFile(filepath.Join(dir, pageFile), []byte("half"), 0o600))
	if printOf(t, newTestKeys(t, dir, names)) == first {
		t.Error("a damaged file is not made anew")
	}
}

// The certificate of the enrolment serves the page only where a browser would take it:
// today's are for calling the hub, and do not.
func TestTheEnrolmentsCertificateServesWhereItFits(t *testing.T) {
	names := certNames{dns: []string{"edge1.hospital.example"}}
	now := time.Now()
	for name, c := range map[string]struct {
		change func(*x509.Certificate)
		fits   bool
	}{
		"for servers, with our name": {func(*x509.Certificate) {}, true},
		"for clients":                {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, false},
		"of another name":            {func(c *x509.Certificate) { c.DNSNames = []string{"hub"} }, false},
		"run out":                    {func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }, false},
	} {
		text, err := selfSigned(names, now)
		ok(t, err)
		file := filepath.Join(t.TempDir(), "x.pem")
		ok(t, os.WriteFile(file, text, 0o600))
		pair, err := loadPair(file)
		ok(t, err)
		key, err := identity.NewKey()
		ok(t, err)
		c.change(pair.Leaf)
		id := &identity.Bundle{Key: key, Cert: pair.Leaf, CA: pair.Leaf}
		k := newTestKeys(t, filepath.Join(t.TempDir(), "page"), names)
		k.held = func() *identity.Bundle { return id }
		if got := printOf(t, k) == fingerprint(pair.Leaf.Raw); got != c.fits {
			t.Errorf("%s: it serves the page: %t", name, got)
		}
	}
}

// By HTTPS with a certificate of its own: what a browser gets is what `edged status` and
// the set-up sheet say; people log in, and the audit log has it; who comes by http:// is
// led to https://.
func TestPeopleLogInByHTTPS(t *testing.T) {
	h := newHouse(t, func(c *Config) { c.Page.Listen, c.Page.TLS.Auto = "127.0.0.1:0", true })
	const password = "Fiume lento 77"
	ok(t, h.people().Add(t.Context(), account.Actor{Name: "test"}, "m.rossi", password, account.Administrator))
	l, err := h.listenPage()
	ok(t, err)
	parts := newGroup(context.Background())
	parts.Go(func(ctx context.Context) error {
		return serveHTTP(ctx, listener{Listener: l, name: "page", handler: h.page})
	})
	defer func() { parts.cancel(errStopped); parts.Wait() }()

	own, err := h.pageKeys.certificate()
	ok(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(own.Leaf)
	jar, err := cookiejar.New(nil)
	ok(t, err)
	browser := &http.Client{Jar: jar, Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer browser.CloseIdleConnections()
	base := "https://" + l.Addr().String()
	r, err := browser.Get(base + "/login")
	ok(t, err)
	r.Body.Close()
	shown := fingerprint(r.TLS.PeerCertificates[0].Raw)
	if door := h.pageDoor(); r.StatusCode != http.StatusOK || shown != h.pageFingerprint() || !strings.Contains(door.Said("en").Says, shown) || len(shown) != 95 {
		t.Errorf("%d, the browser sees %s, the status says %s", r.StatusCode, shown, door.Said("en").Says)
	}
	if r.Header.Get("Strict-Transport-Security") != "" {
		t.Error("HSTS would take the way past the warning")
	}
	post := func(path string, form url.Values) *http.Response {
		rq, err := http.NewRequestWithContext(t.Context(), "POST", base+path, strings.NewReader(form.Encode()))
		ok(t, err)
		rq.Header.Set("Origin", base)
		rq.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r, err := browser.Do(rq)
		ok(t, err)
		r.Body.Close()
		return r
	}
	if r := post("/login", url.Values{"name": {"m.rossi"}, "password": {"not this one 1"}}); r.StatusCode != http.StatusForbidden {
		t.Errorf("a wrong password: %d", r.StatusCode)
	}
	if r := post("/login", url.Values{"name": {"m.rossi"}, "password": {password}, "to": {"/accounts"}}); r.StatusCode != http.StatusOK || r.Request.URL.Path != "/accounts" {
		t.Errorf("%d at %s", r.StatusCode, r.Request.URL)
	}
	if c := jar.Cookies(r.Request.URL); len(c) != 1 || c[0].Name != "__Host-edged_session" {
		t.Errorf("cookies %v", c)
	}
	var said []string
	for _, e := range rowsOf(t, h.appliance) {
		said = append(said, strings.Join([]string{e.Who, e.Action, e.Object, e.Reason, e.Outcome}, "|"))
	}
	want := "test from an unknown address (page)|account made|account m.rossi|administrator|intended\ntest from an unknown address (page)|account made|account m.rossi|administrator|done\n" +
		"somebody from 127.0.0.1 (page)|log-in failed|account m.rossi||done\nm.rossi from 127.0.0.1 (page)|log-in|account m.rossi|administrator|done"
	if got := strings.Join(said, "\n"); got != want {
		t.Errorf("the audit log:\n%s\nwant\n%s", got, want)
	}

	stray := &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err = stray.Get("http://" + l.Addr().String() + "/studies?q=a%20b")
	ok(t, err)
	r.Body.Close()
	if r.StatusCode != http.StatusTemporaryRedirect || r.Header.Get("Location") != base+"/studies?q=a%20b" {
		t.Errorf("by http://: %d to %q", r.StatusCode, r.Header.Get("Location"))
	}
	if r, err = stray.Post("http://"+l.Addr().String()+"/login", "text/plain", strings.NewReader("x")); err == nil {
		if r.Body.Close(); r.StatusCode != http.StatusBadRequest {
			t.Errorf("a password by http://: %d", r.StatusCode)
		}
	}
}

// What the configuration opens to everybody is told.
func TestAPageInTheOpenIsToldOf(t *testing.T) {
	for _, c := range []struct {
		page Page
		open bool
	}{
		{Page{Listen: ""}, false}, {Page{Listen: "127.0.0.1:8080"}, false}, {Page{Listen: "[::1]:8080"}, false}, {Page{Listen: "localhost:8080"}, false},
		{Page{Listen: ":8080"}, true}, {Page{Listen: "0.0.0.0:8080"}, true}, {Page{Listen: "10.0.0.9:8080"}, true},
		{Page{Listen: ":8443", TLS: PageTLS{Auto: true}}, false}, {Page{Listen: ":8443", TLS: PageTLS{Cert: "a", Key: "b"}}, false},
	} {
		if got := c.page.inTheOpen(); got != c.open {
			t.Errorf("%+v: %t", c.page, got)
		}
	}
}

// A name in the certificate is one that a certificate can carry, and the page may be
// called by it.
func TestThePageKnowsItsNames(t *testing.T) {
	c := defaultConfig()
	c.Page.Listen, c.Page.Hosts = ":8443", []string{"Edge1.Hospital.example", "bad name"}
	n := c.pageNames(func([]string) []net.IP { return []net.IP{net.IPv4(10, 0, 0, 9)} })
	if got := strings.Join(n.dns, " "); !strings.Contains(got, "edge1.hospital.example") || !strings.Contains(got, "localhost") || strings.Contains(got, "bad") || len(n.ips) != 3 {
		t.Errorf("%s %v", got, n.ips)
	}
	c.Page.Listen = "10.0.0.7:8443"
	if n := c.pageNames(func([]string) []net.IP { t.Error("other addresses are asked for"); return nil }); len(n.ips) != 3 || !n.ips[2].Equal(net.IPv4(10, 0, 0, 7)) {
		t.Errorf("%v", n.ips)
	}
	for _, bad := range []string{"", "10.0.0.1", "a:1", "-a", "a..b", ".a", "a.", "ä", "*.a", "[::1]"} {
		if isName(bad) {
			t.Errorf("%q is a name", bad)
		}
	}
}

package main

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// A page of another site that points its own name at 127.0.0.1 (DNS rebinding) is of the
// same origin for a browser: Host is all that tells it apart. What needs no token there
// goes to the machine's own names alone.
func TestAnotherSitesNameForLoopbackSeesNothing(t *testing.T) {
	d := newDesk(t)
	d.busy()
	for _, path := range []string{"/api/v1/status", "/metrics", "/", "/readyz"} {
		for host, open := range map[string]bool{
			"127.0.0.1:8081": true, "127.0.0.1": true, "localhost:8081": true, "LocalHost": true, "[::1]:8081": true, "[::1]": true,
			"evil.example:8081": false, "evil.example": false, "127.0.0.1.evil.example": false, "localhost.evil.example:8081": false,
		} {
			want := http.StatusOK
			if !open {
				want = http.StatusMisdirectedRequest
			}
			if w := d.ask("GET", path, "", "", "Host", host); w.Code != want {
				t.Errorf("%s with Host %s: %d", path, host, w.Code)
			}
		}
	}
}

// Where nothing is open without a token, any name is good: it stands in certificates.
func TestAConsoleForOthersHasAnyName(t *testing.T) {
	d := newDesk(t, func(c *Config) { c.Console.Listen = "0.0.0.0:0" })
	if w := d.ask("GET", "/readyz", "", "", "Host", "hub.example"); w.Code != http.StatusOK {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := d.ask("GET", "/api/v1/status", "", "", "Host", "hub.example"); w.Code != http.StatusUnauthorized {
		t.Errorf("without a token: %d", w.Code)
	}
}

// Rubbish from an address, also that of a page in an administrator's browser, keeps
// nobody out who has a token: an SSH tunnel and NAT give many one address.
func TestRubbishFromTheSameAddressLocksNoGoodTokenOut(t *testing.T) {
	d := newDesk(t)
	good := d.token("admin")
	for range 3 * maxWrong {
		wrong, _ := newToken()
		d.ask("GET", "/api/v1/appliances", wrong, "")
	}
	if w := d.ask("GET", "/api/v1/appliances", good, ""); w.Code != http.StatusOK {
		t.Errorf("the administrator's own token: %d %s", w.Code, w.Body)
	}
	wrong, _ := newToken()
	if w := d.ask("GET", "/api/v1/appliances", wrong, ""); w.Code != http.StatusTooManyRequests {
		t.Errorf("a wrong one: %d", w.Code)
	}
}

// A code carries the hash of the CA's key. Where the CA's folder is away (a mount) the
// console says so: another CA made there would be in the way of the next start, and the
// code would send its appliance away from this very hub.
func TestACodeIsNeverMadeForACAThatTheHubDoesNotHave(t *testing.T) {
	d := newDesk(t)
	token := d.token("operator")
	ca := filepath.Join(caDir(d.h.cfg), "ca.pem")
	d.must(os.Rename(ca, ca+".away"))
	if w := d.ask("POST", "/api/v1/codes", token, `{"facility":"ASL1"}`); w.Code != http.StatusServiceUnavailable {
		t.Errorf("a code was made: %d %s", w.Code, w.Body)
	}
	if _, err := os.Stat(ca); err == nil {
		t.Error("the console has made another CA")
	}
	d.must(os.Rename(ca+".away", ca))
	if w := d.ask("POST", "/api/v1/codes", token, `{"facility":"ASL1"}`); w.Code != http.StatusOK {
		t.Errorf("when it is back: %d %s", w.Code, w.Body)
	}
}

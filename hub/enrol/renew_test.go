package enrol_test

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	client "edged/agent/enrol"
	"edged/internal/identity"
)

// An appliance renews at this server with the certificate that it has, also
// when that has run out, and is the same device afterwards; one that is not
// approved any more keeps what it has.
func TestApplianceRenews(t *testing.T) {
	for name, age := range map[string]time.Duration{"at two thirds of its life": 244 * 24 * time.Hour, "after its end": 500 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			d, real := open(t), time.Now()
			d.now = real.Add(-age)
			key := newKey(t)
			status, text := d.claim(d.code().Password(), request(t, key))
			if status != http.StatusOK {
				t.Fatalf("%d %s", status, text)
			}
			old := &identity.Bundle{Key: key, Cert: d.cert(text), CA: d.ca.Cert()}
			dir := t.TempDir()
			if err := old.Save(filepath.Join(dir, client.File)); err != nil {
				t.Fatal(err)
			}
			d.now = real
			if !old.RenewAt().Before(real) {
				t.Errorf("it is to be renewed at %s only", old.RenewAt())
			}
			where := client.Config{Hub: strings.TrimSuffix(strings.TrimPrefix(d.url, "https://"), "/.well-known/est/"), Dir: dir}
			b, err := client.Renew(t.Context(), where)
			if err != nil {
				t.Fatal(err)
			}
			saved, err := identity.LoadBundle(filepath.Join(dir, client.File))
			if err != nil || !saved.Cert.Equal(b.Cert) || saved.Device() != old.Device() || saved.Key.Equal(old.Key) || saved.RenewAt().Before(real) {
				t.Errorf("on the disk: %v", err)
			}
			if _, _, err := d.ca.VerifyDevice(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{saved.Cert}}, real, false); err != nil {
				t.Errorf("the hub says of the new one: %v", err)
			}
			if err := d.ledger.SetApproved(t.Context(), b.Device().ID, false, "test"); err != nil {
				t.Fatal(err)
			}
			if _, err := client.Renew(t.Context(), where); err == nil || !strings.Contains(err.Error(), "does not approve") {
				t.Errorf("revoked: %v", err)
			}
		})
	}
}

// The answer of a renewal may be lost any number of times: the appliance comes
// with the key that it has. Once it has come with a new one, older copies of its
// disk renew nothing, and the log says that somebody tried.
func TestOnlyThePresentKeyAndTheOneBeforeRenew(t *testing.T) {
	d := open(t)
	own := func(text string, key *ecdsa.PrivateKey) *tls.Certificate {
		return &tls.Certificate{Certificate: [][]byte{d.cert(text).Raw}, PrivateKey: key}
	}
	renew := func(with *tls.Certificate) (*tls.Certificate, int) {
		key := newKey(t)
		status, text := d.ask(http.MethodPost, "simplereenroll", "", "", request(t, key), with)
		if status != http.StatusOK {
			return nil, status
		}
		return own(text, key), status
	}
	key := newKey(t)
	_, text := d.claim(d.code().Password(), request(t, key))
	first := own(text, key)
	var second *tls.Certificate
	for range 3 { // lost, lost, received
		var status int
		if second, status = renew(first); status != http.StatusOK {
			t.Fatalf("with the key before: %d", status)
		}
	}
	third, status := renew(second)
	if status != http.StatusOK {
		t.Fatalf("with the present key: %d", status)
	}
	if _, status := renew(first); status != http.StatusForbidden || !strings.Contains(d.said.String(), "renewal refused") {
		t.Errorf("with an old key: %d, the log says %q", status, d.said.String())
	}
	if _, status := renew(third); status != http.StatusOK {
		t.Errorf("with the present key, after that: %d", status)
	}
}

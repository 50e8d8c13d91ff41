package enrol

import (
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edged/internal/identity"
)

// enrolledAt is a folder with an identity of h that was signed at that time.
func enrolledAt(t *testing.T, h *hub, signed time.Time) (dir string, b *identity.Bundle) {
	t.Helper()
	dir = t.TempDir()
	sign := h.answer
	h.answer = func(w http.ResponseWriter, csr *x509.CertificateRequest) {
		cert, err := h.ca.SignDevice(csr, identity.Device{ID: "edge-1", Facility: "F1"}, signed)
		if err != nil {
			t.Error(err)
		}
		h.certs(w, cert)
	}
	b, err := Enrol(t.Context(), Config{Hub: h.addr(), Code: h.code(), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	h.answer = sign
	return dir, b
}

// Whatever goes wrong in a renewal, the identity on the disk is the old one,
// byte by byte, and the next attempt succeeds.
func TestRenewalThatFailsChangesNothing(t *testing.T) {
	h := newHub(t, nil)
	dir, old := enrolledAt(t, h, time.Now().Add(-250*24*time.Hour))
	before, _ := os.ReadFile(filepath.Join(dir, File))
	signAs := func(d identity.Device, at time.Time) func(http.ResponseWriter, *x509.CertificateRequest) {
		return func(w http.ResponseWriter, csr *x509.CertificateRequest) {
			cert, _ := h.ca.SignDevice(csr, d, at)
			h.certs(w, cert)
		}
	}
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, *x509.CertificateRequest)
		want   string
	}{
		"lost answer":  {func(http.ResponseWriter, *x509.CertificateRequest) { panic(http.ErrAbortHandler) }, "EOF"},
		"not approved": {func(w http.ResponseWriter, _ *x509.CertificateRequest) { http.Error(w, "no", http.StatusForbidden) }, "does not approve"},
		"not known":    {func(w http.ResponseWriter, _ *x509.CertificateRequest) { http.Error(w, "no", http.StatusUnauthorized) }, "must enrol there again"},
		"sick": {func(w http.ResponseWriter, _ *x509.CertificateRequest) {
			http.Error(w, "no", http.StatusServiceUnavailable)
		}, "answers 503"},
		"garbage":          {func(w http.ResponseWriter, _ *x509.CertificateRequest) { io.WriteString(w, "AAAA") }, "does not answer as a hub"},
		"the old one":      {func(w http.ResponseWriter, _ *x509.CertificateRequest) { h.certs(w, old.Cert) }, "no certificate for this appliance's key"},
		"another device's": {signAs(identity.Device{ID: "edge-2", Facility: "F1"}, time.Now()), "is for edge-2, this is edge-1"},
		"no longer life":   {signAs(old.Device(), time.Now().Add(-300*24*time.Hour)), "is the hub's clock right?"},
	} {
		h.mu.Lock()
		h.answer = c.answer
		h.mu.Unlock()
		_, err := Renew(t.Context(), Config{Hub: h.addr(), Dir: dir})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		if after, _ := os.ReadFile(filepath.Join(dir, File)); string(after) != string(before) {
			t.Errorf("%s: the identity has changed", name)
		}
	}
	h.mu.Lock()
	h.answer = h.sign
	h.mu.Unlock()
	b, err := Renew(t.Context(), Config{Hub: h.addr(), Dir: dir})
	if err != nil || !b.Cert.NotAfter.After(old.Cert.NotAfter) || b.Key.Equal(old.Key) {
		t.Fatalf("after all that: %v", err)
	}
}

// An impostor at the hub's address learns nothing and changes nothing.
func TestRenewalBelievesOnlyTheHubOfTheIdentity(t *testing.T) {
	h, other := newHub(t, nil), newHub(t, nil)
	dir, _ := enrolledAt(t, h, time.Now())
	if _, err := Renew(t.Context(), Config{Hub: other.addr(), Dir: dir}); !errors.Is(err, ErrWrongHub) {
		t.Errorf("another hub: %v", err)
	}
	if _, err := Renew(t.Context(), Config{Hub: h.addr(), Dir: t.TempDir()}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without an identity: %v", err)
	}
	if len(other.keys) != 0 {
		t.Error("the other hub was sent a request")
	}
}

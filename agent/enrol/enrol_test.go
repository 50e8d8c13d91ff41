package enrol

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"edged/internal/identity"
	"edged/internal/ports"
)

// hub is a hub at the outside: it answers as told and remembers what it was told.
type hub struct {
	*testing.T
	ca     *identity.Authority
	server *httptest.Server

	mu      sync.Mutex // guards what follows
	secrets []string   // passwords that arrived
	keys    [][]byte   // public keys of the requests
	answer  func(w http.ResponseWriter, csr *x509.CertificateRequest)
}

// newHub listens with the TLS of a real one, or as tlsOf another authority.
func newHub(t *testing.T, tlsOf *identity.Authority) *hub {
	t.Helper()
	ca, err := identity.OpenAuthority(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	h := &hub{T: t, ca: ca}
	h.answer = h.sign
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/est/cacerts", func(w http.ResponseWriter, _ *http.Request) { h.certs(w, ca.Cert()) })
	mux.HandleFunc("POST /.well-known/est/simpleenroll", h.enroll)
	mux.HandleFunc("POST /.well-known/est/simplereenroll", h.enroll)
	h.server = httptest.NewUnstartedServer(mux)
	if tlsOf == nil {
		tlsOf = ca
	}
	h.server.Listener = tls.NewListener(h.server.Listener, identity.NewServer(tlsOf, nil).HTTP())
	h.server.Start()
	t.Cleanup(h.server.Close)
	return h
}

func (h *hub) addr() string { return h.server.Listener.Addr().String() }

func (h *hub) code() string { return identity.NewClaimCode(h.ca.Cert()).String() }

func (h *hub) certs(w http.ResponseWriter, c *x509.Certificate) {
	der, err := pkcs7.DegenerateCertificate(c.Raw)
	if err != nil {
		h.Error(err)
	}
	io.WriteString(w, base64.StdEncoding.EncodeToString(der))
}

func (h *hub) enroll(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, password, _ := r.BasicAuth()
	h.secrets = append(h.secrets, password)
	text, _ := io.ReadAll(r.Body)
	der, _ := base64.StdEncoding.DecodeString(string(text))
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		h.Error(err)
		return
	}
	h.keys = append(h.keys, csr.RawSubjectPublicKeyInfo)
	h.answer(w, csr)
}

func (h *hub) sign(w http.ResponseWriter, csr *x509.CertificateRequest) {
	cert, err := h.ca.SignDevice(csr, identity.Device{ID: "edge-1", Facility: "F1"}, time.Now())
	if err != nil {
		h.Error(err)
		return
	}
	h.certs(w, cert)
}

func TestEnrolmentGivesAnIdentityThatIsOnTheDisk(t *testing.T) {
	h := newHub(t, nil)
	dir := filepath.Join(t.TempDir(), "not", "there")
	b, err := Enrol(t.Context(), Config{Hub: h.addr(), Code: h.code(), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	saved, err := identity.LoadBundle(filepath.Join(dir, File))
	if err != nil || !saved.Cert.Equal(b.Cert) || saved.Device() != (identity.Device{ID: "edge-1", Facility: "F1"}) || !saved.CA.Equal(h.ca.Cert()) {
		t.Errorf("saved: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, pending)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the pending key is still there: %v", err)
	}
	if _, err := Enrol(t.Context(), Config{Hub: h.addr(), Code: h.code(), Dir: dir}); !errors.Is(err, ErrEnrolled) || len(h.secrets) != 1 || !strings.Contains(err.Error(), "remove the folder "+dir) {
		t.Errorf("again: %v, %d requests", err, len(h.secrets))
	}
}

func TestLostAnswerIsAskedForAgainWithTheSameKey(t *testing.T) {
	h := newHub(t, nil)
	c := Config{Hub: h.addr(), Code: h.code(), Dir: t.TempDir()}
	h.answer = func(http.ResponseWriter, *x509.CertificateRequest) { panic(http.ErrAbortHandler) }
	if _, err := Enrol(t.Context(), c); err == nil {
		t.Fatal("no error")
	}
	h.mu.Lock()
	h.answer = h.sign
	h.mu.Unlock()
	if _, err := Enrol(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for _, k := range h.keys {
		if string(k) != string(h.keys[0]) {
			t.Error("another key: the hub would call the code used")
		}
	}
}

func TestSecretGoesToNobodyButTheHubOfTheCode(t *testing.T) {
	right := newHub(t, nil)
	code := right.code()
	other := newHub(t, nil)            // honest about who it is
	mimic := newHub(t, other.ca)       // TLS of another CA
	mimic.ca = right.ca                // but shows the right CA certificate
	mimicAddr := impostor(t, right.ca) // the right CA, by a server without its key
	for name, addr := range map[string]string{"another hub": other.addr(), "a mimic": mimicAddr} {
		dir := t.TempDir()
		_, err := Enrol(t.Context(), Config{Hub: addr, Code: code, Dir: dir})
		if !errors.Is(err, ErrWrongHub) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(dir, File)); err == nil {
			t.Errorf("%s: an identity was written", name)
		}
	}
	if n := len(other.secrets) + len(mimic.secrets); n != 0 {
		t.Errorf("%d secrets were told", n)
	}
}

// impostor shows somebody else's CA certificate and holds a server key of its own.
func impostor(t *testing.T, shown *identity.Authority) string {
	t.Helper()
	own, err := identity.OpenAuthority(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			t.Error("the secret was sent to an impostor")
		}
		der, _ := pkcs7.DegenerateCertificate(shown.Cert().Raw)
		io.WriteString(w, base64.StdEncoding.EncodeToString(der))
	}))
	s.Listener = tls.NewListener(s.Listener, identity.NewServer(own, nil).HTTP())
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestAnswersThatAreNoneAreRefusedInOneLine(t *testing.T) {
	h := newHub(t, nil)
	code := h.code()
	other, _ := identity.OpenAuthority(t.TempDir(), time.Now())
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, csr *x509.CertificateRequest)
		want   string
	}{
		"wrong code": {func(w http.ResponseWriter, _ *x509.CertificateRequest) { http.Error(w, "no", http.StatusUnauthorized) }, "ask the hub's administrator for a new one"},
		"too fast": {func(w http.ResponseWriter, _ *x509.CertificateRequest) {
			http.Error(w, "no", http.StatusTooManyRequests)
		}, "half a minute"},
		"sick hub": {func(w http.ResponseWriter, _ *x509.CertificateRequest) {
			http.Error(w, "line\nline", http.StatusServiceUnavailable)
		}, `answers 503: "line line"`},
		"redirect": {func(w http.ResponseWriter, _ *x509.CertificateRequest) {
			w.Header().Set("Location", "https://evil/")
			w.WriteHeader(307)
		}, "answers 307"},
		"garbage": {func(w http.ResponseWriter, _ *x509.CertificateRequest) { io.WriteString(w, "AAAA") }, "does not answer as a hub"},
		"empty":   {func(w http.ResponseWriter, _ *x509.CertificateRequest) {}, "does not answer as a hub"},
		"the CA":  {func(w http.ResponseWriter, _ *x509.CertificateRequest) { h.certs(w, h.ca.Cert()) }, "no certificate for this appliance's key"},
		"another CA's": {func(w http.ResponseWriter, csr *x509.CertificateRequest) {
			cert, _ := other.SignDevice(csr, identity.Device{ID: "x"}, time.Now())
			h.certs(w, cert)
		}, "the hub's answer"},
	} {
		h.mu.Lock()
		h.answer = c.answer
		h.mu.Unlock()
		dir := t.TempDir()
		_, err := Enrol(t.Context(), Config{Hub: h.addr(), Code: code, Dir: dir})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		if _, err := os.Stat(filepath.Join(dir, File)); err == nil {
			t.Errorf("%s: an identity was written", name)
		}
	}
}

func TestUnreachableHubsAreExplained(t *testing.T) {
	port, err := ports.Free()
	if err != nil {
		t.Fatal(err)
	}
	nobody := fmt.Sprintf("127.0.0.1:%d", port)
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	code := newHub(t, nil).code()
	for addr, want := range map[string]string{
		nobody:                         "cannot be reached",
		plain.Listener.Addr().String(): "does not speak TLS: is the port right?",
		silent.Addr().String():         "does not answer in time",
		"hub":                          "want HOST:PORT",
	} {
		patience := time.Minute
		if addr == silent.Addr().String() {
			patience = time.Second
		}
		_, err := Enrol(t.Context(), Config{Hub: addr, Code: code, Dir: t.TempDir(), Timeout: patience})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %q", addr, err, want)
		}
	}
	if _, err := Enrol(t.Context(), Config{Hub: nobody, Code: code[:10], Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "claim code") {
		t.Errorf("short code: %v", err)
	}
}

func FuzzCertificates(f *testing.F) {
	ca, err := identity.OpenAuthority(f.TempDir(), time.Now())
	if err != nil {
		f.Fatal(err)
	}
	der, err := pkcs7.DegenerateCertificate(ca.Cert().Raw)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(base64.StdEncoding.EncodeToString(der)))
	f.Add([]byte("MIAGCSqGSIb3DQEHAqCAMIACAQExADCABgkqhkiG9w0BBwEAAA=="))
	random := make([]byte, 300)
	rand.Read(random)
	f.Add([]byte(base64.StdEncoding.EncodeToString(random)))
	f.Fuzz(func(t *testing.T, text []byte) {
		if certs, err := certificates("hub", text); err != nil && certs != nil {
			t.Error("certificates with an error")
		}
	})
}

package enrol_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"edged/hub/enrol"
	"edged/hub/ledger"
	"edged/internal/identity"
)

// door is a real server over a real ledger, and a clock.
type door struct {
	*testing.T
	ca     *identity.Authority
	ledger *ledger.Ledger
	now    time.Time
	url    string
	config enrol.Config
	said   *synced // its log
}

func open(t *testing.T) *door {
	t.Helper()
	d := &door{T: t, now: time.Now(), said: &synced{}}
	clock := func() time.Time { return d.now }
	var err error
	if d.ca, err = identity.OpenAuthority(t.TempDir(), d.now.Add(-5*365*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if d.ledger, err = ledger.Open(t.Context(), ledger.Config{Path: filepath.Join(t.TempDir(), "l.db"), Now: clock}); err != nil {
		t.Fatal(err)
	}
	d.config = enrol.Config{Authority: d.ca, Store: d.ledger, Now: clock, Logger: slog.New(slog.NewTextHandler(d.said, nil))}
	s := httptest.NewUnstartedServer(enrol.New(d.config))
	s.Listener = tls.NewListener(s.Listener, identity.NewServer(d.ca, clock).HTTP())
	s.Start()
	t.Cleanup(func() {
		s.Close()
		if err := d.ledger.Close(); err != nil {
			t.Error(err)
		}
	})
	d.url = "https://" + s.Listener.Addr().String() + "/.well-known/est/"
	return d
}

// synced is a log that is read while it is written.
type synced struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *synced) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *synced) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (d *door) code() identity.ClaimCode {
	d.Helper()
	code, _, err := enrol.NewCode(d.Context(), d.config, "F1", 7*24*time.Hour, "test")
	if err != nil {
		d.Fatal(err)
	}
	return code
}

// request makes a PKCS #10 request for key, in base64.
func request(t *testing.T, key any) string {
	t.Helper()
	// A greedy subject: none of it may come back in the certificate.
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{identity.HubName}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// ask sends a request and returns status and body.
func (d *door) ask(method, path, user, password, body string, cert *tls.Certificate) (int, string) {
	d.Helper()
	t := identity.HubTLS(d.ca.Cert())
	t.Time = func() time.Time { return d.now }
	if cert != nil {
		t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: t, DisableKeepAlives: true}, Timeout: time.Minute}
	rq, err := http.NewRequestWithContext(context.Background(), method, d.url+path, strings.NewReader(body))
	if err != nil {
		d.Fatal(err)
	}
	if user != "" {
		rq.SetBasicAuth(user, password)
	}
	rs, err := client.Do(rq)
	if err != nil {
		d.Fatal(err)
	}
	defer rs.Body.Close()
	text, err := io.ReadAll(rs.Body)
	if err != nil {
		d.Fatal(err)
	}
	return rs.StatusCode, string(text)
}

func (d *door) claim(password, body string) (int, string) {
	d.Helper()
	return d.ask(http.MethodPost, "simpleenroll", enrol.User, password, body, nil)
}

func (d *door) cert(text string) *x509.Certificate {
	d.Helper()
	der, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		d.Fatalf("%v: %q", err, text)
	}
	p, err := pkcs7.Parse(der)
	if err != nil || len(p.Certificates) != 1 {
		d.Fatalf("certs-only: %v", err)
	}
	return p.Certificates[0]
}

func TestCACertsIsOpenToEverybody(t *testing.T) {
	d := open(t)
	status, text := d.ask(http.MethodGet, "cacerts", "", "", "", nil)
	if status != http.StatusOK || !d.cert(text).Equal(d.ca.Cert()) {
		t.Errorf("%d", status)
	}
}

func TestGoodCodeGivesOneDeviceAndTheHubNamesIt(t *testing.T) {
	d := open(t)
	code, key := d.code(), newKey(t)
	status, text := d.claim(code.Password(), request(t, key))
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	cert := d.cert(text)
	if !key.PublicKey.Equal(cert.PublicKey) || cert.Subject.Organization[0] != "F1" || len(cert.DNSNames) != 0 || cert.IsCA || cert.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth || len(cert.ExtKeyUsage) != 1 {
		t.Errorf("certificate %+v", cert.Subject)
	}
	row, err := d.ledger.Device(t.Context(), cert.Subject.CommonName)
	if err != nil || !row.Approved || row.Facility != "F1" {
		t.Errorf("row %+v %v", row, err)
	}
	// The answer may have been lost: the same key gets the same device.
	if status, text = d.claim(code.Password(), request(t, key)); status != http.StatusOK || d.cert(text).Subject.CommonName != cert.Subject.CommonName {
		t.Errorf("repeated: %d", status)
	}
	if status, _ = d.claim(code.Password(), request(t, newKey(t))); status != http.StatusUnauthorized {
		t.Errorf("another key: %d", status)
	}
	if devices, _ := d.ledger.Devices(t.Context()); len(devices) != 1 {
		t.Errorf("%d devices", len(devices))
	}
}

func TestWhatIsNotRightGivesNothing(t *testing.T) {
	d := open(t)
	good := request(t, newKey(t))
	forged, err := base64.StdEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	forged[len(forged)-1] ^= 1
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	code := d.code()
	for name, c := range map[string]struct {
		user, password, body string
		want                 int
	}{
		"no code":         {"", "", good, http.StatusUnauthorized},
		"wrong code":      {enrol.User, "0123456789ABCDEF", good, http.StatusUnauthorized},
		"empty code":      {enrol.User, "", good, http.StatusUnauthorized},
		"another user":    {"admin", code.Password(), good, http.StatusUnauthorized},
		"no request":      {enrol.User, code.Password(), "", http.StatusBadRequest},
		"not base64":      {enrol.User, code.Password(), "{}", http.StatusBadRequest},
		"not PKCS #10":    {enrol.User, code.Password(), "AAAA", http.StatusBadRequest},
		"not its own key": {enrol.User, code.Password(), base64.StdEncoding.EncodeToString(forged), http.StatusBadRequest},
		"an RSA key":      {enrol.User, code.Password(), request(t, rsaKey), http.StatusBadRequest},
		"another curve":   {enrol.User, code.Password(), request(t, p384), http.StatusBadRequest},
		"too long":        {enrol.User, code.Password(), strings.Repeat("A", 64<<10), http.StatusBadRequest},
	} {
		d.now = d.now.Add(time.Minute) // not to be slowed down
		if status, text := d.ask(http.MethodPost, "simpleenroll", c.user, c.password, c.body, nil); status != c.want || strings.Contains(text, "MII") {
			t.Errorf("%s: got %d, want %d", name, status, c.want)
		}
	}
	if devices, _ := d.ledger.Devices(t.Context()); len(devices) != 0 {
		t.Errorf("%d devices", len(devices))
	}
	if status, _ := d.claim(code.Password(), good); status != http.StatusOK {
		t.Errorf("the code was spoiled: %d", status)
	}
}

func TestCodeExpires(t *testing.T) {
	d := open(t)
	code := d.code()
	d.now = d.now.Add(7 * 24 * time.Hour)
	if status, _ := d.claim(code.Password(), request(t, newKey(t))); status != http.StatusUnauthorized {
		t.Errorf("got %d", status)
	}
}

func TestGuessingIsSlowedDownAndAGoodCodeForgives(t *testing.T) {
	d := open(t)
	body := request(t, newKey(t))
	var last int
	for range 11 {
		last, _ = d.claim("0123456789ABCDEF", body)
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("the eleventh guess: %d", last)
	}
	code := d.code()
	d.now = d.now.Add(3 * time.Second)
	if status, _ := d.claim(code.Password(), body); status != http.StatusOK {
		t.Errorf("after three seconds: %d", status)
	}
	for range 5 {
		if status, _ := d.claim(d.code().Password(), request(t, newKey(t))); status != http.StatusOK {
			t.Errorf("the next appliance of the same address: %d", status)
		}
	}
}

func TestRenewalNeedsTheCertificateOfAnApprovedDevice(t *testing.T) {
	d := open(t)
	key := newKey(t)
	_, text := d.claim(d.code().Password(), request(t, key))
	cert := d.cert(text)
	own := &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
	renew := func(c *tls.Certificate) (int, string) {
		return d.ask(http.MethodPost, "simplereenroll", "", "", request(t, newKey(t)), c)
	}
	if status, text := renew(own); status != http.StatusOK || d.cert(text).Subject.CommonName != cert.Subject.CommonName {
		t.Errorf("renewal: %d", status)
	}
	d.now = d.now.Add(400 * 24 * time.Hour)
	if status, _ := renew(own); status != http.StatusOK {
		t.Errorf("renewal after expiry: %d", status)
	}
	if status, _ := renew(nil); status != http.StatusUnauthorized {
		t.Errorf("without a certificate: %d", status)
	}
	other, err := identity.OpenAuthority(t.TempDir(), d.now)
	if err != nil {
		t.Fatal(err)
	}
	if status, _ := renew(signedBy(t, other, cert.Subject.CommonName)); status != http.StatusUnauthorized {
		t.Errorf("certificate of another hub: %d", status)
	}
	if status, _ := renew(signedBy(t, d.ca, "edge-nobody")); status != http.StatusForbidden {
		t.Errorf("unknown device: %d", status)
	}
	if err := d.ledger.SetApproved(t.Context(), cert.Subject.CommonName, false, "test"); err != nil {
		t.Fatal(err)
	}
	if status, _ := renew(own); status != http.StatusForbidden {
		t.Errorf("revoked: %d", status)
	}
}

func signedBy(t *testing.T, ca *identity.Authority, id string) *tls.Certificate {
	t.Helper()
	key := newKey(t)
	der, err := base64.StdEncoding.DecodeString(request(t, key))
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.SignDevice(csr, identity.Device{ID: id, Facility: "F1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// sickStore fails as a full disk does.
type sickStore struct{ enrol.Store }

func (sickStore) Claim(context.Context, [32]byte, [32]byte, string, string) (enrol.Device, error) {
	return enrol.Device{}, errors.New("disk full")
}

func TestSickLedgerIsNotTheCodesFault(t *testing.T) {
	d := open(t)
	h := enrol.New(enrol.Config{Authority: d.ca, Store: sickStore{}})
	rq := httptest.NewRequest(http.MethodPost, "/.well-known/est/simpleenroll", strings.NewReader(request(t, newKey(t))))
	rq.SetBasicAuth(enrol.User, "x")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, rq)
	if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "disk") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

package forward

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// tokens is an authorization server (RFC 6749 §4.4).
type tokens struct {
	made  atomic.Int32
	valid atomic.Int32 // which one is
}

func (s *tokens) ServeHTTP(w http.ResponseWriter, rq *http.Request) {
	user, secret, ok := rq.BasicAuth()
	if rq.FormValue("grant_type") != "client_credentials" || rq.FormValue("scope") != "dicom" || !ok || user != "hubd" || secret != "xyzzy" {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"error":"invalid_client","error_description":"%s is wrong"}`, secret)
		return
	}
	n := s.made.Add(1)
	s.valid.Store(n)
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"access_token":"t%d","token_type":"Bearer","expires_in":3600}`, n)
}

// A token is fetched once, used for many requests, and once more when it is refused.
func TestARefusedTokenIsFetchedOnceMore(t *testing.T) {
	s := &tokens{}
	idp := httptest.NewServer(s)
	t.Cleanup(idp.Close)
	v := &vna{T: t}
	v.before = func(w http.ResponseWriter, rq *http.Request) bool {
		if rq.Header.Get("Authorization") == fmt.Sprintf("Bearer t%d", s.valid.Load()) {
			return false
		}
		w.WriteHeader(401)
		return true
	}
	auth := &Token{URL: idp.URL, ClientID: "hubd", Secret: func() (string, error) { return "xyzzy", nil }, Scopes: []string{"dicom"}}
	b := newStowBench(t, 6)
	d := stow(t, StowConfig{URL: v.serve(), Auth: auth, Objects: 2})
	if got, err := b.turn(d); err != nil || len(got) != 6 || s.made.Load() != 1 {
		t.Fatalf("%v %v, %d tokens", got, err, s.made.Load())
	}
	s.valid.Store(99)                     // the archive does not know it any more
	auth.got = time.Now().Add(-time.Hour) // it is older than a moment
	if got, err := b.turn(d); err != nil || len(got) != 6 || s.made.Load() != 2 {
		t.Errorf("%v %v, %d tokens", got, err, s.made.Load())
	}
}

// Nothing is judged without a token, and no log and no status has the secret.
func TestASecretIsNeverSaid(t *testing.T) {
	s := &tokens{}
	idp := httptest.NewServer(s)
	t.Cleanup(idp.Close)
	v := &vna{T: t}
	b := newStowBench(t, 2)
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(io.MultiWriter(&said, t.Output()), &slog.HandlerOptions{Level: slog.LevelDebug}))
	b.log = log
	auth := &Token{URL: idp.URL, ClientID: "hubd", Secret: func() (string, error) { return "wrong-secret", nil }, Scopes: []string{"dicom"}}
	f := b.run(func() bool { return b.forwarder.Status()[0].Error != "" }, stow(t, StowConfig{URL: v.serve(), Auth: auth, Requests: 1}))
	status := f.Status()[0].Error
	if !strings.Contains(status, "401") || !strings.Contains(status, "invalid_client") || strings.Contains(status+said.String(), "wrong-secret") || v.whole != 0 {
		t.Errorf("%q, %d requests", status, v.whole)
	}
	missing := &Token{URL: idp.URL, Secret: func() (string, error) { return "", errors.New("no such file") }}
	if got, err := b.turn(stow(t, StowConfig{URL: v.serve(), Auth: missing})); err == nil || len(got) != 0 {
		t.Errorf("%v %v", got, err)
	}
}

// Without its certificate the hub is sent away by TLS, and no object is judged.
func TestMutualTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "vna"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	own := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	v := &vna{T: t}
	s := httptest.NewUnstartedServer(v)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	b := newStowBench(t, 2)
	for name, c := range map[string]*tls.Config{"no certificate": {RootCAs: pool}, "unknown authority": {Certificates: []tls.Certificate{own}}} {
		got, err := b.turn(stow(t, StowConfig{URL: s.URL + "/dicom-web", TLS: c}))
		if err == nil || v.whole != 0 {
			t.Errorf("%s: %v %v", name, got, err)
		}
		for _, o := range got { // a reset may overtake the alert
			if o.verdict != transient {
				t.Errorf("%s: %+v", name, o)
			}
		}
	}
	if got, err := b.turn(stow(t, StowConfig{URL: s.URL + "/dicom-web", TLS: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{own}}})); err != nil || len(got) != 2 || v.whole != 1 {
		t.Errorf("%v %v", got, err)
	}
}

// A redirect is not followed, so that nobody else gets credentials and images.
func TestARedirectIsNotFollowed(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("somebody else was asked") }))
	t.Cleanup(elsewhere.Close)
	for _, code := range []int{http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		v := &vna{T: t, before: func(w http.ResponseWriter, rq *http.Request) bool {
			if user, password, _ := rq.BasicAuth(); user != "hubd" || password != "xyzzy" {
				t.Errorf("%q %q", user, password)
			}
			http.Redirect(w, rq, elsewhere.URL+"/dicom-web/studies", code)
			return true
		}}
		b := newStowBench(t, 1)
		if got, err := b.turn(stow(t, StowConfig{URL: v.serve(), Auth: Basic{"hubd", func() (string, error) { return "xyzzy", nil }}})); err == nil || len(got) != 0 {
			t.Errorf("%d: %v %v", code, got, err)
		}
	}
}

func FuzzStowAnswer(f *testing.F) {
	s := said{stored: []string{"1.2.3"}, warning: map[string]int{"1.2.3": 0xB000}, failed: map[string]int{"1.2.4": 0xA700}}
	f.Add(s.json())
	f.Add(s.xml())
	f.Add([]byte(`[{"00081199":{"Value":[{"00081155":{"Value":["1.2"]},"00081196":{"Value":["45056"]}}]}}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := parseReport(body)
		for uid, reason := range r.failed {
			if err != nil || uid == "" || reason == 0 {
				t.Errorf("%q %d %v", uid, reason, err)
			}
		}
		for uid := range r.stored {
			if err != nil || uid == "" || !bytes.Contains(body, []byte(uid[:1])) && !bytes.ContainsAny(body, `\&`) {
				t.Errorf("%q %v", uid, err)
			}
		}
	})
}

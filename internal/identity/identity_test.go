package identity

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func newCA(t *testing.T) *Authority {
	t.Helper()
	a, err := OpenAuthority(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newDevice(t *testing.T, a *Authority, id string, at time.Time) *Bundle {
	t.Helper()
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := a.SignDevice(csr, Device{ID: id, Facility: "F1"}, at)
	if err != nil {
		t.Fatal(err)
	}
	return &Bundle{Key: key, Cert: cert, CA: a.Cert()}
}

func TestClaimCodeIsReadAsPeopleTypeIt(t *testing.T) {
	ca := newCA(t)
	for range 100 {
		c := NewClaimCode(ca.Cert())
		s := c.String()
		sloppy := strings.NewReplacer("-", " ", "0", "o", "1", "l").Replace(strings.ToLower(s))
		for _, typed := range []string{s, strings.ReplaceAll(s, "-", ""), sloppy, " " + s + "\n"} {
			got, err := ParseClaimCode(typed)
			if err != nil || got != c {
				t.Fatalf("%q: %v", typed, err)
			}
		}
	}
}

func TestEveryTypingMistakeOfOneDigitIsFoundAndItsGroupNamed(t *testing.T) {
	c := NewClaimCode(newCA(t).Cert())
	s := strings.ReplaceAll(c.String(), "-", "")
	for i := range s {
		for _, d := range digits {
			wrong := s[:i] + string(d) + s[i+1:]
			_, err := ParseClaimCode(wrong)
			if (err == nil) != (wrong == s) {
				t.Fatalf("digit %d as %c: %v", i, d, err)
			}
			if err != nil && !strings.Contains(err.Error(), "group "+string(rune('1'+i/5))+" of 8") {
				t.Fatalf("digit %d: %v", i, err)
			}
		}
	}
}

func TestExchangedDigitsAndGroupsAreFound(t *testing.T) {
	for range 50 {
		s := []byte(strings.ReplaceAll(NewClaimCode(newCA(t).Cert()).String(), "-", ""))
		for i := 0; i+1 < len(s); i++ {
			w := append([]byte{}, s...)
			w[i], w[i+1] = w[i+1], w[i]
			if i%5 < 3 && w[i] != w[i+1] {
				if _, err := ParseClaimCode(string(w)); err == nil {
					t.Fatalf("exchange at %d passed", i)
				}
			}
		}
		w := string(s[5:10]) + string(s[:5]) + string(s[10:])
		if _, err := ParseClaimCode(w); err == nil {
			t.Fatal("exchanged groups passed")
		}
	}
}

func TestClaimCodeErrorsSayWhatToDo(t *testing.T) {
	for typed, want := range map[string]string{
		"":                      "0 letters and digits, a whole one has 40",
		"ABC":                   "3 letters and digits, a whole one has 40",
		"U":                     `'U' does not occur`,
		"ABCDÉ":                 `'É' does not occur`,
		strings.Repeat("A", 50): "too long",
		strings.Repeat("0", 40): "group 2 of 8",
	} {
		if _, err := ParseClaimCode(typed); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", typed, err, want)
		}
	}
}

func FuzzParseClaimCode(f *testing.F) {
	f.Add(ClaimCode{}.String())
	f.Add("0000O-1111I")
	f.Add("\xff\xfe")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseClaimCode(s)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
			return
		}
		again, err := ParseClaimCode(c.String())
		if err != nil || again != c {
			t.Errorf("%q does not survive: %v", s, err)
		}
	})
}

func TestAuthorityIsMadeOnceByManyProcesses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "ca")
	var wg sync.WaitGroup
	pins := make([]Pin, 8)
	for i := range pins {
		wg.Go(func() {
			a, err := OpenAuthority(dir, time.Now())
			if err != nil {
				t.Error(err)
				return
			}
			pins[i] = PinOf(a.Cert())
		})
	}
	wg.Wait()
	for _, p := range pins {
		if p != pins[0] {
			t.Fatal("two authorities")
		}
	}
	info, err := os.Stat(filepath.Join(dir, "ca.pem"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("ca.pem: %v %v", info.Mode(), err)
	}
}

func TestDamagedAuthorityIsNeverReplaced(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ca.pem")
	for _, text := range []string{"", "garbage", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenAuthority(dir, time.Now()); err == nil {
			t.Errorf("%q: opened", text)
		}
		if got, _ := os.ReadFile(path); string(got) != text {
			t.Errorf("%q: overwritten", text)
		}
	}
}

func TestBundleSurvivesItsFile(t *testing.T) {
	b := newDevice(t, newCA(t), "d1", time.Now())
	path := filepath.Join(t.TempDir(), "identity.pem")
	if err := b.Save(path); err != nil {
		t.Fatal(err)
	}
	got, err := LoadBundle(path)
	if err != nil || !got.Key.Equal(b.Key) || !got.Cert.Equal(b.Cert) || !got.CA.Equal(b.CA) {
		t.Errorf("not the same: %v", err)
	}
	if got.Device() != (Device{"d1", "F1"}) {
		t.Errorf("got %+v", got.Device())
	}
}

func TestBundleOfStrangersIsRefused(t *testing.T) {
	a, b := newDevice(t, newCA(t), "a", time.Now()), newDevice(t, newCA(t), "b", time.Now())
	for name, mixed := range map[string]*Bundle{
		"key":  {Key: a.Key, Cert: b.Cert, CA: b.CA},
		"hub":  {Key: a.Key, Cert: a.Cert, CA: b.CA},
		"cert": {Key: a.Key, Cert: b.Cert, CA: a.CA},
	} {
		path := filepath.Join(t.TempDir(), name)
		if err := mixed.Save(path); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadBundle(path); err == nil {
			t.Errorf("%s: loaded", name)
		}
	}
}

// handshake runs both sides over a pipe; TLS 1.3 shows a refused client
// certificate only with the first read.
func handshake(server, client *tls.Config) (tls.ConnectionState, error) {
	cs, cc := net.Pipe()
	s, c := tls.Server(cs, server), tls.Client(cc, client)
	deadline := time.Now().Add(time.Minute)
	cs.SetDeadline(deadline)
	cc.SetDeadline(deadline)
	done := make(chan error, 1)
	go func() {
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte{1})
		}
		cs.Close()
		done <- err
	}()
	err := c.Handshake()
	if err == nil {
		_, err = c.Read(make([]byte, 1))
	}
	cc.Close()
	if serr := <-done; err == nil {
		err = serr
	}
	return s.ConnectionState(), err
}

func TestUplinkNeedsACertificateOfThisHubAndNothingLess(t *testing.T) {
	ca, other := newCA(t), newCA(t)
	now := time.Now()
	good := newDevice(t, ca, "d1", now)
	var admitted []Device
	server := NewServer(ca, nil).Uplink(func(d Device) error { admitted = append(admitted, d); return nil })
	st, err := handshake(server, good.ClientTLS())
	if err != nil || st.NegotiatedProtocol != ALPN || len(admitted) != 1 || admitted[0].ID != "d1" {
		t.Fatalf("%v %+v", err, admitted)
	}
	with := func(f func(*tls.Config)) *tls.Config { c := good.ClientTLS(); f(c); return c }
	foreign := newDevice(t, other, "d1", now)
	serverCert, err := ca.server(now)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*tls.Config{
		"no certificate": with(func(c *tls.Config) { c.Certificates = nil }),
		"of another hub": with(func(c *tls.Config) { c.Certificates = foreign.ClientTLS().Certificates }),
		"expired": with(func(c *tls.Config) {
			c.Certificates = newDevice(t, ca, "d1", now.Add(-2*deviceLife)).ClientTLS().Certificates
		}),
		"not yet valid": with(func(c *tls.Config) {
			c.Certificates = newDevice(t, ca, "d1", now.Add(backdate*2)).ClientTLS().Certificates
		}),
		"server's own":      with(func(c *tls.Config) { c.Certificates = []tls.Certificate{serverCert.tls()} }),
		"stripped ALPN":     with(func(c *tls.Config) { c.NextProtos = nil }),
		"another ALPN":      with(func(c *tls.Config) { c.NextProtos = []string{"h2"} }),
		"TLS 1.2":           with(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }),
		"hub of another CA": foreign.ClientTLS(),
		"another name":      with(func(c *tls.Config) { c.ServerName = "hub.example.org" }),
		"no name of a hub":  with(func(c *tls.Config) { c.ServerName = "127.0.0.1" }),
	} {
		if _, err := handshake(server, c); err == nil {
			t.Errorf("%s: connected", name)
		}
	}
	if len(admitted) != 1 {
		t.Errorf("somebody was admitted: %+v", admitted)
	}
	revoked := NewServer(ca, nil).Uplink(func(Device) error { return os.ErrPermission })
	if _, err := handshake(revoked, good.ClientTLS()); err == nil {
		t.Error("revoked: connected")
	}
}

func TestMixedPortAsksHTTPForACertificateAndUplinkDemandsOne(t *testing.T) {
	ca := newCA(t)
	mixed := NewServer(ca, nil).Mixed(nil)
	if st, err := handshake(mixed, HubTLS(ca.Cert())); err != nil || st.NegotiatedProtocol != ALPNHTTP {
		t.Errorf("http: %q %v", st.NegotiatedProtocol, err)
	}
	bare := HubTLS(ca.Cert())
	bare.NextProtos = []string{ALPN}
	if _, err := handshake(mixed, bare); err == nil {
		t.Error("edged/1 without a certificate connected")
	}
	d := newDevice(t, ca, "d1", time.Now())
	if st, err := handshake(mixed, d.ClientTLS()); err != nil || st.NegotiatedProtocol != ALPN {
		t.Errorf("edged/1: %q %v", st.NegotiatedProtocol, err)
	}
}

func TestExpiredCertificateServesReenrolmentAlone(t *testing.T) {
	now := time.Now()
	ca, err := OpenAuthority(t.TempDir(), now.Add(-3*deviceLife))
	if err != nil {
		t.Fatal(err)
	}
	old := newDevice(t, ca, "d1", now.Add(-2*deviceLife))
	st := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{old.Cert}}
	if _, _, err := ca.VerifyDevice(st, now, false); err == nil {
		t.Error("expired certificate passed")
	}
	if d, _, err := ca.VerifyDevice(st, now, true); err != nil || d.ID != "d1" {
		t.Errorf("got %+v, %v", d, err)
	}
	st.PeerCertificates[0] = newDevice(t, newCA(t), "d1", now).Cert
	if _, _, err := ca.VerifyDevice(st, now, true); err == nil {
		t.Error("another hub's certificate passed")
	}
}

func TestServerRenewsItsCertificate(t *testing.T) {
	now := time.Now()
	s := NewServer(newCA(t), func() time.Time { return now })
	first, err := s.certificate()
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(serverLife / 2)
	if same, _ := s.certificate(); same.Leaf != first.Leaf {
		t.Error("renewed too early")
	}
	now = now.Add(serverLife / 2)
	if next, _ := s.certificate(); next.Leaf == first.Leaf || next.Leaf.NotAfter.Before(now) {
		t.Error("not renewed")
	}
}

func TestRequestNotSignedByItsKeyIsRefused(t *testing.T) {
	ca := newCA(t)
	key, _ := NewKey()
	der, _ := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	csr, _ := x509.ParseCertificateRequest(der)
	csr.Signature[len(csr.Signature)-1] ^= 1
	if _, err := ca.SignDevice(csr, Device{ID: "x"}, time.Now()); err == nil {
		t.Error("signed")
	}
}

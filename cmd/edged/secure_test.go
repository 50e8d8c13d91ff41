package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edged/agent/status"
	"edged/dimse"
	"edged/internal/synth"
)

// authority is a CA of a test, with its certificates as PEM files in dir.
type authority struct {
	t    *testing.T
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: filepath.Join(t.TempDir(), name)}
	ok(t, os.Mkdir(a.dir, 0o700))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(t, err)
	a.key = key
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ok(t, err)
	a.cert, err = x509.ParseCertificate(der)
	ok(t, err)
	a.put("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) put(name, kind string, der []byte) {
	ok(a.t, os.WriteFile(a.file(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// issue writes NAME.pem and NAME.key for 127.0.0.1; key is made when it is nil.
func (a *authority) issue(name string, serial int64, key any) tls.Certificate {
	a.t.Helper()
	return a.issueFor(name, serial, key, nil, net.IPv4(127, 0, 0, 1))
}

// issueFor writes them for names and addresses.
func (a *authority) issueFor(name string, serial int64, key any, names []string, addresses ...net.IP) tls.Certificate {
	a.t.Helper()
	if key == nil {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		ok(a.t, err)
		key = k
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		DNSNames: names, IPAddresses: addresses, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.(crypto.Signer).Public(), a.key)
	ok(a.t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	ok(a.t, err)
	a.put(name+".key", "PRIVATE KEY", raw)
	a.put(name+".pem", "CERTIFICATE", der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// secureRig is an appliance with a second port for TLS, at address.
func secureRig(t *testing.T, a *authority, devices string) (r *rig, address string) {
	t.Helper()
	a.issue("edged", 2, nil)
	address = testAddress()
	r = newRig(t, `dicom: {listen: "$DICOM", tls: {listen: "`+address+`", cert: "`+a.file("edged.pem")+`", key: "`+a.file("edged.key")+`", client_ca: "`+a.file("ca.pem")+`"}, devices: [`+devices+`]}`+"\n"+alone, "")
	r.startEdged()
	return r, address
}

// dialTLS is a configuration of a client that speaks TLS to address.
func (r *rig) dialTLS(address, calling string, c *tls.Config, needs ...dimse.Need) dimse.ClientConfig {
	cfg := r.dimseConfig(calling, "EDGED", needs...)
	cfg.Address, cfg.TLS = address, c
	return cfg
}

func mustDial(t *testing.T, cfg dimse.ClientConfig) *dimse.Client {
	t.Helper()
	c, err := dimse.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatalf("%s: %v", cfg.Calling, err)
	}
	t.Cleanup(c.Abort)
	return c
}

// Nothing weaker than BCP 195 is spoken, and who has nothing else is shown with
// the reason (RFC 8996, RFC 9325 §4.2, PS3.15 §B.12).
func TestWeakTLSIsRefusedAndShown(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, "hospital")
	r, address := secureRig(t, a, "{ae_title: CT1, address: 127.0.0.1}")
	mine := a.issue("ct1", 3, nil)
	base := func() *tls.Config {
		return &tls.Config{RootCAs: a.pool(), ServerName: "127.0.0.1", Certificates: []tls.Certificate{mine}}
	}
	weak := map[string]func(*tls.Config){
		"TLS 1.0": func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 },
		"TLS 1.1": func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 },
		"CBC": func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}
		},
		"no forward secrecy": func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}
		},
		"somebody else's CA": func(c *tls.Config) {
			other := newAuthority(t, "other")
			c.Certificates = []tls.Certificate{other.issue("x", 1, nil)}
		},
		"a short RSA key": func(c *tls.Config) { c.Certificates = []tls.Certificate{a.issue("short", 4, shortRSA(t))} },
	}
	for name, change := range weak {
		c := base()
		change(c)
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.Certificates[0], nil } // whoever is asked for
		before := r.device("CT1").Refused
		if _, err := dimse.Dial(t.Context(), r.dialTLS(address, "CT1", c)); err == nil {
			t.Errorf("%s is accepted", name)
		}
		r.await("the refusal to be shown", func() bool { return r.device("CT1").Refused > before })
		if d := r.device("CT1"); d.LastRefusal.Code != status.TLSFailed || d.LastRefusal.Detail == "" {
			t.Errorf("%s is shown as %+v", name, d.LastRefusal)
		} else {
			t.Logf("%s: %s", name, d.LastRefusal.Detail)
		}
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		c := base()
		c.MinVersion, c.MaxVersion = version, version
		mustDial(t, r.dialTLS(address, "CT1", c))
		r.await(tls.VersionName(version)+" to be shown", func() bool { // the answer is on its way before the observer hears of it
			n := r.device("CT1").Negotiation
			return n != nil && strings.HasPrefix(n.TLS, tls.VersionName(version))
		})
	}
}

// shortRSA makes a key that crypto/rsa makes only when asked in this way.
func shortRSA(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	ok(t, err)
	return key
}

// A device comes the way that its line says, whoever else may come otherwise;
// and what was wrong is shown beside it.
func TestDevicesComeTheWayTheyHaveTo(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, "hospital")
	r, address := secureRig(t, a, "{ae_title: ANY}, {ae_title: SERVER, tls: server}, {ae_title: MUTUAL, tls: mutual}")
	cert := a.issue("device", 3, nil)
	bare := &tls.Config{RootCAs: a.pool(), ServerName: "127.0.0.1"}
	proved := &tls.Config{RootCAs: a.pool(), ServerName: "127.0.0.1", Certificates: []tls.Certificate{cert}}
	for _, c := range []struct {
		title string
		tls   *tls.Config
		code  status.RefusalCode
	}{
		{"ANY", nil, ""}, {"ANY", bare, status.NoCertificate}, {"ANY", proved, ""},
		{"SERVER", nil, status.NeedsTLS}, {"SERVER", bare, ""}, {"SERVER", proved, ""},
		{"MUTUAL", nil, status.NeedsTLS}, {"MUTUAL", bare, status.NoCertificate}, {"MUTUAL", proved, ""},
	} {
		cfg := r.dialTLS(address, c.title, c.tls)
		if c.tls == nil {
			cfg.Address = r.dicom
		}
		if c.code == "" {
			if err := mustDial(t, cfg).Release(t.Context()); err != nil {
				t.Error(err)
			}
			continue
		}
		r.rejected(cfg, dimse.RejectNoReason)
		if d := r.device(c.title); d.LastRefusal == nil || d.LastRefusal.Code != c.code {
			t.Errorf("%s is shown as %+v, want %s", c.title, d.LastRefusal, c.code)
		}
	}
	if page := r.page0("/?lang=en"); !strings.Contains(page, "What it asked for") {
		t.Error("the page does not show what was asked for")
	}
	if said, code := r.call("edged", "echo", "--to", "EDGED@"+address, "--calling", "MUTUAL", "--tls", "--tls-ca", a.file("ca.pem"), "--tls-cert", a.file("device.pem"), "--tls-key", a.file("device.key")); code != 0 {
		t.Errorf("edged echo --tls: %s", said)
	}
	if said, code := r.call("edged", "echo", "--to", "EDGED@"+address, "--calling", "SERVER", "--tls", "--tls-ca", a.file("device.pem")); code != 1 || !strings.Contains(said, "certificate") {
		t.Errorf("edged echo believes a certificate of nobody: %d %s", code, said)
	}
	// Who speaks plainly to the TLS port is told apart from what is no DICOM.
	plain := r.dialTLS(address, "SERVER", nil)
	if _, err := dimse.Dial(t.Context(), plain); err == nil {
		t.Error("the TLS port takes what is not TLS")
	}
}

// DCMTK's sender stores over TLS, with a certificate of its own and not without.
func TestInteropDCMTKOverTLS(t *testing.T) {
	t.Parallel()
	needs(t, "storescu")
	a := newAuthority(t, "hospital")
	r, address := secureRig(t, a, "{ae_title: CT1, tls: mutual}")
	a.issue("ct1", 3, nil)
	o := synthetic(t, 1, synth.Bench(1, 64<<10))[0]
	r.keep(o)
	file := filepath.Join(r.path("sent"), o.id()+".dcm")
	host, port, _ := net.SplitHostPort(address)
	said, code := run2(t, "storescu", "+tls", a.file("ct1.key"), a.file("ct1.pem"), "+cf", a.file("ca.pem"), "-aet", "CT1", "-aec", "EDGED", host, port, file)
	if code != 0 {
		t.Fatalf("storescu +tls: %d %s", code, said)
	}
	if said, code := run2(t, "storescu", "+tla", "-ic", "-aet", "CT1", "-aec", "EDGED", host, port, file); code == 0 {
		t.Errorf("storescu without a certificate stored: %s", said)
	}
	for _, row := range r.rows() { // storescu may write lengths anew: not the same object
		if row.SOPInstanceUID != o.names.SOPInstance || row.State != "received" {
			t.Errorf("stored as %+v", row)
		}
	}
	if d := r.device("CT1"); d.Stored != 1 || d.LastRefusal == nil || d.LastRefusal.Code != status.NoCertificate {
		t.Errorf("CT1 is shown as %+v", d)
	}
}

// A certificate is renewed while modalities send: the next connection gets the
// new one. A file that cannot be used takes nothing away.
func TestCertificatesAreReadAgainWhenTheyChange(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, "hospital")
	r, address := secureRig(t, a, "{ae_title: CT1, tls: server}")
	serial := func() int64 {
		c, err := tls.Dial("tcp", address, &tls.Config{RootCAs: a.pool(), ServerName: "127.0.0.1"})
		ok(t, err)
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if serial() != 2 {
		t.Fatal("not the certificate that was there at the start")
	}
	a.issue("edged", 77, nil)
	if n := serial(); n != 77 {
		t.Errorf("serial number %d after the renewal, want 77", n)
	}
	ok(t, os.WriteFile(a.file("edged.pem"), []byte("half a certifi"), 0o600))
	if n := serial(); n != 77 {
		t.Errorf("serial number %d with a broken file, want 77", n)
	}
	r.await("the log to tell", func() bool { return strings.Contains(r.edged.said.String(), "new certificates cannot be used") })
	a.issue("edged", 78, nil)
	if n := serial(); n != 78 {
		t.Errorf("serial number %d after it was mended, want 78", n)
	}
}

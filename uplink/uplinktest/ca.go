package uplinktest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// HubName is the name in the certificates of hubs.
const HubName = "hub.test"

// CA is a certificate authority for one test.
type CA struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	Pool *x509.CertPool
	hub  tls.Certificate
}

// NewCA makes one.
func NewCA(t testing.TB) *CA {
	ca := &CA{t: t, key: newKey(t), Pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
	}
	ca.cert = ca.sign(template, template, ca.key)
	ca.Pool.AddCert(ca.cert)
	return ca
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (ca *CA) sign(template, parent *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, ca.key)
	if err != nil {
		ca.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		ca.t.Fatal(err)
	}
	return cert
}

// Issue makes a certificate with a common name; change alters its template.
func (ca *CA) Issue(name string, usage x509.ExtKeyUsage, change func(*x509.Certificate)) tls.Certificate {
	key := newKey(ca.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
	}
	if change != nil {
		change(template)
	}
	cert := ca.sign(template, ca.cert, key)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// Hub is the TLS configuration of a hub, the same after a restart.
func (ca *CA) Hub() *tls.Config {
	if ca.hub.Leaf == nil {
		ca.hub = ca.Issue(HubName, x509.ExtKeyUsageServerAuth, nil)
	}
	return &tls.Config{Certificates: []tls.Certificate{ca.hub}, ClientCAs: ca.Pool}
}

// Appliance is the TLS configuration of an appliance.
func (ca *CA) Appliance(device string) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{ca.Issue(device, x509.ExtKeyUsageClientAuth, nil)},
		RootCAs:      ca.Pool, ServerName: HubName,
	}
}

// Device names the appliance by the common name, refusing the name "revoked".
func Device(cs tls.ConnectionState) (string, error) {
	name := cs.PeerCertificates[0].Subject.CommonName
	if name == "revoked" {
		return "", errors.New("revoked")
	}
	return name, nil
}

// SaveHub writes a hub's certificate, key and CA into dir for LoadHub in
// another process.
func (ca *CA) SaveHub(dir string) {
	cert := ca.Hub().Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		ca.t.Fatal(err)
	}
	for name, der := range map[string][]byte{"hub.crt": cert.Certificate[0], "hub.key": key, "ca.crt": ca.cert.Raw} {
		if err := os.WriteFile(filepath.Join(dir, name), der, 0o600); err != nil {
			ca.t.Fatal(err)
		}
	}
}

// LoadHub reads what SaveHub wrote.
func LoadHub(dir string) (*tls.Config, error) {
	var der [3][]byte
	for i, name := range []string{"hub.crt", "hub.key", "ca.crt"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		der[i] = b
	}
	key, err := x509.ParsePKCS8PrivateKey(der[1])
	if err != nil {
		return nil, err
	}
	root, err := x509.ParseCertificate(der[2])
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der[0]}, PrivateKey: key}}, ClientCAs: pool}, nil
}

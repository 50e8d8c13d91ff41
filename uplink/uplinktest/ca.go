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

// Hub is the TLS configuration of a hub.
func (ca *CA) Hub() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{ca.Issue(HubName, x509.ExtKeyUsageServerAuth, nil)}, ClientCAs: ca.Pool}
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

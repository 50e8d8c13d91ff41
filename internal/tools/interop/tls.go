package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certificates are the PEM files of an authority, a server and a client. RSA,
// because every peer can do it.
type certificates struct {
	ca, serverCert, serverKey, clientCert, clientKey string
}

func newCertificates(dir string) (c certificates, err error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return c, err
	}
	authority := template("Interop authority")
	authority.IsCA, authority.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, &key.PublicKey, key)
	if err != nil {
		return c, err
	}
	c.ca = filepath.Join(dir, "ca.pem")
	err = writePEM(c.ca, "CERTIFICATE", der)
	for _, leaf := range []struct {
		name      string
		cert, key *string
	}{{"server", &c.serverCert, &c.serverKey}, {"client", &c.clientCert, &c.clientKey}} {
		*leaf.cert, *leaf.key = filepath.Join(dir, leaf.name+".pem"), filepath.Join(dir, leaf.name+"-key.pem")
		err = errors.Join(err, newLeaf(leaf.name, authority, key, *leaf.cert, *leaf.key))
	}
	return c, err
}

func template(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), BasicConstraintsValid: true,
	}
}

func newLeaf(name string, authority *x509.Certificate, signer *rsa.PrivateKey, cert, key string) error {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	t := template(name)
	t.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	t.IPAddresses, t.DNSNames = []net.IP{net.IPv4(127, 0, 0, 1)}, []string{"localhost"}
	der, err := x509.CreateCertificate(rand.Reader, t, authority, &k.PublicKey, signer)
	if err != nil {
		return err
	}
	return errors.Join(writePEM(cert, "CERTIFICATE", der), writePEM(key, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k)))
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"edged/internal/durable"
)

// How long certificates live. A CA outlives the appliances; a device renews by
// simplereenroll; the hub's server certificate is made anew by the hub itself.
const (
	caLife     = 20 * 365 * 24 * time.Hour
	deviceLife = 365 * 24 * time.Hour
	serverLife = 30 * 24 * time.Hour
	backdate   = 24 * time.Hour // clocks of appliances may be behind
)

// HubName is the name in the hub's server certificate. It never resolves;
// appliances verify it instead of the address that they were given.
const HubName = "hub.edged.internal"

// Authority is the hub's CA.
type Authority struct{ bundle *Bundle }

// OpenAuthority reads the CA in dir/ca.pem, or makes it there if there is none
// yet. Several processes may do so at once: one makes it, under a lock.
func OpenAuthority(dir string, now time.Time) (*Authority, error) {
	path := filepath.Join(dir, "ca.pem")
	if b, err := LoadBundle(path); !errors.Is(err, fs.ErrNotExist) {
		return authority(b, errors.Join(err, settle(path)))
	}
	if err := durable.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "ca.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	defer lock.Close() // gives the lock back
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("certificate authority: lock: %w", err)
	}
	if b, err := LoadBundle(path); !errors.Is(err, fs.ErrNotExist) {
		return authority(b, errors.Join(err, settle(path)))
	}
	b, err := newRoot(now)
	if err == nil {
		err = b.Save(path)
	}
	return authority(b, err)
}

func authority(b *Bundle, err error) (*Authority, error) {
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	if !b.Cert.IsCA {
		return nil, errors.New("certificate authority: ca.pem holds no CA certificate")
	}
	return &Authority{bundle: b}, nil
}

// Cert is the CA's certificate.
func (a *Authority) Cert() *x509.Certificate { return a.bundle.Cert }

// newRoot makes the key and self-signed certificate of a CA.
func newRoot(now time.Time) (*Bundle, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	t := template(pkix.Name{CommonName: "edged hub CA"}, now, caLife)
	t.IsCA, t.BasicConstraintsValid, t.MaxPathLenZero = true, true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	cert, err := sign(t, t, &key.PublicKey, key)
	return &Bundle{Key: key, Cert: cert, CA: cert}, err
}

// Device is who an appliance is.
type Device struct {
	ID       string // common name of its certificate
	Facility string // organization of its certificate
}

// SignDevice certifies the key in csr as device d. The names that the request
// asks for are not looked at; that its sender holds the key is checked.
func (a *Authority) SignDevice(csr *x509.CertificateRequest, d Device, now time.Time) (*x509.Certificate, error) {
	pub, err := CheckRequest(csr)
	if err != nil {
		return nil, err
	}
	t := template(pkix.Name{CommonName: d.ID, Organization: []string{d.Facility}}, now, deviceLife)
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return sign(t, a.bundle.Cert, pub, a.bundle.Key)
}

// CheckRequest wants proof of possession (RFC 7030 §3.4) of an ECDSA P-256 key.
func CheckRequest(csr *x509.CertificateRequest) (*ecdsa.PublicKey, error) {
	pub, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok || pub.Curve != elliptic.P256() {
		return nil, errors.New("certificate request: want an ECDSA key on P-256")
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("certificate request: it is not signed by its own key: %w", err)
	}
	return pub, nil
}

// server makes a fresh key and certificate for the hub itself.
func (a *Authority) server(now time.Time) (*Bundle, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	t := template(pkix.Name{CommonName: HubName}, now, serverLife)
	t.DNSNames = []string{HubName}
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	cert, err := sign(t, a.bundle.Cert, &key.PublicKey, a.bundle.Key)
	return &Bundle{Key: key, Cert: cert, CA: a.bundle.Cert}, err
}

func template(subject pkix.Name, now time.Time, life time.Duration) *x509.Certificate {
	serial := make([]byte, 16)
	rand.Read(serial)
	serial[0] &= 0x7f // positive, at most 20 octets (RFC 5280 §4.1.2.2)
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		Subject:      subject,
		NotBefore:    now.Add(-backdate),
		NotAfter:     now.Add(life),
	}
}

func sign(t, parent *x509.Certificate, pub crypto.PublicKey, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, pub, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// Bundle is one party's identity: its key, its certificate, and the CA that it
// trusts. It lies in one PEM file.
type Bundle struct {
	Key  *ecdsa.PrivateKey
	Cert *x509.Certificate
	CA   *x509.Certificate
}

// NewKey makes an ECDSA key on P-256.
func NewKey() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// Save writes the bundle durably to path, replacing what was there.
func (b *Bundle) Save(path string) error {
	text, err := b.marshal()
	if err != nil {
		return err
	}
	return writeFile(path, text)
}

// LoadBundle reads what Save wrote; errors.Is(err, fs.ErrNotExist) when there is none.
func LoadBundle(path string) (*Bundle, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	b, err := parseBundle(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

// SaveKey writes a key that has no certificate yet.
func SaveKey(path string, key *ecdsa.PrivateKey) error {
	text, err := marshalKey(key)
	if err != nil {
		return err
	}
	return writeFile(path, text)
}

// LoadKey reads what SaveKey wrote.
func LoadKey(path string) (*ecdsa.PrivateKey, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	key, _, err := parsePEM(text)
	if err != nil || key == nil {
		return nil, fmt.Errorf("%s: %w", path, errors.Join(errNoKey, err))
	}
	return key, nil
}

// Device is who the certificate says its owner is.
func (b *Bundle) Device() Device { return deviceOf(b.Cert) }

// RenewAt is when the certificate should be renewed: two thirds of its life are
// gone, and a hub may be away for the rest of it.
func (b *Bundle) RenewAt() time.Time { return b.Cert.NotAfter.Add(-b.Life() / 3) }

// Life is how long the certificate is valid in all.
func (b *Bundle) Life() time.Duration { return b.Cert.NotAfter.Sub(b.Cert.NotBefore) }

func (b *Bundle) tls() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{b.Cert.Raw}, PrivateKey: b.Key, Leaf: b.Cert}
}

var errNoKey = errors.New("no ECDSA P-256 private key in PEM form")

func (b *Bundle) marshal() ([]byte, error) {
	text, err := marshalKey(b.Key)
	if err != nil {
		return nil, err
	}
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.Cert.Raw})...)
	return append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.CA.Raw})...), nil
}

func marshalKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// parseBundle wants the key, the certificate that belongs to it, and the CA
// that signed it; for a CA the two certificates are the same.
func parseBundle(text []byte) (*Bundle, error) {
	key, certs, err := parsePEM(text)
	if err != nil {
		return nil, err
	}
	if key == nil {
		return nil, errNoKey
	}
	if len(certs) != 2 {
		return nil, fmt.Errorf("want a certificate and its CA, there are %d", len(certs))
	}
	b := &Bundle{Key: key, Cert: certs[0], CA: certs[1]}
	if !key.PublicKey.Equal(b.Cert.PublicKey) {
		return nil, errors.New("certificate and key do not belong together")
	}
	if err := b.Cert.CheckSignatureFrom(b.CA); err != nil {
		return nil, fmt.Errorf("certificate and CA do not belong together: %w", err)
	}
	return b, nil
}

func parsePEM(text []byte) (key *ecdsa.PrivateKey, certs []*x509.Certificate, err error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return key, certs, nil
		}
		switch block.Type {
		case "PRIVATE KEY":
			any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, nil, err
			}
			k, ok := any.(*ecdsa.PrivateKey)
			if !ok || k.Curve != elliptic.P256() {
				return nil, nil, errNoKey
			}
			key = k
		case "CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, nil, err
			}
			certs = append(certs, c)
		}
	}
}

package recovery

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
)

// Types of the PEM blocks.
const (
	privateBlock = "EDGED RECOVERY PRIVATE KEY"
	publicBlock  = "EDGED RECOVERY PUBLIC KEY"
)

// MaxPEM is more than any of the texts of this package has.
const MaxPEM = 4 << 10

// Errors that a caller may want to tell apart.
var (
	ErrNotPublic  = errors.New("this is no recovery public key: want the file that `hubd recovery new` named recovery-public.pem")
	ErrNotPrivate = errors.New("this is no recovery private key: want the file that `hubd recovery new` named recovery-private.pem")
)

// NewKey makes a pair.
func NewKey() (privatePEM, publicPEM []byte, err error) {
	key, err := kem().GenerateKey()
	if err != nil {
		return nil, nil, fmt.Errorf("make a recovery key: %w", err)
	}
	private, err := key.Bytes()
	if err != nil {
		return nil, nil, fmt.Errorf("make a recovery key: %w", err)
	}
	return encode(privateBlock, private), encode(publicBlock, key.PublicKey().Bytes()), nil
}

// KeyID names a public key.
func KeyID(publicPEM []byte) (string, error) {
	key, err := parsePublic(publicPEM)
	if err != nil {
		return "", err
	}
	return keyID(key), nil
}

func kem() hpke.KEM { return hpke.DHKEM(ecdh.X25519()) }

func keyID(key hpke.PublicKey) string { return short(key.Bytes()) }

// short names bytes by the beginning of their hash.
func short(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

func encode(kind string, b []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b})
}

func parsePublic(text []byte) (hpke.PublicKey, error) {
	b, err := decode(publicBlock, text)
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrNotPublic, err)
	}
	key, err := kem().NewPublicKey(b)
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrNotPublic, err)
	}
	return key, nil
}

func parsePrivate(text []byte) (hpke.PrivateKey, error) {
	b, err := decode(privateBlock, text)
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrNotPrivate, err)
	}
	key, err := kem().NewPrivateKey(b)
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrNotPrivate, err)
	}
	return key, nil
}

// decode wants one block of a kind, and nothing after it: a file with two keys
// would leave open which one counts.
func decode(kind string, text []byte) ([]byte, error) {
	if len(text) > MaxPEM {
		return nil, fmt.Errorf("it has %d bytes", len(text))
	}
	block, rest := pem.Decode(text)
	switch {
	case block == nil:
		return nil, errors.New("it is not PEM")
	case block.Type != kind:
		return nil, fmt.Errorf("it is %.40q", block.Type)
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, errors.New("there is more than one block")
	}
	return block.Bytes, nil
}

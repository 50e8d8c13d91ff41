package identity

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
)

// ReceiptsKey signs the files that receipts are folded into. It is derived from the
// CA's own key (HKDF, RFC 5869): every node has the same, there is nothing more to
// back up, and it ends with the CA. The CA's key itself signs certificates alone.
func (a *Authority) ReceiptsKey() (ed25519.PrivateKey, error) {
	secret, err := a.bundle.Key.Bytes()
	if err != nil {
		return nil, fmt.Errorf("receipts key: %w", err)
	}
	seed, err := hkdf.Key(sha256.New, secret, nil, "edged hub: key of receipts, Ed25519, 1", ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("receipts key: %w", err)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

package vault

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
)

// ErrForeign is what Rewrap says of a recovery key that Wrap did not put there.
var ErrForeign = errors.New("keys/recovery.pub was not written by this appliance, or by an earlier version of it: the key of the spool is not wrapped to it; the hub will be asked")

// markHeader is the PEM header of recovery.pub that proves who put it there.
const markHeader = "Mark"

// markOf is HMAC-SHA256 of the 32 bytes of a public key, under a key that is derived
// from the spool's (RFC 5869): only who has that can have made it.
func markOf(key, publicPEM []byte) []byte {
	under, err := hkdf.Key(sha256.New, key, nil, "edged recovery public key mark 1", sha256.Size)
	if err != nil {
		panic(fmt.Sprintf("hkdf: %v", err)) // only a length out of its bounds is an error
	}
	h := hmac.New(sha256.New, under)
	if block, _ := pem.Decode(publicPEM); block != nil {
		h.Write(block.Bytes)
	}
	return h.Sum(nil)
}

// marked is what is kept of a public key; RecoveryKey takes the mark off again.
func marked(publicPEM, mark []byte) []byte {
	block, _ := pem.Decode(publicPEM) // it was parsed before
	block.Headers = map[string]string{markHeader: hex.EncodeToString(mark)}
	return pem.EncodeToMemory(block)
}

// readPublic gives the public key as it was given to Wrap, and its mark, nil if there
// is none. Whether the key is one is for who uses it.
func readPublic(dir string) (publicPEM, mark []byte, err error) {
	text, err := readFile(filepath.Join(dir, publicFile))
	if err != nil {
		return nil, nil, err
	}
	block, rest := pem.Decode(text)
	if block == nil {
		return text, nil, nil
	}
	mark, _ = hex.DecodeString(block.Headers[markHeader]) // what is no mark proves nothing
	block.Headers = nil
	return append(pem.EncodeToMemory(block), rest...), mark, nil
}

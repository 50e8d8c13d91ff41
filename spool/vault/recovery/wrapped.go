package recovery

import (
	"bytes"
	"crypto/hpke"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

const (
	wrappedTitle = "edged wrapped key 1"
	keySize      = 32 // of what is wrapped
	sealedSize   = 32 + keySize + 16
)

// Errors of wrapped keys.
var (
	ErrDamaged  = errors.New("the wrapped key is damaged")
	ErrOtherKey = errors.New("the wrapped key is for another recovery key")
)

// Wrapped is a key that was wrapped.
type Wrapped struct {
	ID string // of the key inside
	To string // KeyID of the public key
	// sealed is enc | ciphertext | tag.
	sealed []byte
}

// Seal wraps key, which its owner calls id, 16 hexadecimal digits, and returns
// the text of doc.go.
func Seal(publicPEM []byte, id string, key []byte) ([]byte, error) {
	to, err := parsePublic(publicPEM)
	if err != nil {
		return nil, err
	}
	if len(key) != keySize || !isID(id) {
		return nil, fmt.Errorf("wrap key %q of %d bytes: want 16 hexadecimal digits and %d bytes", id, len(key), keySize)
	}
	w := Wrapped{ID: id, To: keyID(to)}
	if w.sealed, err = hpke.Seal(to, hpke.HKDFSHA256(), hpke.AES256GCM(), w.info(), key); err != nil {
		return nil, fmt.Errorf("wrap: %w", err)
	}
	return w.text(), nil
}

// Open gives the key in it to the holder of the private key.
func (w *Wrapped) Open(privatePEM []byte) ([]byte, error) {
	private, err := parsePrivate(privatePEM)
	if err != nil {
		return nil, err
	}
	if is := keyID(private.PublicKey()); is != w.To {
		return nil, fmt.Errorf("%w: it is wrapped to %s, this is %s", ErrOtherKey, w.To, is)
	}
	key, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), w.info(), w.sealed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return key, nil
}

// info binds what stands beside the ciphertext to it.
func (w *Wrapped) info() []byte {
	return []byte(wrappedTitle + "\x00" + w.ID + "\x00" + w.To)
}

func (w *Wrapped) text() []byte {
	head := fmt.Sprintf("%s\nid %s\nto %s\nkey %s\n", wrappedTitle, w.ID, w.To, base64.StdEncoding.EncodeToString(w.sealed))
	return []byte(head + "sum " + short([]byte(head)) + "\n")
}

// Parse reads what Seal wrote. It takes that text and no other: what it returns
// has the same text again.
func Parse(text []byte) (*Wrapped, error) {
	if len(text) > MaxPEM {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrDamaged, len(text))
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) != 6 || lines[0] != wrappedTitle {
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrDamaged, wrappedTitle)
	}
	sealed, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[3], "key "))
	w := &Wrapped{ID: strings.TrimPrefix(lines[1], "id "), To: strings.TrimPrefix(lines[2], "to "), sealed: sealed}
	if err != nil || !isID(w.ID) || !isID(w.To) || len(sealed) != sealedSize || !bytes.Equal(w.text(), text) {
		return nil, fmt.Errorf("%w: its checksum does not fit", ErrDamaged)
	}
	return w, nil
}

func isID(s string) bool {
	return len(s) == 16 && strings.Trim(s, "0123456789abcdef") == ""
}

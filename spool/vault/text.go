package vault

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const (
	title   = "edged spool key 1"
	keySize = 32
	maxText = 16 << 10
)

// Protections, as they stand in Config.Protect and in the files.
const (
	File = "file"
	TPM  = "tpm"
)

// sealedKey is what a copy holds.
type sealedKey struct {
	protect string
	id      string
	blob    []byte // the key itself, or what only the TPM opens
	tried   bool   // somebody has tried to open it
}

var (
	errDamaged = errors.New("damaged")
	errLater   = errors.New("written by a later version of edged")
)

// keyID names a key. The label keeps it from being the hash of the key for any
// other purpose.
func keyID(key []byte) string {
	sum := sha256.Sum256(append([]byte("edged spool key id 1\x00"), key...))
	return hex.EncodeToString(sum[:8])
}

func (k *sealedKey) text() []byte {
	head := fmt.Sprintf("%s\nprotect %s\nid %s\nkey %s\n", title, k.protect, k.id, base64.StdEncoding.EncodeToString(k.blob))
	return []byte(head + sumOf(head))
}

func sumOf(head string) string {
	sum := sha256.Sum256([]byte(head))
	return "sum " + hex.EncodeToString(sum[:8]) + "\n"
}

// parse takes what text wrote and nothing else. A whole text that a later version
// wrote is errLater, and is left alone: it is no damage.
func parse(text []byte) (*sealedKey, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("%w: it is too long", errDamaged)
	}
	head, sum, _ := strings.Cut(string(text), "\nsum ")
	if head += "\n"; "sum "+sum != sumOf(head) {
		return nil, fmt.Errorf("%w: its checksum does not fit", errDamaged)
	}
	lines := strings.Split(head, "\n")
	if lines[0] != title || len(lines) != 5 {
		return nil, fmt.Errorf("%w: it begins with %.40q", errLater, lines[0])
	}
	blob, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[3], "key "))
	k := &sealedKey{protect: strings.TrimPrefix(lines[1], "protect "), id: strings.TrimPrefix(lines[2], "id "), blob: blob}
	if err != nil || !bytes.Equal(k.text(), text) {
		return nil, fmt.Errorf("%w: it is not in the form of version 1", errDamaged)
	}
	return k, k.check()
}

// check judges what a checksum cannot.
func (k *sealedKey) check() error {
	switch {
	case k.protect != File && k.protect != TPM:
		return fmt.Errorf("%w: it is protected by %.20q", errLater, k.protect)
	case k.protect == File && (len(k.blob) != keySize || keyID(k.blob) != k.id):
		return fmt.Errorf("%w: the key is not %s", errDamaged, k.id)
	}
	return nil
}

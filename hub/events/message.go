package events

import (
	"bytes"
	"compress/gzip"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strconv"

	"edged/hub/ledger"
)

// Message is an event and what is told of it.
type Message struct {
	Event  ledger.Event
	Packed []byte // gzip
}

// Body is the JSON text.
func (m Message) Body() io.Reader { return &unpacked{packed: bytes.NewReader(m.Packed)} }

// unpacked opens at the first Read.
type unpacked struct {
	packed io.Reader
	r      io.Reader
}

// Read implements io.Reader.
func (u *unpacked) Read(b []byte) (int, error) {
	if u.r == nil {
		r, err := gzip.NewReader(u.packed)
		if err != nil {
			return 0, err
		}
		u.r = r
	}
	return u.r.Read(b)
}

// Digest is the SHA-256 of the body, and its length.
func (m Message) Digest() (digest [sha256.Size]byte, length int64, err error) {
	h := sha256.New()
	length, err = io.Copy(h, m.Body())
	return [sha256.Size]byte(h.Sum(nil)), length, err
}

// Signature is the value of Edged-Signature: see the documentation of the package.
func Signature(secret []byte, seconds int64, body io.Reader) (string, error) {
	t := strconv.FormatInt(seconds, 10)
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(t + "."))
	if _, err := io.Copy(h, body); err != nil {
		return "", err
	}
	return "t=" + t + ",v1=" + hex.EncodeToString(h.Sum(nil)), nil
}

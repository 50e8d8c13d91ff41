package audit

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// line is a row as it stands in the file; drawn in doc.go. Everything here is pure.
type line struct {
	Seq    uint64          `json:"seq"`
	Prev   string          `json:"prev"`
	Event  json.RawMessage `json:"event,omitempty"`
	Sealed []byte          `json:"sealed,omitempty"`
}

type digest = [sha256.Size]byte

// encode makes the row of an event, without its newline.
func encode(e Event, prev digest, key []byte) ([]byte, error) {
	raw, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("event %d: %w", e.Seq, err) // a time beyond the year 9999
	}
	l := line{Seq: e.Seq, Prev: hex.EncodeToString(prev[:])}
	if key == nil {
		l.Event = raw
	} else if l.Sealed, err = seal(raw, bound(l.Seq, prev), key); err != nil {
		return nil, err
	}
	return json.Marshal(l)
}

var errRow = errors.New("not a row of this log")

// parse reads a row as far as that goes without a key.
func parse(b []byte) (l line, prev digest, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil || d.More() {
		return l, prev, errRow
	}
	raw, err := hex.DecodeString(l.Prev)
	if err != nil || len(raw) != len(prev) || (l.Event == nil) == (l.Sealed == nil) {
		return l, prev, errRow
	}
	return l, digest(raw), nil
}

// open gives the event of a row; own is its ReadingKey.
func (l line) open(prev digest, own []byte) (e Event, err error) {
	raw := []byte(l.Event)
	if l.Sealed != nil {
		if raw, err = unseal(l.Sealed, bound(l.Seq, prev), own); err != nil {
			return e, err
		}
	}
	if json.Unmarshal(raw, &e) != nil || e.Seq != l.Seq {
		return e, errRow
	}
	return e, nil
}

// bound is what a sealed row is tied to: its place.
func bound(seq uint64, prev digest) []byte {
	return append(binary.BigEndian.AppendUint64(nil, seq), prev[:]...)
}

// ReadingKey is the key of the rows, made of the spool's: it opens the audit log and
// nothing else, so it may be given to somebody who is to read an export. A nil one gives nil.
func ReadingKey(spool []byte) ([]byte, error) {
	if spool == nil {
		return nil, nil
	}
	return hkdf.Key(sha256.New, spool, nil, "edged audit", 32)
}

func aead(own []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(own)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func seal(raw, place, key []byte) ([]byte, error) {
	own, err := ReadingKey(key)
	if err != nil {
		return nil, err
	}
	a, err := aead(own)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, a.NonceSize(), a.NonceSize()+len(raw)+a.Overhead())
	rand.Read(nonce) // never fails; random is fine for the rows that people write
	return a.Seal(nonce, nonce, raw, place), nil
}

func unseal(sealed, place, own []byte) ([]byte, error) {
	if own == nil {
		return nil, ErrKey
	}
	a, err := aead(own)
	if err != nil {
		return nil, err
	}
	if len(sealed) < a.NonceSize() {
		return nil, errRow
	}
	raw, err := a.Open(nil, sealed[:a.NonceSize()], sealed[a.NonceSize():], place)
	if err != nil {
		return nil, ErrKey
	}
	return raw, nil
}

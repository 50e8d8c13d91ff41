package spool

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
)

// rowCipher writes and reads what stands in the index. Without keys, rows are
// plain; with them the key is one AES block, so that equal numbers are found
// again, and the value is sealed with a random nonce and bound to its key. 2^32
// rows may be written that way (NIST SP 800-38D §8.3), which is four thousand
// million objects.
//
// The pure part of the index; drawn in doc.go.
type rowCipher struct {
	bucket []byte
	block  cipher.Block // of the keys; nil: plain
	gcm    cipher.AEAD  // of the values
}

var (
	plainBucket  = []byte("objects 1")
	sealedBucket = []byte("objects 2")
)

// rowTag is in every key, so that a key of another spool is known for what it is.
const rowTag = "edgedrow"

func (k *keyring) rows() rowCipher {
	if k == nil {
		return rowCipher{bucket: plainBucket}
	}
	return rowCipher{bucket: sealedBucket, block: k.block(nil, infoIndexKey), gcm: k.aead(nil, infoIndexValue)}
}

// strange is the bucket that must not be there.
func (c rowCipher) strange() []byte {
	if bytes.Equal(c.bucket, plainBucket) {
		return sealedBucket
	}
	return plainBucket
}

func (c rowCipher) key(seq uint64) []byte {
	if c.block == nil {
		return indexKey(seq)
	}
	k := binary.BigEndian.AppendUint64([]byte(rowTag), seq)
	c.block.Encrypt(k, k)
	return k
}

func (c rowCipher) seal(r row) (k, v []byte) {
	k, v = c.key(r.seq), r.encode()
	if c.gcm == nil {
		return k, v
	}
	nonce := make([]byte, c.gcm.NonceSize(), c.gcm.NonceSize()+len(v)+c.gcm.Overhead())
	rand.Read(nonce)
	return k, c.gcm.Seal(nonce, nonce, v, k)
}

var errRow = errors.New("index row is not of this spool, or damaged")

func (c rowCipher) open(k, v []byte) (r row, err error) {
	if c.gcm != nil {
		if k, v, err = c.decrypt(k, v); err != nil {
			return r, err
		}
	}
	if r.id, r.meta, err = decodeRow(k, v); err == nil {
		r.seq = binary.BigEndian.Uint64(k)
	}
	return r, err
}

// decrypt returns what the row would be without encryption.
func (c rowCipher) decrypt(k, v []byte) (key, value []byte, err error) {
	n := c.gcm.NonceSize()
	if len(k) != c.block.BlockSize() || len(v) < n {
		return nil, nil, errRow
	}
	key = make([]byte, len(k))
	c.block.Decrypt(key, k)
	value, err = c.gcm.Open(nil, v[:n], v[n:], k)
	if err != nil || string(key[:len(rowTag)]) != rowTag {
		return nil, nil, errRow
	}
	return key[len(rowTag):], value, nil
}

package spool

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync/atomic"
)

// The encrypted file, version 1; drawn in doc.go. Everything here is pure, but
// for the salts.

const (
	cipherMagic   = "EDGEDENC"
	cipherVersion = 1
	cipherHeader  = 64
	chunkBits     = 14
	chunkSize     = 1 << chunkBits
	chunkTag      = 16
	sealedChunk   = chunkSize + chunkTag
	saltSize      = 32
	keySize       = 32
)

// What the keys of each purpose are derived under; see RFC 5869 §3.2.
const (
	infoKeyID      = "edged key id"
	infoObject     = "edged object v1"
	infoJournal    = "edged journal v1"
	infoIndexKey   = "edged index key"
	infoIndexValue = "edged index value"
)

// keyID tells keys apart without saying anything about them.
type keyID [8]byte

// keyring holds what comes of Config.Key. A nil *keyring is that of a spool
// without encryption: it reads what is plain, and says ErrKey to the rest.
type keyring struct {
	master []byte
	id     keyID
	from   atomic.Uint64 // every object from this number on is encrypted
}

// newKeyring is nil without a key.
func newKeyring(key []byte) (*keyring, error) {
	if key == nil {
		return nil, nil
	}
	if len(key) != keySize {
		return nil, fmt.Errorf("spool: Key has %d bytes, want %d", len(key), keySize)
	}
	k := &keyring{master: append([]byte(nil), key...)}
	k.from.Store(unknownFrom)
	copy(k.id[:], k.derive(nil, infoKeyID, len(k.id)))
	return k, nil
}

// derive is HKDF-SHA256 (RFC 5869).
func (k *keyring) derive(salt []byte, info string, size int) []byte {
	b, err := hkdf.Key(sha256.New, k.master, salt, info, size)
	if err != nil {
		panic(fmt.Sprintf("hkdf of %d bytes: %v", size, err)) // only a length out of its bounds is an error
	}
	return b
}

// aead is AES-256-GCM under a key of its own for salt and purpose.
func (k *keyring) aead(salt []byte, info string) cipher.AEAD {
	a, err := cipher.NewGCM(k.block(salt, info))
	if err != nil {
		panic(fmt.Sprintf("gcm: %v", err)) // AES has the right block size
	}
	return a
}

func (k *keyring) block(salt []byte, info string) cipher.Block {
	b, err := aes.NewCipher(k.derive(salt, info, keySize))
	if err != nil {
		panic(fmt.Sprintf("aes: %v", err)) // 32 bytes are a key
	}
	return b
}

// admits says whether what carries that key id can be read with k.
func (k *keyring) admits(id keyID) error {
	switch {
	case k == nil:
		return fmt.Errorf("%w: it needs key %x, and there is none", ErrKey, id)
	case k.id != id:
		return fmt.Errorf("%w: it needs key %x, and this is %x", ErrKey, id, k.id)
	}
	return nil
}

// newSalt is 32 random bytes: no two files ever have the same key.
func newSalt() []byte {
	salt := make([]byte, saltSize)
	rand.Read(salt) // it never fails, says its documentation
	return salt
}

// fileCipher seals and opens the chunks of one file.
type fileCipher struct {
	header []byte // associated data of every chunk
	gcm    cipher.AEAD
}

// newFile begins an encrypted file.
func (k *keyring) newFile() *fileCipher {
	b := make([]byte, cipherHeader)
	copy(b, cipherMagic)
	binary.BigEndian.PutUint16(b[8:], cipherVersion)
	binary.BigEndian.PutUint16(b[10:], chunkBits)
	copy(b[16:], k.id[:])
	copy(b[24:], newSalt())
	binary.BigEndian.PutUint32(b[60:], checksum(b[:60]))
	return k.fileCipher(b)
}

func (k *keyring) fileCipher(header []byte) *fileCipher {
	return &fileCipher{header: header, gcm: k.aead(header[24:24+saltSize], infoObject)}
}

func isEncrypted(b []byte) bool {
	return len(b) >= len(cipherMagic) && string(b[:len(cipherMagic)]) == cipherMagic
}

// decodeCipherHeader reads what newFile made; b begins with its magic.
func decodeCipherHeader(b []byte) (id keyID, err error) {
	if len(b) < cipherHeader || binary.BigEndian.Uint32(b[60:]) != checksum(b[:60]) {
		return id, fmt.Errorf("%w: not a header of an encrypted file", errNotSealed)
	}
	if v, bits := binary.BigEndian.Uint16(b[8:]), binary.BigEndian.Uint16(b[10:]); v != cipherVersion || bits != chunkBits {
		return id, fmt.Errorf("%w: encryption version %d with chunks of 2^%d bytes", errLater, v, bits)
	}
	copy(id[:], b[16:])
	return id, nil
}

// openFile is the cipher of a file with that header.
func (k *keyring) openFile(header []byte) (*fileCipher, error) {
	id, err := decodeCipherHeader(header)
	if err == nil {
		err = k.admits(id)
	}
	if err != nil {
		return nil, err
	}
	return k.fileCipher(header[:cipherHeader]), nil
}

// chunkNonce is an 11-byte counter and a byte that is 1 in the last chunk: the
// counter makes an exchange of chunks show, the byte makes a cut between two
// chunks show. The key is the file's own and a chunk is sealed once, so no
// nonce is used twice.
func chunkNonce(n int64, last bool) (nonce [12]byte) {
	binary.BigEndian.PutUint64(nonce[3:], uint64(n))
	if last {
		nonce[11] = 1
	}
	return nonce
}

// seal appends chunk n to dst.
func (c *fileCipher) seal(dst, plain []byte, n int64, last bool) []byte {
	nonce := chunkNonce(n, last)
	return c.gcm.Seal(dst, nonce[:], plain, c.header)
}

// open appends the plaintext of chunk n to dst.
func (c *fileCipher) open(dst, sealed []byte, n int64, last bool) ([]byte, error) {
	nonce := chunkNonce(n, last)
	out, err := c.gcm.Open(dst, nonce[:], sealed, c.header)
	if err != nil {
		return nil, fmt.Errorf("%w: encrypted chunk %d does not authenticate", ErrCorrupt, n)
	}
	return out, nil
}

// sizeOnDisk is that of a file with so many bytes of plaintext, at least one: a
// container is never empty, and of nothing no chunk would be read that proves it.
func (k *keyring) sizeOnDisk(plain int64) int64 {
	if k == nil {
		return plain
	}
	return cipherHeader + plain + chunkTag*((plain+chunkSize-1)/chunkSize)
}

// sizeInside turns sizeOnDisk around. Only one size of plaintext leads to a size
// on the disk; sizes to which none leads are an error.
func sizeInside(disk int64) (int64, error) {
	body := disk - cipherHeader
	chunks := (body + sealedChunk - 1) / sealedChunk
	plain := body - chunks*chunkTag
	if plain <= 0 || (plain+chunkSize-1)/chunkSize != chunks {
		return 0, fmt.Errorf("%w: %d bytes are no whole number of encrypted chunks", errNotSealed, disk)
	}
	return plain, nil
}

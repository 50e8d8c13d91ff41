package synth

import (
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"math/rand/v2"
)

// key derives 32 bytes from the seed and a label: the one source of everything
// that differs between two seeds. The format is part of what the golden test fixes.
func key(seed uint64, label string) [32]byte {
	b := binary.BigEndian.AppendUint64([]byte("edged/synth/1\x00"), seed)
	return sha256.Sum256(append(b, label...))
}

// uid is a UID below 2.25 (PS3.5 §B.2) of a UUID of version 8, which RFC 9562
// §5.8 leaves to the maker's own rule: here the key of seed and label.
func uid(seed uint64, label string) string {
	k := key(seed, "uid/"+label)
	k[6] = k[6]&0x0f | 0x80
	k[8] = k[8]&0x3f | 0x80
	return "2.25." + new(big.Int).SetBytes(k[:16]).String()
}

// source is the random stream of seed and label. ChaCha8 is fixed by its
// specification, so it is the same in every Go release.
func source(seed uint64, label string) *rand.ChaCha8 {
	return rand.NewChaCha8(key(seed, "random/"+label))
}

// pick chooses one of n for a label.
func pick(seed uint64, label string, n int) int {
	k := key(seed, "pick/"+label)
	return int(binary.BigEndian.Uint64(k[:]) % uint64(n))
}

package spool

import (
	"bytes"
	"encoding/binary"
)

// EncryptedHead is how many bytes of a file Encrypted wants to see.
const EncryptedHead = 12

// Encrypted says whether what begins like that is an encrypted file of a spool: an
// object, or a segment of the journal. The index is none of both.
func Encrypted(head []byte) bool {
	if bytes.HasPrefix(head, []byte(cipherMagic)) {
		return true
	}
	version, journal := bytes.CutPrefix(head, []byte(segmentMagic))
	return journal && len(version) >= 4 && binary.BigEndian.Uint32(version) == segmentSealed
}

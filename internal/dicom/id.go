package dicom

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
)

// ID names an instance by its content: SHA-256 of Names.Seed followed by the
// data set bytes exactly as they came over the wire. The same instance sent
// again has the same ID, whoever sends it; different bytes under one SOP
// Instance UID have different IDs (P4, P5).
type ID [sha256.Size]byte

// String is the ID as 64 lower-case hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads what String wrote.
func ParseID(s string) (ID, error) {
	var id ID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("object id %.80q: want %d hexadecimal digits", s, 2*len(id))
	}
	copy(id[:], b)
	return id, nil
}

// Names are the three UIDs that travel with a data set: the negotiated transfer
// syntax, and SOP class and SOP instance from the C-STORE command (PS3.7
// §9.3.1.1). They are kept without padding, otherwise as sent, legal or not.
type Names struct {
	TransferSyntax string
	SOPClass       string
	SOPInstance    string
}

// MaxUID is the longest UID in bytes that is carried, far beyond the 64 of
// PS3.5 §9.1, because peers send illegal ones and those are kept too.
const MaxUID = 1024

const idVersion = "edged/object/1"

// Seed is what is hashed before the data set: the version tag, then each UID
// behind its length as a big-endian uint16. Two different triples never give
// the same seed.
func (n Names) Seed() []byte {
	b := []byte(idVersion)
	for _, uid := range []string{n.TransferSyntax, n.SOPClass, n.SOPInstance} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(uid)))
		b = append(b, uid...)
	}
	return b
}

// NewHash returns a SHA-256 that has taken the seed: write the data set to it
// and its Sum is the ID.
func (n Names) NewHash() hash.Hash {
	h := sha256.New()
	h.Write(n.Seed())
	return h
}

// Check says whether the names can be carried: none empty, none longer than
// MaxUID. It does not judge whether they are legal UIDs; ValidUID does.
func (n Names) Check() error {
	for what, uid := range map[string]string{"transfer syntax UID": n.TransferSyntax, "SOP class UID": n.SOPClass, "SOP instance UID": n.SOPInstance} {
		if uid == "" {
			return fmt.Errorf("%s is empty", what)
		}
		if len(uid) > MaxUID {
			return fmt.Errorf("%s has %d bytes, at most %d are carried", what, len(uid), MaxUID)
		}
	}
	return nil
}

// ValidUID reports whether s has the form of PS3.5 §9.1 as far as it decides
// about file names: 1 to 64 bytes of digits and dots, without "..".
func ValidUID(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c != '.' && (c < '0' || c > '9') || c == '.' && i > 0 && s[i-1] == '.' {
			return false
		}
	}
	return true
}

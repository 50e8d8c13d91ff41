package account

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// params of argon2id. What a file may ask for is bounded: a damaged one must not take
// the memory.
type params struct {
	kib, passes uint32
	lanes       uint8
}

// today is the second recommendation of RFC 9106 §4, for where memory is scarce.
var today = params{kib: 64 << 10, passes: 3, lanes: 4}

const (
	maxKiB    = 256 << 10
	maxPasses = 16
	maxLanes  = 16
	saltLen   = 16 // RFC 9106 §4
	tagLen    = 32
	maxPHC    = 256
)

// phc is a hashed password: the string format of the Password Hashing Competition.
type phc struct {
	params
	salt, tag []byte
}

var errPHC = errors.New("not a hash of argon2id within the bounds")

func parsePHC(s string) (phc, error) {
	var h phc
	part := strings.Split(s, "$")
	if len(s) > maxPHC || len(part) != 6 || part[0] != "" || part[1] != "argon2id" || part[2] != "v=19" {
		return phc{}, errPHC
	}
	if _, err := fmt.Sscanf(part[3], "m=%d,t=%d,p=%d", &h.kib, &h.passes, &h.lanes); err != nil {
		return phc{}, errPHC
	}
	h.salt, h.tag = unbase64(part[4]), unbase64(part[5])
	if !h.bounded() || h.String() != s { // one way to write it only
		return phc{}, errPHC
	}
	return h, nil
}

// RFC 9106 §3.1: at least 8 KiB a lane.
func (h phc) bounded() bool {
	return h.lanes >= 1 && h.lanes <= maxLanes && h.passes >= 1 && h.passes <= maxPasses &&
		h.kib >= 8*uint32(h.lanes) && h.kib <= maxKiB &&
		len(h.salt) >= 8 && len(h.salt) <= 64 && len(h.tag) >= 16 && len(h.tag) <= 64
}

func (h phc) String() string {
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", h.kib, h.passes, h.lanes,
		base64.RawStdEncoding.EncodeToString(h.salt), base64.RawStdEncoding.EncodeToString(h.tag))
}

func unbase64(s string) []byte {
	b, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}

// hashed is password with a new salt. It takes p.kib of memory: hold a place.
func hashed(p params, password string) phc {
	h := phc{params: p, salt: random(saltLen), tag: make([]byte, tagLen)}
	h.tag = h.of(password)
	return h
}

// decoy is what an unknown name is compared with: nothing hashes to it but by a chance
// of one in 2^256.
func decoy(p params) phc { return phc{params: p, salt: random(saltLen), tag: random(tagLen)} }

func (h phc) of(password string) []byte {
	text := norm.NFKC.String(password) // NIST SP 800-63B §5.1.1.2
	return argon2.IDKey([]byte(text), h.salt, h.passes, h.kib, h.lanes, uint32(len(h.tag)))
}

// is takes the same time for every password of a length.
func (h phc) is(password string) bool { return subtle.ConstantTimeCompare(h.of(password), h.tag) == 1 }

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // crypto/rand: never an error
	return b
}

package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"fmt"
	"strings"
)

// Pin is what a claim code knows of the hub: the first 80 bits of the hash of
// its CA's public key.
type Pin [10]byte

// PinOf is the pin of a CA certificate.
func PinOf(ca *x509.Certificate) Pin {
	sum := sha256.Sum256(ca.RawSubjectPublicKeyInfo)
	return Pin(sum[:10])
}

// Matches reports whether ca has the key that was pinned.
func (p Pin) Matches(ca *x509.Certificate) bool {
	q := PinOf(ca)
	return subtle.ConstantTimeCompare(p[:], q[:]) == 1
}

// ClaimCode lets one appliance enrol at one hub, once.
type ClaimCode struct {
	Secret [10]byte
	Hub    Pin
}

// NewClaimCode makes a code with a fresh secret for the hub with this CA.
func NewClaimCode(ca *x509.Certificate) ClaimCode {
	c := ClaimCode{Hub: PinOf(ca)}
	rand.Read(c.Secret[:]) // never fails, crypto/rand
	return c
}

// Password is the secret as it travels in HTTP Basic authentication (RFC 7030
// §3.2.3), 16 base-32 digits.
func (c ClaimCode) Password() string {
	return string(encode(nil, c.Secret[:]))
}

// HashPassword is what a hub keeps of a secret. A secret has 80 random bits, so
// a slow hash would add nothing.
func HashPassword(password string) [sha256.Size]byte {
	return sha256.Sum256([]byte("edged/claim/1" + password))
}

const (
	digits     = "0123456789ABCDEFGHJKMNPQRSTVWXYZ" // Crockford's base 32: no I, L, O, U
	groups     = 8
	groupData  = 4
	groupSize  = groupData + 1
	codeDigits = groups * groupSize
)

// String is the code as it is printed and typed: eight groups of five.
func (c ClaimCode) String() string {
	data := encode(encode(nil, c.Secret[:]), c.Hub[:])
	var b strings.Builder
	for g := range groups {
		if g > 0 {
			b.WriteByte('-')
		}
		group := data[g*groupData:][:groupData]
		b.Write(group)
		b.WriteByte(digits[checkDigit(g, group)])
	}
	return b.String()
}

// ParseClaimCode reads what a person typed: any case, hyphens and blanks
// anywhere, O for 0, I and L for 1. The error says where the mistake is.
func ParseClaimCode(s string) (ClaimCode, error) {
	var c ClaimCode
	typed, err := normalise(s)
	if err != nil {
		return c, err
	}
	if len(typed) != codeDigits {
		return c, fmt.Errorf("claim code: it has %d letters and digits, a whole one has %d in %d groups of %d", len(typed), codeDigits, groups, groupSize)
	}
	var data []byte
	for g := range groups {
		group := typed[g*groupSize:][:groupSize]
		if checkDigit(g, group[:groupData]) != valueOf(group[groupData]) {
			return c, fmt.Errorf("claim code: group %d of %d (%s) has a typing mistake: compare it with the sheet", g+1, groups, group)
		}
		data = append(data, group[:groupData]...)
	}
	decode(c.Secret[:], data[:16])
	decode(c.Hub[:], data[16:])
	return c, nil
}

// normalise takes out what people add and replaces what people confuse.
func normalise(s string) ([]byte, error) {
	var out []byte
	for _, r := range strings.ToUpper(s) {
		switch r {
		case '-', ' ', '\t', '\r', '\n':
			continue
		case 'O':
			r = '0'
		case 'I', 'L':
			r = '1'
		}
		if r > 127 || strings.IndexByte(digits, byte(r)) < 0 {
			return nil, fmt.Errorf("claim code: %q does not occur in a code (letters and digits, no U)", r)
		}
		if len(out) > codeDigits {
			return nil, fmt.Errorf("claim code: too long, a whole one has %d letters and digits", codeDigits)
		}
		out = append(out, byte(r))
	}
	return out, nil
}

// encode appends b, five bits a digit; len(b) is a multiple of 5.
func encode(out, b []byte) []byte {
	var acc, n uint
	for _, x := range b {
		acc, n = acc<<8|uint(x), n+8
		for n >= 5 {
			n -= 5
			out = append(out, digits[acc>>n&31])
		}
	}
	return out
}

// decode fills b from its digits, the inverse of encode.
func decode(b, text []byte) {
	var acc, n uint
	i := 0
	for _, d := range text {
		acc, n = acc<<5|uint(valueOf(d)), n+5
		if n >= 8 {
			n -= 8
			b[i] = byte(acc >> n)
			i++
		}
	}
}

func valueOf(digit byte) byte { return byte(strings.IndexByte(digits, digit)) }

// checkDigit is drawn in doc.go. The weights differ and none is zero, so a
// single wrong digit and any exchange change it; the group's number is added so
// that exchanged groups do too.
func checkDigit(group int, data []byte) byte {
	sum, weight := byte(group), byte(1)
	for _, d := range data {
		weight = mul32(weight, 2)
		sum ^= mul32(weight, valueOf(d))
	}
	return sum
}

// mul32 multiplies in GF(32) modulo x^5+x^2+1.
func mul32(a, b byte) byte {
	var p byte
	for ; b > 0; b >>= 1 {
		if b&1 == 1 {
			p ^= a
		}
		if a <<= 1; a&32 != 0 {
			a ^= 0b100101
		}
	}
	return p
}

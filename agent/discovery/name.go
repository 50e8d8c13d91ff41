package discovery

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/miekg/dns"
)

// maxLabel is the longest label of a name (RFC 6763 §4.1.1), in bytes.
const maxLabel = 63

// ID is a short name of an appliance, made of what only it has and what does not show in
// the name.
func ID(place []byte) string {
	sum := sha256.Sum256(append([]byte("edged discovery|"), place...))
	return "edged-" + hex.EncodeToString(sum[:4])
}

// Instance is what people see in a list of services: unique by its id, and with the name
// of the facility as far as there is room.
func Instance(id, facility string) string {
	name := strings.TrimSpace(id + " " + strings.Join(strings.Fields(strings.Map(shown, facility)), " "))
	for len(name) > maxLabel {
		_, last := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-last]
	}
	return strings.TrimRight(name, " .")
}

// shown leaves out what does not show, or turns text around.
func shown(r rune) rune {
	switch {
	case unicode.IsSpace(r):
		return ' '
	case r == utf8.RuneError || !unicode.IsPrint(r):
		return -1
	}
	return r
}

// label is a name as the DNS library writes it, which compares by that: spaces, dots and
// bytes beyond ASCII escaped (RFC 1035 §5.1).
func label(name string) (string, error) {
	wire := append([]byte{byte(len(name))}, name...)
	text, _, err := dns.UnpackDomainName(append(wire, 0), 0)
	return strings.TrimSuffix(text, "."), err
}

package account

import (
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	maxName     = 32
	minPassword = 12  // characters
	maxPassword = 512 // bytes; NIST SP 800-63B §5.1.1.2 asks for 64 characters at least
	minOwn      = 8   // characters that remain when what anybody would guess is taken out
)

// Why a name or a password is refused.
var (
	ErrName      = errors.New("a name is 1 to 32 of a-z 0-9 . _ - and begins with a letter or a digit")
	ErrShort     = errors.New("a password has 12 characters or more")
	ErrLong      = errors.New("a password has at most 512 bytes of valid text")
	ErrGuessable = errors.New("the password is the name, a common word, or a simple row of characters")
)

// fold is the name that was typed: telephones begin with a capital letter.
func fold(typed string) string { return strings.ToLower(strings.TrimSpace(typed)) }

func validName(name string) bool {
	if name == "" || len(name) > maxName || strings.ContainsRune("._-", rune(name[0])) {
		return false
	}
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("._-", c) >= 0) {
			return false
		}
	}
	return true
}

// common is what anybody would try first on this appliance.
var common = []string{"administrator", "amministratore", "radiologia", "radiologie", "radiology", "technician", "password",
	"passwort", "ospedale", "krankenhaus", "qwertyuiop", "qwertzuiop", "1234567890", "admin", "edged"}

// Rules says why a new password will not do, or nil. There are no rules of composition
// (NIST SP 800-63B §5.1.1.2).
func Rules(name, password string) error {
	if len(password) > maxPassword || !utf8.ValidString(password) {
		return ErrLong
	}
	password = strings.ToLower(norm.NFKC.String(password))
	if utf8.RuneCountInString(password) < minPassword {
		return ErrShort
	}
	own := password
	for _, word := range append([]string{fold(name)}, common...) {
		if word != "" {
			own = without(own, word)
		}
	}
	if utf8.RuneCountInString(own) < minOwn || monotonous(password) {
		return ErrGuessable
	}
	return nil
}

// without takes word out; a very short one only where it is the whole, else a name of
// one letter would eat into any password.
func without(s, word string) string {
	if len(word) < 4 && strings.Trim(s, word) != "" {
		return s
	}
	return strings.ReplaceAll(s, word, "")
}

// monotonous: fewer than four different characters, or mostly neighbours in a row.
func monotonous(s string) bool {
	seen, steps, last := make(map[rune]bool), 0, rune(-1)
	for _, r := range s {
		if last >= 0 && (r == last+1 || r == last-1) {
			steps++
		}
		seen[r], last = true, r
	}
	return len(seen) < 4 || 4*steps >= 3*(utf8.RuneCountInString(s)-1)
}

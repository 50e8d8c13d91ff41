package page

import (
	"net/netip"
	"strings"

	"edged/agent/status"
)

// admitCommand is what somebody types into a shell to admit d: title and address
// come from the wire, so it is made only of a legal AE title and a plain IP address,
// and what a shell could take for its own is quoted. "" if there is nothing to type.
func admitCommand(d status.Device) string {
	a, err := netip.ParseAddr(d.Address)
	if err != nil || a.Zone() != "" || !legalTitle(d.AETitle) {
		return ""
	}
	if strings.HasPrefix(d.AETitle, "-") { // else an option
		return "edged devices admit --address " + a.String() + " -- " + shellWord(d.AETitle)
	}
	return "edged devices admit " + shellWord(d.AETitle) + " --address " + a.String()
}

// legalTitle is PS3.5 §6.2: 1 to 16 characters of the default repertoire, no
// backslash, no control characters, not only blanks.
func legalTitle(s string) bool {
	wrong := func(r rune) bool { return r < ' ' || r == '\\' || r > '~' }
	return strings.TrimSpace(s) != "" && len(s) <= 16 && strings.IndexFunc(s, wrong) < 0
}

// shellWord is s as one word of a POSIX shell. Between single quotes nothing means
// anything but the single quote.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'" // no backslash: fewer shells disagree about it
}

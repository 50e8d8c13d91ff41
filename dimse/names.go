package dimse

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
)

// KnownUID is a SOP class or transfer syntax of the standard.
type KnownUID struct {
	UID, Name string
	Retired   bool
}

// uids.txt is PS3.6 Table A-1 (2024e) as far as associations speak of it, a line
// each: kind, UID, name, and whether it is retired, separated by tabs.
//
//go:embed uids.txt
var uidTable string

type nameTable struct {
	names             map[string]string
	classes, syntaxes []KnownUID
}

var known = sync.OnceValue(func() (t nameTable) {
	t.names = make(map[string]string)
	for line := range strings.Lines(uidTable) {
		f := append(strings.Split(strings.TrimSpace(line), "\t"), "")
		u := KnownUID{f[1], f[2], f[3] == "retired"}
		t.names[u.UID] = u.Name
		if f[0] == "transfer" {
			t.syntaxes = append(t.syntaxes, u)
		} else {
			t.classes = append(t.classes, u)
		}
	}
	return t
})

// Name is the standard's name of a SOP class or transfer syntax, "" for one that
// it does not have: a private one, one that came later, or nonsense. For people;
// nothing here decides by it.
func Name(uid string) string { return known().names[uid] }

// SOPClasses returns those of the standard, by UID. The result is the caller's.
func SOPClasses() []KnownUID { return slices.Clone(known().classes) }

// TransferSyntaxes returns those of the standard, by UID. The result is the caller's.
func TransferSyntaxes() []KnownUID { return slices.Clone(known().syntaxes) }

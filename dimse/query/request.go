package query

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"edged/dimse/dataset"
)

// ErrIdentifier means that an identifier does not fit its model: A900 on the
// wire (PS3.4 Tables C.4-1 to C.4-3).
var ErrIdentifier = errors.New("identifier does not match SOP class")

// Find is the identifier of a C-FIND, made by ParseFind.
type Find struct {
	Root  Root
	Level Level
	Keys  dataset.Set
	keys  []key // those that decide
}

// Retrieve is the identifier of a C-MOVE or C-GET: all instances at and below
// the entities named at Level. What stands above has one value each.
type Retrieve struct {
	Level     Level
	PatientID string // "" in a Study Root
	Studies   []string
	Series    []string
	Instances []string
}

// ParseFind reads the identifier of a C-FIND (PS3.4 §C.4.1.1.3.1).
func ParseFind(root Root, identifier dataset.Set) (Find, error) {
	l, err := levelIn(root, identifier)
	wanted := func(t dataset.Tag) bool { return Supported(t, l) }
	return Find{root, l, identifier, compile(identifier, wanted, decoder(identifier))}, err
}

// ParseRetrieve reads the identifier of a C-MOVE or C-GET (PS3.4 §C.4.2.1.4,
// §C.4.3.1.4). Keys that are not unique keys are passed over.
func ParseRetrieve(root Root, identifier dataset.Set) (r Retrieve, err error) {
	if r.Level, err = levelIn(root, identifier); err != nil {
		return r, err
	}
	at := values(identifier, r.Level.Unique())
	if len(at) == 0 || slices.ContainsFunc(at, wild) || r.Level == Patient && len(at) > 1 {
		return r, fmt.Errorf("%w: %v at level %v (PS3.4 §C.4.2.2.1)", ErrIdentifier, r.Level.Unique(), r.Level)
	}
	if root == PatientRoot {
		r.PatientID = text(identifier, PatientID)
	}
	for l, list := range map[Level]*[]string{Study: &r.Studies, Series: &r.Series, Image: &r.Instances} {
		if l <= r.Level {
			*list = values(identifier, l.Unique())
		}
	}
	return r, nil
}

// levelIn is the level that is asked for, if the unique keys above it are there
// with one value (PS3.4 §C.4.1.2.1, §C.4.1.3.1).
func levelIn(root Root, identifier dataset.Set) (Level, error) {
	i := slices.Index(levels, identifier.Text(QueryRetrieveLevel))
	top := top(root)
	if i < int(top) {
		return 0, fmt.Errorf("%w: Query/Retrieve Level %.16q", ErrIdentifier, identifier.Text(QueryRetrieveLevel))
	}
	for l := top; l < Level(i); l++ {
		if v := values(identifier, l.Unique()); len(v) != 1 || wild(v[0]) {
			return 0, fmt.Errorf("%w: at level %v it has to name one %v by %v", ErrIdentifier, Level(i), l, l.Unique())
		}
	}
	return Level(i), nil
}

func top(root Root) Level {
	if root == PatientRoot {
		return Patient
	}
	return Study
}

// Above is the value of the unique key of a level above the one asked for, ""
// when it was not named.
func (f Find) Above(l Level) string {
	if l >= f.Level {
		return ""
	}
	return text(f.Keys, l.Unique())
}

// values are those of a unique key, without empty ones.
func values(s dataset.Set, t dataset.Tag) []string {
	e, _ := s.Find(t)
	v := e.Texts()
	if t == PatientID {
		v = decoder(s)(v)
	}
	return slices.DeleteFunc(v, func(s string) bool { return s == "" })
}

func text(s dataset.Set, t dataset.Tag) string {
	if v := values(s, t); len(v) > 0 {
		return v[0]
	}
	return ""
}

func wild(s string) bool { return strings.ContainsAny(s, "*?") }

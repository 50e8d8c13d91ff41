package account

import (
	"errors"
	"strings"
	"testing"
)

func TestPasswordRules(t *testing.T) {
	for _, c := range []struct {
		name, password string
		want           error
	}{
		{"m.rossi", "", ErrShort},
		{"m.rossi", "elevenchars", ErrShort},
		{"m.rossi", "\u00e8\u00e8\u00e8\u00e8\u00e8\u00e8\u00e8\u00e8\u00e8", ErrShort}, // characters, not bytes
		{"m.rossi", "twelve chars", nil},
		{"m.rossi", "solo minuscole", nil}, // no rules of composition
		{"m.rossi", "\u732b\u304c\u4e03\u5339\u5c4b\u6839\u306e\u4e0a\u3067\u7720\u308b\u3002", nil},
		{"m.rossi", strings.Repeat("ab c", 128), nil},
		{"m.rossi", strings.Repeat("ab c", 128) + "d", ErrLong},
		{"m.rossi", "not text \xff\xfe\xfd", ErrLong},
		{"giovanna.bianchi", "giovanna.bianchi", ErrGuessable},
		{"giovanna.bianchi", "Giovanna.Bianchi", ErrGuessable},
		{"giovanna.bianchi", "giovanna.bianchi2026!", ErrGuessable},
		{"giovanna.bianchi", "\uff47iovanna.bianchi", ErrGuessable}, // a full-width g
		{"giovanna.bianchi", "giovanna.bianchi hat eine Katze", nil},
		{"a", "aaaaaaaaaaaa", ErrGuessable},
		{"a", "banana mangata", nil},
		{"m.rossi", "password1234", ErrGuessable},
		{"m.rossi", "Passwort2026!", ErrGuessable},
		{"m.rossi", "123456789012", ErrGuessable},
		{"m.rossi", "abcdefghijkl", ErrGuessable},
		{"m.rossi", "abababababab", ErrGuessable},
		{"m.rossi", "amministratore1", ErrGuessable},
		{"m.rossi", "radiologia bressanone", nil},
	} {
		if got := Rules(c.name, c.password); !errors.Is(got, c.want) {
			t.Errorf("%q, %.30q: %v, want %v", c.name, c.password, got, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	p := newPlace(t)
	for _, name := range []string{"", ".", "-a", "_a", "m rossi", "m/rossi", "m\u00fcller", "\u0430nna", "anna\n", "<b>", strings.Repeat("a", 33)} {
		if strings.TrimSpace(name) == name && validName(name) {
			t.Errorf("%q is a name", name)
		}
		if name != "anna\n" && !errors.Is(p.Add(t.Context(), root, name, pass, Technician), ErrName) {
			t.Errorf("%q has an account", name)
		}
	}
	for _, name := range []string{"a", "7", "m.rossi-2_b", strings.Repeat("a", 32)} {
		if err := p.Add(t.Context(), root, name, pass, Technician); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := p.Add(t.Context(), root, " Anna", pass, Technician); !errors.Is(err, ErrExists) {
		t.Errorf("anna twice: %v", err)
	}
}

func TestRolesInclude(t *testing.T) {
	for _, c := range []struct {
		have, need Role
		want       bool
	}{{0, 0, false}, {0, Technician, false}, {Technician, 0, false}, {Technician, Technician, true}, {Technician, Administrator, false},
		{Administrator, Technician, true}, {Administrator, Administrator, true}} {
		if got := c.have.May(c.need); got != c.want {
			t.Errorf("%v may what needs %v: %v", c.have, c.need, got)
		}
	}
	for _, s := range []string{"", "viewer", "nobody", "Administrator", "0", "2"} {
		if r, err := ParseRole(s); err == nil {
			t.Errorf("%q is %v", s, r)
		}
	}
}

package account

import (
	"strings"
	"testing"
)

// The hash of an account that New makes has the second parameters of RFC 9106 §4.
func TestHashIsWhatRFC9106Recommends(t *testing.T) {
	b := New(Config{Path: t.TempDir() + "/accounts.json"})
	if err := b.Add(t.Context(), root, "anna", pass, Administrator); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.LogIn(t.Context(), Attempt{Name: "anna", Password: pass}); err != nil {
		t.Fatal(err)
	}
	h, err := parsePHC(b.accounts["anna"].Password)
	if err != nil || !strings.HasPrefix(h.String(), "$argon2id$v=19$m=65536,t=3,p=4$") || len(h.salt) != 16 || len(h.tag) != 32 {
		t.Errorf("%s: %v", h, err)
	}
	if b.decoy.params != h.params || len(b.decoy.tag) != len(h.tag) {
		t.Error("an unknown name costs something else")
	}
}

// Of phc-winner-argon2, src/test.c.
func TestHashIsTheOneOfTheReference(t *testing.T) {
	for _, c := range []struct{ password, hash string }{
		{"password", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"},
		{"password", "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"},
	} {
		h, err := parsePHC(c.hash)
		if err != nil || !h.is(c.password) || h.is(c.password+"x") {
			t.Errorf("%s: %v", c.hash, err)
		}
	}
}

func TestSaltsAreNotUsedTwice(t *testing.T) {
	if a, b := hashed(cheap, pass), hashed(cheap, pass); a.String() == b.String() || !a.is(pass) || !b.is(pass) {
		t.Error(a, b)
	}
}

func TestHashOutOfBoundsIsNotComputed(t *testing.T) {
	const salt, tag = "c29tZXNhbHQ", "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	for _, s := range []string{
		"", "$", "$$$$$", strings.Repeat("$", 300),
		"$argon2i$v=19$m=256,t=2,p=1$" + salt + "$" + tag, "$argon2id$v=16$m=256,t=2,p=1$" + salt + "$" + tag,
		"$argon2id$v=19$m=262145,t=2,p=1$" + salt + "$" + tag, "$argon2id$v=19$m=4294967296,t=2,p=1$" + salt + "$" + tag,
		"$argon2id$v=19$m=7,t=2,p=1$" + salt + "$" + tag, "$argon2id$v=19$m=256,t=0,p=1$" + salt + "$" + tag,
		"$argon2id$v=19$m=256,t=17,p=1$" + salt + "$" + tag, "$argon2id$v=19$m=256,t=2,p=0$" + salt + "$" + tag,
		"$argon2id$v=19$m=256,t=2,p=17$" + salt + "$" + tag, "$argon2id$v=19$m=256,t=2,p=256$" + salt + "$" + tag,
		"$argon2id$v=19$m=256,t=2,p=1$$" + tag, "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$", "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$AAAA",
		"$argon2id$v=19$m=+256,t=2,p=1$" + salt + "$" + tag, "$argon2id$v=19$m=0256,t=2,p=1$" + salt + "$" + tag,
		"$argon2id$v=19$m=256,t=2,p=1,x=1$" + salt + "$" + tag, "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + tag + "=",
	} {
		if h, err := parsePHC(s); err == nil {
			t.Errorf("%q is %v", s, h)
		}
	}
}

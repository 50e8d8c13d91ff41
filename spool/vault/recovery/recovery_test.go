package recovery

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

const id = "0123456789abcdef"

func pair(t *testing.T) (private, public []byte) {
	t.Helper()
	private, public, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return private, public
}

func sealed(t *testing.T, public, key []byte) []byte {
	t.Helper()
	text, err := Seal(public, id, key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTheHolderOfThePrivateKeyReadsWhatWasWrapped(t *testing.T) {
	private, public := pair(t)
	key := bytes.Repeat([]byte{7}, 32)
	text := sealed(t, public, key)
	if bytes.Contains(text, key) {
		t.Error("the key stands in the text")
	}
	w, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.Open(private)
	if err != nil || !bytes.Equal(got, key) || w.ID != id {
		t.Errorf("%x, %v, id %s", got, err, w.ID)
	}
	if to, err := KeyID(public); err != nil || to != w.To {
		t.Errorf("to %s, %v; want %s", to, err, w.To)
	}
	if again := sealed(t, public, key); bytes.Equal(again, text) {
		t.Error("two wraps are equal: nothing random is in them")
	}
}

func TestAnotherPrivateKeyIsRefusedByName(t *testing.T) {
	_, public := pair(t)
	other, _ := pair(t)
	w, err := Parse(sealed(t, public, make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Open(other); !errors.Is(err, ErrOtherKey) {
		t.Errorf("got %v, want ErrOtherKey", err)
	}
}

// Every single changed character is found, by the sum or by the tag.
func TestNoEditedTextOpens(t *testing.T) {
	private, public := pair(t)
	text := sealed(t, public, make([]byte, 32))
	for i := range text {
		bad := bytes.Clone(text)
		bad[i] ^= 1
		if _, err := Parse(bad); err == nil {
			t.Fatalf("byte %d changed, and it parses", i)
		}
		if _, err := Parse(text[:i]); err == nil {
			t.Fatalf("cut at %d, and it parses", i)
		}
	}
	// The same with a sum that fits: names and ciphertext are bound by the tag.
	w, _ := Parse(text)
	w.ID = strings.Repeat("f", 16)
	if _, err := w.Open(private); !errors.Is(err, ErrDamaged) {
		t.Errorf("under another name: %v, want ErrDamaged", err)
	}
	for i := range w.sealed {
		v, _ := Parse(text)
		v.sealed[i] ^= 1
		if _, err := v.Open(private); !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d of the ciphertext: %v, want ErrDamaged", i, err)
		}
	}
}

func TestThePrivateKeyIsNotTakenForThePublicOne(t *testing.T) {
	private, public := pair(t)
	if _, err := KeyID(private); !errors.Is(err, ErrNotPublic) {
		t.Errorf("private key as public: %v", err)
	}
	w, _ := Parse(sealed(t, public, make([]byte, 32)))
	if _, err := w.Open(public); !errors.Is(err, ErrNotPrivate) {
		t.Errorf("public key as private: %v", err)
	}
	for name, text := range map[string][]byte{"empty": nil, "two": append(bytes.Clone(public), public...), "long": make([]byte, MaxPEM+1)} {
		if _, err := KeyID(text); !errors.Is(err, ErrNotPublic) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What parses is what was written, to the byte.
func FuzzParse(f *testing.F) {
	_, public, err := NewKey()
	if err != nil {
		f.Fatal(err)
	}
	text, err := Seal(public, id, make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(wrappedTitle + "\nid \nto \nkey \nsum \n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if w, err := Parse(text); err == nil && !bytes.Equal(w.text(), text) {
			t.Errorf("%q came back as %q", text, w.text())
		}
	})
}

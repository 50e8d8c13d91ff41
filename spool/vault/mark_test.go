package vault

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Who can write the disk, but has not the spool's key, puts his own recovery key
// there: a start does not wrap the key to it, and the hub's word mends it.
func TestTheKeyIsWrappedToNobodyWhoOnlyWroteTheDisk(t *testing.T) {
	region, public := recoveryPair(t)
	thief, thiefPublic := recoveryPair(t)
	key := mustOpen(t, Config{Dir: filepath.Join(t.TempDir(), "other")})
	for name, text := range map[string][]byte{
		"bare":           thiefPublic,
		"another's mark": marked(thiefPublic, markOf(key, thiefPublic)),
		"no mark":        marked(thiefPublic, nil),
	} {
		c := Config{Dir: filepath.Join(t.TempDir(), "keys")}
		mustOpen(t, c)
		mustWrap(t, c, public, true)
		before, _ := os.ReadFile(filepath.Join(c.Dir, wrappedFile))
		if err := os.WriteFile(filepath.Join(c.Dir, publicFile), text, 0o600); err != nil {
			t.Fatal(err)
		}
		mustOpen(t, c)
		if changed, err := Rewrap(c); changed || !errors.Is(err, ErrForeign) {
			t.Errorf("%s: %v, %v; want ErrForeign", name, changed, err)
		}
		now, _ := os.ReadFile(filepath.Join(c.Dir, wrappedFile))
		if err := Recover(Config{Dir: moveDisk(t, c.Dir)}, thief, nil); err == nil || !bytes.Equal(now, before) {
			t.Errorf("%s: the thief opens it: %v", name, err)
		}
		mustWrap(t, c, public, true)
		if changed, err := Rewrap(c); changed || err != nil || !Recoverable(c.Dir) {
			t.Errorf("%s: after the hub's word: %v, %v", name, changed, err)
		}
		if err := Recover(Config{Dir: moveDisk(t, c.Dir)}, region, nil); err != nil {
			t.Errorf("%s: the region cannot open it: %v", name, err)
		}
	}
}

// What Wrap got last is enough to mend a wrapped key that is gone.
func TestRewrapMendsWhatIsGone(t *testing.T) {
	private, public := recoveryPair(t)
	c := Config{Dir: filepath.Join(t.TempDir(), "keys")}
	mustOpen(t, c)
	if _, err := Rewrap(c); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing was wrapped: %v", err)
	}
	mustWrap(t, c, public, true)
	if got, err := RecoveryKey(c.Dir); err != nil || !bytes.Equal(got, public) {
		t.Errorf("the public key came back as %q, %v", got, err)
	}
	if err := os.Remove(filepath.Join(c.Dir, wrappedFile)); err != nil {
		t.Fatal(err)
	}
	if changed, err := Rewrap(c); !changed || err != nil {
		t.Fatalf("%v, %v", changed, err)
	}
	if err := Recover(Config{Dir: moveDisk(t, c.Dir)}, private, nil); err != nil {
		t.Error(err)
	}
}

// A version that made no mark wrapped to the right key: the hub's word adds it.
func TestAnUnmarkedRecoveryKeyIsMarkedByTheNextWrap(t *testing.T) {
	_, public := recoveryPair(t)
	c := Config{Dir: filepath.Join(t.TempDir(), "keys")}
	mustOpen(t, c)
	mustWrap(t, c, public, true)
	if err := os.WriteFile(filepath.Join(c.Dir, publicFile), public, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Rewrap(c); !errors.Is(err, ErrForeign) {
		t.Errorf("%v, want ErrForeign", err)
	}
	mustWrap(t, c, public, true)
	mustWrap(t, c, public, false)
}

// A kill inside WriteFile leaves the key under a temporary name: the next start, or
// Recover, takes it away, whatever the directory is called.
func TestATemporaryKeyDoesNotStay(t *testing.T) {
	private, public := recoveryPair(t)
	for name, open := range map[string]func(c Config) error{
		"open":    func(c Config) error { _, err := Open(c); return err },
		"recover": func(c Config) error { return Recover(c, private, nil) },
	} {
		c := Config{Dir: filepath.Join(t.TempDir(), `k*e?y[s\`)}
		key := mustOpen(t, c)
		mustWrap(t, c, public, true)
		var left []string
		for _, d := range dirs(c.Dir) {
			left = append(left, filepath.Join(d, "."+keyFile+".123.tmp"))
		}
		for _, name := range left {
			if err := os.WriteFile(name, (&sealedKey{protect: File, id: keyID(key), blob: key}).text(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := open(c); err != nil {
			t.Fatal(err)
		}
		for _, path := range left {
			if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: %s is still there: %v", name, filepath.Base(path), err)
			}
		}
		mustBeInBoth(t, c.Dir, key)
	}
}

package vault

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func mustOpen(t *testing.T, c Config) []byte {
	t.Helper()
	key, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func mustBeInBoth(t *testing.T, dir string, key []byte) {
	t.Helper()
	for i, p := range paths(dir) {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		k, err := parse(text)
		if err != nil || !bytes.Equal(k.blob, key) {
			t.Errorf("copy %d: %v, the key is in it: %v", i+1, err, k != nil && bytes.Equal(k.blob, key))
		}
		if info, _ := os.Stat(p); info.Mode().Perm() != 0o600 {
			t.Errorf("copy %d has mode %v, want 0600", i+1, info.Mode())
		}
	}
}

func TestAKeyIsMadeOnceAndLiesInTwoCopies(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "keys")
	key := mustOpen(t, Config{Dir: dir})
	if len(key) != 32 || bytes.Equal(key, make([]byte, 32)) {
		t.Fatalf("the key is %x", key)
	}
	mustBeInBoth(t, dir, key)
	for _, needed := range []bool{false, true} {
		if again := mustOpen(t, Config{Dir: dir, Needed: needed}); !bytes.Equal(again, key) {
			t.Errorf("needed %v: another key", needed)
		}
	}
	if other := mustOpen(t, Config{Dir: filepath.Join(t.TempDir(), "keys")}); bytes.Equal(other, key) {
		t.Error("two spools have one key")
	}
}

// Files that need a key are never given a new one: that would hide that the right
// one is gone, and the next start would call it right.
func TestWhereAKeyIsNeededNoneIsMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	for range 2 {
		if _, err := Open(Config{Dir: dir, Needed: true}); !errors.Is(err, ErrNoKey) {
			t.Fatalf("got %v, want ErrNoKey", err)
		}
		if Exists(dir) {
			t.Fatal("a key was made")
		}
	}
	if _, err := Load(Config{Dir: dir}); !errors.Is(err, ErrNoKey) {
		t.Errorf("Load: %v, want ErrNoKey", err)
	}
	if !strings.Contains(ErrNoKey.Error(), "edged spool recover-key") {
		t.Error("the error does not say what to do")
	}
}

func TestLoadChangesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	if _, err := Load(Config{Dir: dir}); !errors.Is(err, ErrNoKey) {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Error("Load made the directory")
	}
	key := mustOpen(t, Config{Dir: dir})
	os.Remove(paths(dir)[0])
	if got, err := Load(Config{Dir: dir}); err != nil || !bytes.Equal(got, key) {
		t.Fatalf("%v from the second copy", err)
	}
	if _, err := os.Stat(paths(dir)[0]); !os.IsNotExist(err) {
		t.Error("Load mended a copy")
	}
}

// One copy gone or damaged in any way: the key is the same, the copy is whole
// again, and it is told.
func TestABadCopyIsMendedFromTheOther(t *testing.T) {
	damage := map[string]func(path string) error{
		"gone":   os.Remove,
		"no dir": func(p string) error { return os.RemoveAll(filepath.Dir(p)) },
		"empty":  func(p string) error { return os.WriteFile(p, nil, 0o600) },
		"cut":    func(p string) error { return os.Truncate(p, 60) },
		"zeros":  func(p string) error { return os.WriteFile(p, make([]byte, 200), 0o600) },
		"bit": func(p string) error {
			b, _ := os.ReadFile(p)
			b[len(b)/2] ^= 4
			return os.WriteFile(p, b, 0o600)
		},
		"long": func(p string) error { return os.WriteFile(p, bytes.Repeat([]byte("x"), 1<<20), 0o600) },
	}
	for name, hurt := range damage {
		for which := range 2 {
			t.Run(fmt.Sprintf("%s %d", name, which+1), func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "keys")
				key := mustOpen(t, Config{Dir: dir})
				if err := hurt(paths(dir)[which]); err != nil {
					t.Fatal(err)
				}
				var said bytes.Buffer
				got := mustOpen(t, Config{Dir: dir, Needed: true, Logger: slog.New(slog.NewTextHandler(&said, nil))})
				if !bytes.Equal(got, key) {
					t.Error("another key")
				}
				mustBeInBoth(t, dir, key)
				if !strings.Contains(said.String(), "written anew from the other") {
					t.Errorf("not told: %s", &said)
				}
			})
		}
	}
}

func TestTwoGoodCopiesOfDifferentKeysAreNeverChosenFrom(t *testing.T) {
	a, b := filepath.Join(t.TempDir(), "keys"), filepath.Join(t.TempDir(), "keys")
	mustOpen(t, Config{Dir: a})
	mustOpen(t, Config{Dir: b})
	before, _ := os.ReadFile(paths(a)[0])
	other, _ := os.ReadFile(paths(b)[1])
	if err := os.WriteFile(paths(a)[1], other, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, needed := range []bool{false, true} {
		if _, err := Open(Config{Dir: a, Needed: needed}); !errors.Is(err, ErrDisagree) {
			t.Errorf("needed %v: %v, want ErrDisagree", needed, err)
		}
	}
	now, _ := os.ReadFile(paths(a)[0])
	second, _ := os.ReadFile(paths(a)[1])
	if !bytes.Equal(before, now) || !bytes.Equal(other, second) {
		t.Error("a copy was changed")
	}
}

// What a later version wrote is no damage: it is neither mended nor replaced.
func TestACopyOfALaterVersionIsLeftAlone(t *testing.T) {
	key := bytes.Repeat([]byte{1}, 32)
	good := string((&sealedKey{protect: File, id: keyID(key), blob: key}).text())
	head, _, _ := strings.Cut(good, "sum ")
	for name, later := range map[string]string{
		"version":    strings.Replace(head, title, "edged spool key 2", 1),
		"protection": strings.Replace(head, "protect file", "protect hsm", 1),
		"form":       head + "owner nobody\n",
	} {
		for _, both := range []bool{false, true} {
			dir := filepath.Join(t.TempDir(), "keys")
			mustOpen(t, Config{Dir: dir})
			text := later + sumOf(later)
			for i, p := range paths(dir) {
				if i == 0 || both {
					os.WriteFile(p, []byte(text), 0o600)
				}
			}
			for _, open := range []func(Config) ([]byte, error){Open, Load} {
				if key, err := open(Config{Dir: dir}); key != nil || !errors.Is(err, errLater) {
					t.Errorf("%s: %x, %v; want errLater", name, key, err)
				}
			}
			if now, _ := os.ReadFile(paths(dir)[0]); string(now) != text {
				t.Errorf("%s: it was written over", name)
			}
		}
	}
}

var errCut = errors.New("the power is cut")

// cutAt lets n steps pass and fails from then on.
func cutAt(n int) func(string) error {
	return func(string) error {
		if n--; n < 0 {
			return errCut
		}
		return nil
	}
}

// Whatever step of the making is the last: a key that Open returned, so that it may
// have encrypted something, is the key for ever; and before, there is at most one.
func TestACutWhileMakingLeavesNeverASecondKey(t *testing.T) {
	done := false
	for n := 0; !done; n++ {
		if n > 50 {
			t.Fatal("it never ends")
		}
		dir := filepath.Join(t.TempDir(), "keys")
		used, err := Open(Config{Dir: dir, step: cutAt(n)})
		done = err == nil
		if !done && !errors.Is(err, errCut) {
			t.Fatal(err)
		}
		var left []byte
		if k, err := Load(Config{Dir: dir}); err == nil {
			left = k
		}
		for again := range 5 { // and cut again while it goes on
			Open(Config{Dir: dir, step: cutAt(again)})
		}
		got := mustOpen(t, Config{Dir: dir, Needed: used != nil})
		if left != nil && !bytes.Equal(got, left) {
			t.Errorf("cut %d: a copy was there, and another key was made", n)
		}
		if used != nil && !bytes.Equal(got, used) {
			t.Errorf("cut %d: a key was used, and another one is there", n)
		}
		mustBeInBoth(t, dir, got)
	}
}

// A failing sync or write is an error of Open: then no Success is given.
func TestNoKeyIsGivenBeforeBothCopiesAreWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	if err := os.MkdirAll(filepath.Join(paths(dir)[1], "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if key, err := Open(Config{Dir: dir}); err == nil || key != nil {
		t.Errorf("a key although copy 2 cannot be written: %v", err)
	}
}

func TestTwoWhoStartAtOnceGetOneKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	var keys [8][]byte
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() { keys[i], _ = Open(Config{Dir: dir}) })
	}
	wg.Wait()
	for i, k := range keys {
		if k == nil || !bytes.Equal(k, keys[0]) {
			t.Errorf("%d got %x, the first %x", i, k, keys[0])
		}
	}
}

func TestAWrongProtectionIsNamed(t *testing.T) {
	if _, err := Open(Config{Dir: t.TempDir(), Protect: "paper"}); err == nil || !strings.Contains(err.Error(), "paper") {
		t.Errorf("got %v", err)
	}
}

// What parses is what was written, to the byte, and holds the key that it names.
func FuzzParse(f *testing.F) {
	key := make([]byte, 32)
	rand.Read(key)
	f.Add((&sealedKey{protect: File, id: keyID(key), blob: key}).text())
	f.Add((&sealedKey{protect: TPM, id: keyID(key), blob: []byte("sealed")}).text())
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := parse(text)
		if err == nil && (!bytes.Equal(k.text(), text) || k.protect == File && keyID(k.blob) != k.id) {
			t.Errorf("%q came back as %q", text, k.text())
		}
	})
}

// The decoder of a sealed blob is somebody else's: it never ends the program.
func FuzzParseBlob(f *testing.F) {
	f.Add([]byte{0x30, 0x03, 0x02, 0x01, 0x05})
	f.Fuzz(func(t *testing.T, der []byte) {
		if k, err := parseBlob(der); err == nil && k == nil {
			t.Error("neither key nor error")
		}
	})
}

// P8: a directory above the copies whose fsync failed is changed, so that the next
// fsync writes something; the copies, which may be all there is of a key in use, stay.
func TestADirectoryThatDidNotSyncIsWrittenAnew(t *testing.T) {
	for _, left := range []bool{false, true} {
		c, err := Config{Dir: filepath.Join(t.TempDir(), "keys")}.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		key := mustOpen(t, c)
		for _, dir := range []string{c.Dir, filepath.Dir(c.Dir)} {
			if left { // by a cut
				if err := os.Mkdir(filepath.Join(dir, ".sync"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			long := time.Now().Add(-time.Hour)
			if err := os.Chtimes(dir, long, long); err != nil {
				t.Fatal(err)
			}
			c.withdraw(fmt.Errorf("x: %w", &dirError{dir, errCut}), false)
			if info, err := os.Stat(dir); err != nil || time.Since(info.ModTime()) > time.Minute {
				t.Errorf("%s was not changed: %v", dir, err)
			}
			if _, err := os.Lstat(filepath.Join(dir, ".sync")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a trace is left: %v", err)
			}
		}
		mustBeInBoth(t, c.Dir, key)
	}
}

package vault

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A disk that does not give back what was written and synced: the key is not given
// out, because nothing may be encrypted with a key that is not there twice.
func TestAKeyThatDoesNotReadBackIsNotGivenOut(t *testing.T) {
	stranger := mustOpen(t, Config{Dir: filepath.Join(t.TempDir(), "keys")})
	bends := map[string]func(text []byte) []byte{
		"a flipped bit": func(text []byte) []byte { text[len(text)-2] ^= 1; return text },
		"nothing":       func([]byte) []byte { return nil },
		"another key":   func([]byte) []byte { return (&sealedKey{protect: File, id: keyID(stranger), blob: stranger}).text() },
	}
	for what, bend := range bends {
		for _, known := range []bool{false, true} {
			c := Config{Dir: filepath.Join(t.TempDir(), "keys")}
			if known {
				mustOpen(t, c)
			}
			bent := false
			c.step = func(name string) error {
				if name != "settle 2" {
					return nil
				}
				bent = true // the first copy is written and synced
				path := paths(c.Dir)[0]
				text, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				return os.WriteFile(path, bend(text), 0o600)
			}
			key, err := Open(c)
			if !bent {
				t.Fatal("nothing was bent")
			}
			if key != nil || !errors.Is(err, errDiskLies) {
				t.Errorf("%s, known key %v: key given out %v, %v; want errDiskLies", what, known, key != nil, err)
			}
		}
	}
}

var synced = regexp.MustCompile(`fsync\(\d+<([^>]*)>\) += 0`)

// A cut can leave keys/ itself as a name that is only in the page cache. So each
// start syncs the whole way up, the parent of keys/ too, before it gives the key out.
func TestTheParentOfTheKeysIsSynced(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed")
	}
	data, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(data, "keys")
	for _, d := range dirs(dir) { // as a cut has left it: made, and nothing says synced
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, what := range []string{"a new key", "a known key"} {
		trace := filepath.Join(t.TempDir(), "trace")
		if _, said, err := child(dir, "strace", "-f", "-y", "-qq", "-o", trace, "-e", "trace=fsync,write"); err != nil {
			t.Skipf("strace may not trace here: %v %s", err, said)
		}
		text, err := os.ReadFile(trace)
		if err != nil {
			t.Fatal(err)
		}
		before, _, given := strings.Cut(string(text), "write(1<")
		if !given {
			t.Fatalf("the key was not given out:\n%s", text)
		}
		done := map[string]bool{}
		for _, m := range synced.FindAllStringSubmatch(before, -1) {
			done[m[1]] = true
		}
		for _, p := range append(copiesAndDirs(dir), dir, data) {
			if !done[p] {
				t.Errorf("%s: %s was not synced before the key was given out", what, strings.TrimPrefix(p, data))
			}
		}
	}
}

// copiesAndDirs are both copies and their directories.
func copiesAndDirs(dir string) (all []string) {
	for i, p := range paths(dir) {
		all = append(all, p, dirs(dir)[i])
	}
	return all
}

package vault

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"edged/spool/vault/recovery"
)

func recoveryPair(t *testing.T) (private, public []byte) {
	t.Helper()
	private, public, err := recovery.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return private, public
}

func mustWrap(t *testing.T, c Config, public []byte, want bool) {
	t.Helper()
	if changed, err := Wrap(c, public); err != nil || changed != want {
		t.Fatalf("changed %v, %v; want %v", changed, err, want)
	}
}

// moveDisk is the disk in a new box: all of it but the copies of the key.
func moveDisk(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "keys")
	if err := os.MkdirAll(to, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{wrappedFile, publicFile} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func TestAWrappedKeyOpensTheDiskInAnotherBox(t *testing.T) {
	private, public := recoveryPair(t)
	dir := filepath.Join(t.TempDir(), "keys")
	key := mustOpen(t, Config{Dir: dir})
	if Recoverable(dir) {
		t.Error("recoverable before it was wrapped")
	}
	mustWrap(t, Config{Dir: dir}, public, true)
	if !Recoverable(dir) {
		t.Error("not recoverable")
	}
	there := moveDisk(t, dir)
	if !Recoverable(there) {
		t.Error("its copies are gone, and what brings them back is not told")
	}
	bare := moveDisk(t, dir)
	if err := os.Remove(filepath.Join(bare, wrappedFile)); err != nil {
		t.Fatal(err)
	}
	if Recoverable(bare) {
		t.Error("nothing brings the key back, and it is called recoverable")
	}
	if _, err := Open(Config{Dir: there, Needed: true}); !errors.Is(err, ErrNoKey) {
		t.Fatalf("without its copies: %v", err)
	}
	var checked []byte
	if err := Recover(Config{Dir: there}, private, func(k []byte) error { checked = k; return nil }); err != nil {
		t.Fatal(err)
	}
	mustBeInBoth(t, there, key)
	if got := mustOpen(t, Config{Dir: there, Needed: true}); !bytes.Equal(got, key) || !bytes.Equal(checked, key) {
		t.Error("another key")
	}
}

// Once is enough; another recovery key replaces the first, which opens nothing then.
func TestWrappingAgainChangesNothingUnlessTheKeyDid(t *testing.T) {
	first, firstPublic := recoveryPair(t)
	second, secondPublic := recoveryPair(t)
	dir := filepath.Join(t.TempDir(), "keys")
	c := Config{Dir: dir}
	if _, err := Wrap(c, firstPublic); err == nil {
		t.Error("wrapped, and there is no directory")
	}
	mustOpen(t, c)
	mustWrap(t, c, firstPublic, true)
	before, _ := os.ReadFile(filepath.Join(dir, wrappedFile))
	mustWrap(t, c, firstPublic, false)
	if now, _ := os.ReadFile(filepath.Join(dir, wrappedFile)); !bytes.Equal(now, before) {
		t.Error("the same key was wrapped again")
	}
	mustWrap(t, c, secondPublic, true)
	if err := Recover(Config{Dir: moveDisk(t, dir)}, first, nil); !errors.Is(err, recovery.ErrOtherKey) {
		t.Errorf("with the first recovery key: %v, want ErrOtherKey", err)
	}
	if err := Recover(Config{Dir: moveDisk(t, dir)}, second, nil); err != nil {
		t.Errorf("with the second one: %v", err)
	}
	for name, hurt := range map[string]func() error{
		"damaged": func() error { return os.WriteFile(filepath.Join(dir, wrappedFile), []byte("x"), 0o600) },
		"gone":    func() error { return os.Remove(filepath.Join(dir, wrappedFile)) },
		"no pub":  func() error { return os.Remove(filepath.Join(dir, publicFile)) },
	} {
		if err := hurt(); err != nil {
			t.Fatal(err)
		}
		if Recoverable(dir) {
			t.Errorf("%s: called recoverable", name)
		}
		mustWrap(t, c, secondPublic, true)
		if !Recoverable(dir) {
			t.Errorf("%s: not mended", name)
		}
	}
}

func TestACutWhileWrappingIsMendedByTheNext(t *testing.T) {
	private, public := recoveryPair(t)
	for n := range 3 {
		dir := filepath.Join(t.TempDir(), "keys")
		key := mustOpen(t, Config{Dir: dir})
		_, err := Wrap(Config{Dir: dir, step: cutAt(n)}, public)
		if n < 2 && (!errors.Is(err, errCut) || Recoverable(dir)) {
			t.Errorf("cut %d: %v, called recoverable: %v", n, err, Recoverable(dir))
		}
		if _, err := Wrap(Config{Dir: dir}, public); err != nil {
			t.Fatal(err)
		}
		there := moveDisk(t, dir)
		if err := Recover(Config{Dir: there}, private, nil); err != nil {
			t.Fatal(err)
		}
		mustBeInBoth(t, there, key)
	}
}

// What is refused writes nothing.
func TestRecoverRefusesWhatDoesNotFitAndWritesNothing(t *testing.T) {
	private, public := recoveryPair(t)
	stranger, _ := recoveryPair(t)
	dir := filepath.Join(t.TempDir(), "keys")
	mustOpen(t, Config{Dir: dir})
	mustWrap(t, Config{Dir: dir}, public, true)
	wrong := errors.New("the files have another key")

	there := moveDisk(t, dir)
	for name, c := range map[string]struct {
		private []byte
		check   func([]byte) error
		want    error
	}{
		"a stranger's key":  {stranger, nil, recovery.ErrOtherKey},
		"the public half":   {public, nil, recovery.ErrNotPrivate},
		"nothing":           {nil, nil, recovery.ErrNotPrivate},
		"another spool's":   {private, func([]byte) error { return wrong }, wrong},
		"of another spool ": {private, func([]byte) error { return wrong }, wrong},
	} {
		if err := Recover(Config{Dir: there}, c.private, c.check); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if Exists(there) {
			t.Errorf("%s: a key was written", name)
		}
	}
	if err := Recover(Config{Dir: t.TempDir()}, private, nil); !errors.Is(err, ErrNotWrapped) {
		t.Errorf("nothing wrapped: %v", err)
	}
	// A good key of another spool is here: it is not written over.
	other := filepath.Join(t.TempDir(), "keys")
	key := mustOpen(t, Config{Dir: other})
	text, _ := os.ReadFile(filepath.Join(dir, wrappedFile))
	os.WriteFile(filepath.Join(other, wrappedFile), text, 0o600)
	if err := Recover(Config{Dir: other}, private, nil); !errors.Is(err, ErrDisagree) {
		t.Errorf("over a good key: %v, want ErrDisagree", err)
	}
	mustBeInBoth(t, other, key)
}

// The TPM of the old box is gone: the key is sealed to the one that is here.
func TestRecoverSealsToTheTPMThatIsHere(t *testing.T) {
	old, here := newTPM(t), newTPM(t)
	private, public := recoveryPair(t)
	dir := filepath.Join(t.TempDir(), "keys")
	key := mustOpen(t, Config{Dir: dir, Protect: TPM, TPM: old})
	mustWrap(t, Config{Dir: dir, Protect: TPM, TPM: old}, public, true)
	if !Recoverable(dir) {
		t.Error("not recoverable") // asked without the TPM
	}
	for cut := range 5 { // the sealed copies of the old TPM are still there
		err := Recover(Config{Dir: dir, Protect: TPM, TPM: here, step: cutAt(cut)}, private, nil)
		if err != nil && !errors.Is(err, errCut) {
			t.Fatal(err)
		}
	}
	if err := Recover(Config{Dir: dir, Protect: TPM, TPM: here}, private, nil); err != nil {
		t.Fatal(err)
	}
	if got := mustOpen(t, Config{Dir: dir, Protect: TPM, TPM: here, Needed: true}); !bytes.Equal(got, key) || inAnyForm(t, dir, key) {
		t.Error("another key, or it is in a file")
	}
}

// After Erase nothing in the directory gives the key, to nobody.
func TestEraseLeavesNoFormOfTheKey(t *testing.T) {
	private, public := recoveryPair(t)
	dir := filepath.Join(t.TempDir(), "keys")
	key := mustOpen(t, Config{Dir: dir})
	mustWrap(t, Config{Dir: dir}, public, true)
	left := filepath.Join(dirs(dir)[0], "."+keyFile+".123.tmp") // of a cut WriteFile
	text, _ := os.ReadFile(paths(dir)[0])
	if err := os.WriteFile(left, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Erase(dir); err != nil {
			t.Fatal(err)
		}
	}
	if inAnyForm(t, dir, key) || Exists(dir) || Recoverable(dir) {
		t.Error("something is left")
	}
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if !d.IsDir() {
			t.Errorf("%s is left", path)
		}
		return err
	})
	if _, err := Open(Config{Dir: dir, Needed: true}); !errors.Is(err, ErrNoKey) {
		t.Errorf("Open: %v, want ErrNoKey", err)
	}
	if err := Recover(Config{Dir: dir}, private, nil); !errors.Is(err, ErrNotWrapped) {
		t.Errorf("Recover: %v, want ErrNotWrapped", err)
	}
	if err := Erase(filepath.Join(t.TempDir(), "none")); err != nil {
		t.Errorf("where nothing was: %v", err)
	}
}

// P8: what a Recover that failed has written is taken away, so that the next one
// writes new files and believes no second fsync; what was there before stays.
func TestAFailedRecoverLeavesNoCopyInDoubt(t *testing.T) {
	private, public := recoveryPair(t)
	dir := filepath.Join(t.TempDir(), "keys")
	key := mustOpen(t, Config{Dir: dir})
	mustWrap(t, Config{Dir: dir}, public, true)
	there := moveDisk(t, dir)
	inTheWay := filepath.Join(paths(there)[1], "in the way")
	if err := os.MkdirAll(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Recover(Config{Dir: there}, private, nil); err == nil {
		t.Fatal("copy 2 cannot be written, and nothing was said")
	}
	if _, err := os.Lstat(paths(there)[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("copy 1 is left: %v", err)
	}
	if _, err := os.Lstat(inTheWay); err != nil {
		t.Error(err)
	}
	if err := os.RemoveAll(paths(there)[1]); err != nil {
		t.Fatal(err)
	}
	if err := Recover(Config{Dir: there}, private, nil); err != nil {
		t.Fatal(err)
	}
	mustBeInBoth(t, there, key)
}

// P8: a wrapped key that was not made durable is not called wrapped afterwards.
func TestAFailedWrapIsDoneAgainInFull(t *testing.T) {
	_, public := recoveryPair(t)
	_, second := recoveryPair(t)
	c := Config{Dir: filepath.Join(t.TempDir(), "keys")}
	mustOpen(t, c)
	mustWrap(t, c, public, true)
	wrapped := filepath.Join(c.Dir, wrappedFile)
	text, _ := os.ReadFile(wrapped)
	if err := errors.Join(os.Remove(wrapped), os.MkdirAll(filepath.Join(wrapped, "in the way"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := Wrap(c, second); err == nil {
		t.Fatal("it cannot be written, and nothing was said")
	}
	if err := errors.Join(os.RemoveAll(wrapped), os.WriteFile(wrapped, text, 0o600)); err != nil {
		t.Fatal(err)
	}
	if Recoverable(c.Dir) {
		t.Error("called recoverable")
	}
	mustWrap(t, c, public, true)
	mustWrap(t, c, public, false)
}

package vault

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"edged/internal/durable"
)

const keyFile = "spool.key"

func dirs(dir string) [2]string {
	return [2]string{filepath.Join(dir, "1"), filepath.Join(dir, "2")}
}

func paths(dir string) (p [2]string) {
	for i, d := range dirs(dir) {
		p[i] = filepath.Join(d, keyFile)
	}
	return p
}

// copyOf is one of the two files as it was found: key is nil when it is not there
// or not good; why says what is wrong with one that is there.
type copyOf struct {
	key *sealedKey
	why error
}

// read looks at both copies. A file that may not be read, or that a later version
// wrote, is an error, not a damaged copy: it is there, and must not be written over.
func (c *Config) read() (held [2]copyOf, err error) {
	for i, p := range paths(c.Dir) {
		text, err := readFile(p)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case errors.Is(err, fs.ErrPermission):
			return held, fmt.Errorf("the key of the spool: %w: run as the user who runs edged", err)
		case err == nil:
			held[i].key, err = parse(text)
		}
		if errors.Is(err, errLater) {
			return held, fmt.Errorf("keys/%d/%s: %w", i+1, keyFile, err)
		}
		if held[i].why = err; err != nil {
			held[i].key = nil
			c.Logger.Error("a copy of the spool's key is not good", "copy", i+1, "err", err)
		}
	}
	return held, nil
}

// write makes both copies hold key, protected as configured. A copy that does is
// left alone, so it is never without a good one on the way.
func (c *Config) write(held [2]copyOf, key []byte) error {
	var fresh *sealedKey
	for i, p := range paths(c.Dir) {
		if k := held[i].key; k != nil && k.protect == c.Protect {
			continue
		}
		if other := held[1-i].key; fresh == nil && other != nil && other.protect == c.Protect {
			fresh = other // a TPM need not seal again
		}
		if fresh == nil {
			var err error
			if fresh, err = c.seal(key); err != nil {
				return err
			}
		}
		if err := c.writeCopy(i, p, fresh, held); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) writeCopy(i int, path string, k *sealedKey, held [2]copyOf) error {
	if err := c.step(fmt.Sprintf("copy %d", i+1)); err != nil {
		return err
	}
	if err := durable.WriteFile(path, k.text(), 0o600); err != nil {
		return &copyError{i, err}
	}
	if old := held[i].key; old != nil {
		c.Logger.Warn("a copy of the spool's key is protected in another way now; what was there before may still be on the disk", "copy", i+1, "was", old.protect, "is", k.protect)
	} else if held[1-i].key != nil {
		c.Logger.Warn("a copy of the spool's key was not good or not there, and is written anew from the other", "copy", i+1, "key", k.id)
	}
	return nil
}

// seal protects a key as configured.
func (c *Config) seal(key []byte) (*sealedKey, error) {
	k := &sealedKey{protect: c.Protect, id: keyID(key), blob: key}
	if c.Protect == File {
		return k, nil
	}
	var err error
	if k.blob, err = sealTPM(c.TPM, key); err != nil {
		return nil, err
	}
	if _, err = unsealTPM(c.TPM, k); err != nil {
		return nil, fmt.Errorf("the TPM does not open what it has just sealed: %v", err)
	}
	return k, nil
}

// lockWait is how long another process may hold the vault; a TPM takes a second.
const lockWait = time.Minute

// makeAndLock makes the directories and keeps other processes out: two that start
// at once must not make two keys. The kernel gives the lock back when the process
// ends, however it ends.
func (c *Config) makeAndLock() (unlock func(), err error) {
	if err := c.step("directories"); err != nil {
		return nil, err
	}
	for _, d := range dirs(c.Dir) {
		if err := durable.Mkdir(d, 0o700); err != nil {
			return nil, fmt.Errorf("keys: %w", err)
		}
	}
	unlock, err = lock(c.Dir)
	if err == nil {
		c.clearTemporary()
	}
	return unlock, err
}

// clearTemporary removes what a cut of WriteFile has left: it may be the key as it
// is, and would lie there for ever, also when the copies are sealed in a TPM by now.
// settle syncs the directories.
func (c *Config) clearTemporary() {
	for _, d := range dirs(c.Dir) {
		entries, err := os.ReadDir(d)
		if err != nil {
			c.Logger.Error("what a cut may have left of the spool's key cannot be looked for", "err", err)
		}
		for _, e := range entries {
			if left, _ := filepath.Match("."+keyFile+".*.tmp", e.Name()); left {
				c.takeAway(os.Remove(filepath.Join(d, e.Name())))
			}
		}
	}
}

func lock(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	if err := durable.Lock(f, lockWait); err != nil {
		return nil, fmt.Errorf("keys: %s is in use by another process: %w", dir, err)
	}
	return func() { f.Close() }, nil
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxText+1))
}

func syncFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

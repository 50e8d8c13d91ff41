package vault

import (
	"crypto/hmac"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"edged/internal/durable"
	"edged/spool/vault/recovery"
)

const (
	publicFile  = "recovery.pub"
	wrappedFile = "recovery.wrapped"
)

// ErrNotWrapped is what Recover says when there is nothing to be recovered.
var ErrNotWrapped = errors.New("the key of this spool was never wrapped to a recovery key: only its own copies open it")

// Wrap wraps the key to a recovery key, durable on return; there must be a key.
// Wrapping again to the same one changes nothing; to another one replaces what
// was there.
//
// Order: wrapped key, then public key. The public key alone would claim what is
// not yet so.
func Wrap(c Config, publicPEM []byte) (changed bool, err error) {
	if c, err = c.withDefaults(); err != nil {
		return false, err
	}
	to, err := recovery.KeyID(publicPEM)
	if err != nil {
		return false, err
	}
	unlock, err := lock(c.Dir)
	if err != nil {
		return false, err
	}
	defer unlock()
	held, err := c.read()
	if err != nil {
		return false, err
	}
	if id := idOf(held); id != "" && c.isWrapped(id, to) {
		return false, c.settleRecovery()
	}
	key, err := c.unseal(&held)
	if err != nil {
		return false, err
	}
	return true, c.wrap(key, publicPEM)
}

// Rewrap wraps the key to the recovery key that Wrap got last, when that was cut
// short or the wrapped key was damaged. It does so only for a public key that bears
// the mark of this spool's key: who had the disk for a minute could have put his own
// there, and would be given the key with the next start. Else it is ErrForeign, and
// the hub has to say again which one counts.
func Rewrap(c Config) (changed bool, err error) {
	if c, err = c.withDefaults(); err != nil {
		return false, err
	}
	unlock, err := lock(c.Dir)
	if err != nil {
		return false, err
	}
	defer unlock()
	public, mark, err := readPublic(c.Dir)
	if err != nil {
		return false, err
	}
	to, err := recovery.KeyID(public)
	if err != nil {
		return false, err
	}
	held, err := c.read()
	if err != nil {
		return false, err
	}
	if id := idOf(held); id != "" && c.isWrapped(id, to) {
		return false, c.settleRecovery()
	}
	key, err := c.unseal(&held)
	if err != nil {
		return false, err
	}
	if !hmac.Equal(mark, markOf(key, public)) {
		return false, ErrForeign
	}
	return true, c.wrap(key, public)
}

// wrap: after an error the public key goes, because with it, and a wrapped key of
// which no fsync can be believed any more, Wrap would have nothing to do (P8).
func (c *Config) wrap(key, publicPEM []byte) (err error) {
	defer func() { c.forgetPublic(err) }()
	text, err := recovery.Seal(publicPEM, keyID(key), key)
	if err != nil {
		return err
	}
	if err := c.step("wrapped"); err != nil {
		return err
	}
	if err := durable.WriteFile(filepath.Join(c.Dir, wrappedFile), text, 0o600); err != nil {
		return err
	}
	if err := c.step("public"); err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(c.Dir, publicFile), marked(publicPEM, markOf(key, publicPEM)), 0o600)
}

// idOf names the key of the copies, "" when there is none or there are two.
func idOf(held [2]copyOf) (id string) {
	for _, h := range held {
		if h.key != nil && id != "" && id != h.key.id {
			return ""
		}
		if h.key != nil {
			id = h.key.id
		}
	}
	return id
}

// isWrapped reports whether key id is wrapped to this recovery key already.
func (c *Config) isWrapped(id, to string) bool {
	w, err := c.wrapped()
	public, mark, perr := readPublic(c.Dir)
	if err != nil || perr != nil || len(mark) == 0 { // versions that made no mark
		return false
	}
	is, perr := recovery.KeyID(public)
	return perr == nil && w.ID == id && w.To == to && is == to
}

func (c *Config) wrapped() (*recovery.Wrapped, error) {
	text, err := readFile(filepath.Join(c.Dir, wrappedFile))
	if err != nil {
		return nil, err
	}
	return recovery.Parse(text)
}

func (c *Config) settleRecovery() (err error) {
	defer func() { c.forgetPublic(err) }()
	return errors.Join(syncFile(filepath.Join(c.Dir, wrappedFile)), syncFile(filepath.Join(c.Dir, publicFile)), durable.SyncDir(c.Dir))
}

// RecoveryKey is the public key that the spool's key was wrapped to last;
// errors.Is(err, fs.ErrNotExist) when there was none.
func RecoveryKey(dir string) ([]byte, error) {
	public, _, err := readPublic(dir)
	return public, err
}

// Recoverable reports whether the key that is in use is wrapped to the recovery
// key that was given last. It needs no TPM. Where no copy says which key is in use,
// a wrapped key is all that there is to go by, and Recover goes by it.
func Recoverable(dir string) bool {
	c, err := Config{Dir: dir}.withDefaults()
	if err != nil {
		return false
	}
	held, err := c.read()
	if err != nil {
		return false
	}
	if held[0].key == nil && held[1].key == nil {
		_, err := c.wrapped()
		return err == nil
	}
	public, err := RecoveryKey(dir)
	if err != nil {
		return false
	}
	to, err := recovery.KeyID(public)
	id := idOf(held)
	return err == nil && id != "" && c.isWrapped(id, to)
}

// Recover unwraps the key and writes both copies, protected as this machine is
// configured. check, if not nil, is asked before anything is written whether the
// key is the right one for the files that are there. A good copy of another key is
// never written over: ErrDisagree.
func Recover(c Config, privatePEM []byte, check func(key []byte) error) error {
	c, err := c.withDefaults()
	if err != nil {
		return err
	}
	w, err := c.wrapped()
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotWrapped
	}
	if err != nil {
		return err
	}
	key, err := w.Open(privatePEM)
	if err != nil {
		return err
	}
	if keyID(key) != w.ID {
		return fmt.Errorf("%w: the key in it is not %s", recovery.ErrDamaged, w.ID)
	}
	if check != nil {
		if err := check(key); err != nil {
			return err
		}
	}
	return c.putBack(key)
}

func (c *Config) putBack(key []byte) error {
	unlock, err := c.makeAndLock()
	if err != nil {
		return err
	}
	defer unlock()
	held, err := c.read()
	if err != nil {
		return err
	}
	for i := range held {
		switch k := held[i].key; {
		case k == nil:
		case k.id != keyID(key):
			return fmt.Errorf("%w: keys/%d/%s is %s, the wrapped key is %s", ErrDisagree, i+1, keyFile, k.id, keyID(key))
		case k.protect == TPM:
			held[i] = copyOf{} // sealed by a TPM that may be another one: seal it here
		}
	}
	was := c.texts()
	if err = c.write(held, key); err == nil {
		err = c.settle(key)
	}
	if err != nil {
		c.withdraw(err, false)
		c.takeBack(was)
	}
	return err
}

// Erase takes away every form of the key, the wrapped one too, and makes that
// durable: what it encrypted is noise from then on, also for the holder of the
// recovery key.
//
// Overwriting first would promise what it does not keep: flash writes elsewhere and
// keeps the old page, and so does a file system that copies on write. Sealed in a
// TPM it is safe; as a file its 32 bytes may be found by who takes the chips out
// of the drive, until the drive reuses the page.
func Erase(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	unlock, err := lock(dir)
	if err != nil {
		return err
	}
	defer unlock()
	// The copies last: as long as one is there, whoever was cut short can prove
	// again that the key may go.
	for _, sub := range []string{dir, dirs(dir)[0], dirs(dir)[1]} {
		if err := eraseFiles(sub); err != nil {
			return fmt.Errorf("erase keys: %w", err)
		}
	}
	return nil
}

// eraseFiles removes every file, also temporary ones that a cut has left: they may
// hold the key.
func eraseFiles(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return durable.SyncDir(dir)
}

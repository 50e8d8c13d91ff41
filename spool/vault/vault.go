package vault

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"edged/internal/durable"
)

// Config says where the key is and how it is kept.
type Config struct {
	Dir     string       // the directory of doc.go; Open makes it
	Protect string       // File or TPM. If empty, File.
	TPM     string       // device or unix socket. If empty, /dev/tpmrm0.
	Needed  bool         // there are files that need a key: none may be made
	Logger  *slog.Logger // If nil, nothing is logged.

	step func(name string) error // tests: called before each change of the disk
}

// Errors that a caller may want to tell apart.
var (
	ErrNoKey    = errors.New("the key of the spool is gone: put back keys/1/spool.key or keys/2/spool.key, or give the region's recovery key (`edged spool recover-key --recovery-key FILE`)")
	ErrDisagree = errors.New("keys/1/spool.key and keys/2/spool.key are two different keys: one of them was copied here from elsewhere; take it away")
	ErrTPM      = errors.New("the TPM does not open the key of the spool: either it is not the TPM of this disk, or it was cleared; give the region's recovery key (`edged spool recover-key --recovery-key FILE`)")
	ErrNoTPM    = errors.New("spool.tpm") // no TPM answers there; the words around it say why
)

var errDiskLies = errors.New("it does not read as it was written: the disk is not to be trusted")

func (c Config) withDefaults() (Config, error) {
	if c.Dir == "" {
		return c, errors.New("vault: Dir is empty")
	}
	if c.Protect == "" {
		c.Protect = File
	}
	if c.Protect != File && c.Protect != TPM {
		return c, fmt.Errorf("vault: Protect is %q, want %s or %s", c.Protect, File, TPM)
	}
	if c.TPM == "" {
		c.TPM = "/dev/tpmrm0"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.step == nil {
		c.step = func(string) error { return nil }
	}
	return c, nil
}

// Open loads the key, or makes it when there is none and none is needed.
//
// Order: make the directories, write copy 1, write copy 2, sync both files and
// every directory up to the parent of Dir, read both back, answer. The commit
// point is the last of these syncs.
func Open(c Config) ([]byte, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	unlock, err := c.makeAndLock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	key, made, err := c.loadOrMake()
	if err == nil {
		err = c.settle(key)
	}
	if err != nil {
		c.withdraw(err, made)
		return nil, err
	}
	return key, nil
}

// Load gives the key and changes nothing: for who only looks. ErrNoKey when there
// is none.
func Load(c Config) ([]byte, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	held, err := c.read()
	if err != nil {
		return nil, err
	}
	return c.unseal(&held)
}

// Exists reports whether there is a copy of a key, good or not.
func Exists(dir string) bool {
	for _, p := range paths(dir) {
		if _, err := os.Lstat(p); !errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	return false
}

func (c *Config) loadOrMake() (key []byte, made bool, err error) {
	held, err := c.read()
	if err != nil {
		return nil, false, err
	}
	key, err = c.unseal(&held)
	if errors.Is(err, ErrNoKey) && !c.Needed {
		key, made, err = make32(), true, nil
		c.Logger.Info("a key for the spool is made", "key", keyID(key), "protect", c.Protect)
	}
	if err != nil {
		return nil, false, err
	}
	return key, made, c.write(held, key)
}

func make32() []byte {
	key := make([]byte, keySize)
	rand.Read(key) // never fails, crypto/rand
	return key
}

// unseal gets the key out of the copies: ErrNoKey when none is good. A sealed copy
// that was not proved to open here is not held to be good: it may be that of another
// TPM, beside a copy that somebody put back, or be left from a cut of Recover.
func (c *Config) unseal(held *[2]copyOf) (key []byte, err error) {
	if a, b := held[0].key, held[1].key; a != nil && b != nil && a.id != b.id {
		return nil, ErrDisagree
	}
	var proved *sealedKey
	for err = ErrNoKey; proved == nil; {
		k := untried(held)
		if k == nil {
			return nil, err
		}
		if key, err = c.open(k); err == nil {
			proved = k
		}
		k.tried = true
	}
	for i, h := range held {
		if k := h.key; k != nil && k.protect == TPM && !bytes.Equal(k.blob, proved.blob) {
			held[i] = copyOf{}
		}
	}
	return key, nil
}

// untried is a copy that was not opened yet; one that needs no TPM comes first.
func untried(held *[2]copyOf) (next *sealedKey) {
	for _, h := range held {
		if k := h.key; k != nil && !k.tried && (next == nil || k.protect == File) {
			next = k
		}
	}
	return next
}

func (c *Config) open(k *sealedKey) ([]byte, error) {
	if k.protect == File {
		return k.blob, nil
	}
	return unsealTPM(c.TPM, k)
}

// settle makes durable what is there, whoever wrote it, and proves that it is the
// key: a name may have been only in the page cache.
func (c *Config) settle(key []byte) error {
	for i, p := range paths(c.Dir) {
		if err := c.step(fmt.Sprintf("settle %d", i+1)); err != nil {
			return err
		}
		if err := errors.Join(syncFile(p), durable.SyncDir(filepath.Dir(p))); err != nil {
			return &copyError{i, err}
		}
	}
	for _, dir := range []string{c.Dir, filepath.Dir(c.Dir)} {
		if err := durable.SyncDir(dir); err != nil {
			return &dirError{dir, err}
		}
	}
	return c.prove(key)
}

// prove reads both copies again.
func (c *Config) prove(key []byte) error {
	held, err := c.read()
	if err != nil {
		return err
	}
	for i, h := range held {
		if h.key == nil || h.key.id != keyID(key) || h.key.protect == File && !bytes.Equal(h.key.blob, key) {
			return &copyError{i, errDiskLies}
		}
	}
	return nil
}

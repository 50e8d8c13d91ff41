package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"edged/internal/audit"
	"edged/spool"
	"edged/spool/vault"
	"edged/spool/vault/recovery"
)

// recoverKeyCmd gives a spool its key back, with the region's recovery key: the disk
// is in another machine, or the TPM or both copies are gone. A daemon that waits for
// its key finds it within seconds.
type recoverKeyCmd struct {
	configFlag
	RecoveryKey string `required:"" placeholder:"FILE" type:"path" help:"The private half of the recovery key, as hubd recovery new made it."`
}

func (c *recoverKeyCmd) Run(p *process) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	if err := cfg.mustNotBeRetired(); err != nil {
		return err
	}
	private, err := readKeyFile(c.RecoveryKey)
	if err != nil {
		return usageError{err}
	}
	if err := cfg.recoverKey(p, private); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "the key of the spool is in %s again; take the recovery key away and keep it offline\n", cfg.keysDir())
	return err
}

// recoverKey notes in the audit log that somebody does this, as soon as there is the
// key to seal the row with, and how it ended. A disk that cannot take the row gets
// its key back all the same: images wait for it.
func (c *Config) recoverKey(p *process, private []byte) error {
	var trail *audit.Log
	e := audit.Event{Who: whoami(), Action: "spool recover-key", Object: "key of the spool", Outcome: audit.Intended}
	note := func() (seq uint64) {
		seq, err := trail.Append(e)
		if err != nil {
			fmt.Fprintf(p.stderr, "edged: this is not in the audit log: %v\n", err)
		}
		return seq
	}
	err := vault.Recover(c.vault(c.Log.logger()), private, func(key []byte) error {
		if err := c.opens(key); err != nil {
			return err
		}
		trail = newTrail(c, key)
		e.Of = note()
		return nil
	})
	if e.Of == 0 { // it was not begun, or that could not be noted
		return err
	}
	if e.Outcome = audit.Done; err != nil {
		e.Outcome = "failed: " + err.Error()
	}
	note()
	return err
}

// opens is nil when key opens all that is in the spool: what is wrapped may be the
// key of another disk, copied here.
func (c *Config) opens(key []byte) error {
	err := c.readAll(key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // nothing was ever kept here
	case errors.Is(err, spool.ErrLocked):
		return errors.New("the daemon has the spool open: it has its key, nothing is to be recovered")
	case errors.Is(err, spool.ErrKey):
		return fmt.Errorf("the recovered key is not that of this spool: is the folder %s that of this disk? (%w)", c.keysDir(), err)
	}
	return err
}

// readAll looks at every object once; a damaged one is no error, one of another key is.
func (c *Config) readAll(key []byte) error {
	r, err := spool.OpenReadOnly(c.spoolDir(), key)
	if err != nil {
		return err
	}
	return errors.Join(r.Each(func(spool.Object) error { return nil }), r.Close())
}

func readKeyFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, recovery.MaxPEM+1))
}

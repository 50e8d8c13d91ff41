package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"time"

	"edged/agent/enrol"
	"edged/spool"
	"edged/spool/vault"
)

// keysDir holds the key of the spool; package vault says what lies there.
const keysDir = "keys"

func (c *Config) spoolDir() string { return filepath.Join(c.DataDir, spoolDir) }
func (c *Config) keysDir() string  { return filepath.Join(c.DataDir, keysDir) }

func (c *Config) vault(log *slog.Logger) vault.Config {
	return vault.Config{Dir: c.keysDir(), Protect: c.Spool.KeyProtection, TPM: c.Spool.TPM, Logger: log}
}

// spoolKey is the key of the spool for who looks at it, nil when nothing in it needs
// one. It makes and mends nothing.
func (c *Config) spoolKey() ([]byte, error) {
	key, err := vault.Load(c.vault(nil))
	if errors.Is(err, vault.ErrNoKey) {
		if needed, nerr := c.needsKey(); nerr != nil || !needed {
			return nil, nerr
		}
		if rerr := c.mustNotBeRetired(); rerr != nil {
			return nil, rerr
		}
	}
	return key, err
}

// openKey is the key for who writes: made where there is none and none is needed,
// and in two durable copies before it returns (D-S12). nil: write as it is.
//
// What is encrypted stays encrypted: with spool.encryption switched off, a spool
// that has a key goes on with it.
func (c *Config) openKey(log *slog.Logger) ([]byte, error) {
	if !c.Spool.Encryption {
		if needed, err := c.needsKey(); err != nil || !needed {
			return nil, err
		}
		log.Warn("spool.encryption is false, but what is in the spool is encrypted: it stays so")
	}
	v := c.vault(log)
	v.Needed = true
	key, err := vault.Open(v)
	if errors.Is(err, vault.ErrNoKey) { // only now it matters whether one may be made
		needed, nerr := c.needsKey()
		if nerr != nil || needed {
			return nil, errors.Join(err, nerr)
		}
		v.Needed = false
		key, err = vault.Open(v)
	}
	if err == nil {
		c.rewrap(v)
	}
	return key, err
}

// rewrap wraps the key to the recovery key that the hub gave last, if that was cut
// short, or the key is another one. What goes wrong stops no image.
func (c *Config) rewrap(v vault.Config) {
	changed, err := vault.Rewrap(v)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		v.Logger.Warn("the key of the spool is not wrapped to the recovery key", "err", err)
	} else if changed {
		v.Logger.Info("the key of the spool is wrapped to the recovery key again")
	}
}

func (c *Config) needsKey() (bool, error) {
	needed, err := spool.NeedsKey(c.spoolDir())
	if err != nil {
		return false, fmt.Errorf("does the spool need a key: %w", err)
	}
	return needed, nil
}

// recoverable reports whether who holds the recovery key of the region can read
// this disk without this machine.
func (c *Config) recoverable() bool { return vault.Recoverable(c.keysDir()) }

// How often a hub is asked for the recovery key: after an answer, and without one.
const (
	recoveryRest  = 24 * time.Hour
	recoveryRetry = 5 * time.Minute
)

// recovery keeps the key of the spool wrapped to the recovery key of the region. It
// asks when the daemon starts and once a day: that costs a connection, and a region
// that has changed its key need not wait for the next certificate.
func (s *sender) recovery(ctx context.Context) error {
	for s.held() == nil {
		if !pause(ctx, enrolPoll) {
			return nil
		}
	}
	said := ""
	for {
		rest, err := recoveryRest, s.cfg.wrapToHub(ctx, s.cfg.Uplink.Hubs, s.log)
		if err != nil && !errors.Is(err, enrol.ErrNoRecovery) {
			rest = recoveryRetry
		}
		if err != nil && ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			s.cfg.tellNotWrapped(s.log, err)
		}
		if !pause(ctx, rest) {
			return nil
		}
	}
}

// tellNotWrapped is true to what is on the disk: a hub that does not answer, or
// copies that are gone, take nothing from what was wrapped before.
func (c *Config) tellNotWrapped(log *slog.Logger, err error) {
	if c.recoverable() {
		log.Warn("the key of the spool stays wrapped to the recovery key that the hub gave last; whether that is still the right one is not known", "err", err)
		return
	}
	log.Warn("the key of the spool is not wrapped to a recovery key of the hub", "err", err)
}

// wrapToHub asks one hub node after the other for the recovery key, and wraps.
func (c *Config) wrapToHub(ctx context.Context, hubs []string, log *slog.Logger) error {
	if !c.Spool.Encryption {
		return nil
	}
	var failed []error
	for _, hub := range hubs {
		public, err := enrol.RecoveryKey(ctx, c.enrolment(hub, ""))
		if err == nil {
			return c.wrapTo(public, log)
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

func (c *Config) wrapTo(public []byte, log *slog.Logger) error {
	changed, err := vault.Wrap(c.vault(log), public)
	if changed && err == nil {
		log.Info("the key of the spool is wrapped to the recovery key of the hub")
	}
	return err
}

package main

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"

	"edged/spool"
	"edged/spool/vault"
)

// spoolKey gives what reads the spool, to whoever may read the files, and makes
// nothing.
func TestSpoolKeyIsForLookingOnly(t *testing.T) {
	c := defaultConfig()
	c.DataDir = t.TempDir()
	log := slog.New(slog.DiscardHandler)
	if key, err := c.spoolKey(); key != nil || err != nil || vault.Exists(c.keysDir()) {
		t.Errorf("before there is a spool: %x, %v", key, err)
	}
	key, err := c.openKey(log)
	if err != nil || len(key) != 32 {
		t.Fatalf("%x, %v", key, err)
	}
	if again, err := c.spoolKey(); err != nil || !bytes.Equal(again, key) {
		t.Errorf("%x, %v; want %x", again, err, key)
	}
	c.Spool.Encryption = false // and nothing is encrypted yet
	if key, err := c.openKey(log); key != nil || err != nil {
		t.Errorf("switched off before its use: %x, %v", key, err)
	}
	c.Spool.Encryption = true
	cfg := c.spool(log)
	cfg.AllowUnsafeFilesystem, cfg.Key = true, key
	s, err := spool.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c.Spool.Encryption = false
	if again, err := c.openKey(log); err != nil || !bytes.Equal(again, key) {
		t.Errorf("switched off after its use: %x, %v", again, err)
	}
	if err := vault.Erase(c.keysDir()); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func() ([]byte, error){"look": c.spoolKey, "open": func() ([]byte, error) { return c.openKey(log) }} {
		if key, err := f(); key != nil || !errors.Is(err, vault.ErrNoKey) {
			t.Errorf("%s after the key was erased: %x, %v", name, key, err)
		}
	}
	if _, err := spool.OpenReadOnly(c.spoolDir(), nil); !errors.Is(err, spool.ErrKey) {
		t.Errorf("without a key: %v, want ErrKey", err)
	}
}

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"edged/internal/durable"
	"edged/spool/vault/recovery"
)

// The two halves of the recovery key.
const (
	recoveryPrivate = "recovery-private.pem"
	recoveryPublic  = "recovery-public.pem"
)

type recoveryNewCmd struct {
	Out string `required:"" placeholder:"DIR" help:"Folder for the two files, best on a USB stick; made if it is missing."`
}

// Run writes the private half first: a public one whose private half was lost in a
// cut would lock everything that is wrapped to it.
func (c recoveryNewCmd) Run(e *env) error {
	private, public, err := recovery.NewKey()
	if err != nil {
		return err
	}
	if err := durable.Mkdir(c.Out, 0o700); err != nil {
		return err
	}
	paths := []string{filepath.Join(c.Out, recoveryPrivate), filepath.Join(c.Out, recoveryPublic)}
	for _, p := range paths {
		if _, err := os.Lstat(p); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there already: a recovery key is never written over, because disks may be wrapped to it", p)
		}
	}
	if err := durable.WriteFile(paths[0], private, 0o600); err != nil {
		return err
	}
	if err := durable.WriteFile(paths[1], public, 0o644); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%s\n%s\n", paths[0], paths[1])
	fmt.Fprintf(e.errOut, `%s opens the disk of every appliance of this region: keep it offline, in two safe places, and never on the hub.
%s goes to the hub; name it in hubd.yaml and start hubd again:
  recovery_key: %s
`, recoveryPrivate, recoveryPublic, paths[1])
	return nil
}

// recoveryKey is the text of the public half, nil when none is configured.
func (c *Config) recoveryKey() ([]byte, error) {
	if c.Recovery == "" {
		return nil, nil
	}
	f, err := os.Open(c.Recovery)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, recovery.MaxPEM+1))
	if err != nil {
		return nil, err
	}
	if _, err := recovery.KeyID(text); err != nil {
		return nil, fmt.Errorf("%s: %w", c.Recovery, err)
	}
	return text, nil
}

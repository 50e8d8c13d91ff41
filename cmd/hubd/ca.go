package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"edged/hub/ledger"
	"edged/internal/identity"
)

func caDir(c Config) string { return cmp.Or(c.CADir, filepath.Join(c.DataDir, "ca")) }

// openCA opens the CA that the rows are about, or makes one where there is none yet.
// Appliances would turn away from a hub with another one, and those that enrol there
// from all other nodes.
func openCA(ctx context.Context, c Config, l *ledger.Ledger) (*identity.Authority, error) {
	dir := caDir(c)
	noted, err := l.Authority(ctx, "")
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, "ca.pem")); errors.Is(err, fs.ErrNotExist) && noted != "" {
		return nil, fmt.Errorf("ca_dir: there is no ca.pem in %s, and the ledger is that of a hub which has one already: copy it from another node or from the backup (its SHA-256 is %s)", dir, noted)
	}
	ca, err := identity.OpenAuthority(dir, time.Now())
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(ca.Cert().Raw)
	mark := hex.EncodeToString(sum[:])
	if noted, err = l.Authority(ctx, mark); err != nil {
		return nil, err
	}
	if noted != mark {
		return nil, fmt.Errorf("ca_dir: the CA in %s is not the one of this hub's ledger: its certificate has the SHA-256 %s, wanted is %s; copy ca.pem from another node or from the backup", dir, mark, noted)
	}
	return ca, nil
}

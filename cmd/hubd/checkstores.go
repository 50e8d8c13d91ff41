package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"edged/hub/ledger"
	"edged/internal/identity"
)

func (c *Config) tryDatabase(ctx context.Context) (string, error) {
	t, err := ledger.Try(ctx, ledgerConfig(*c))
	if err != nil {
		return "", err
	}
	if skew := t.Ahead.Abs(); skew > maxSkew {
		return "", fmt.Errorf("%s: its clock is %v away from the one here: set both by NTP", t.Server, t.Ahead.Round(100*time.Millisecond))
	}
	says := t.Server
	switch {
	case !t.Hub:
		says += ", empty"
	case t.Schema < t.Known:
		says += fmt.Sprintf(", schema %d; this program brings it to %d when it starts: take a backup first", t.Schema, t.Known)
	default:
		says += fmt.Sprintf(", schema %d", t.Schema)
	}
	return says, nil
}

// caWarns is how long before its end a CA is said to end: longer than appliances are
// certified for.
const caWarns = 400 * 24 * time.Hour

func (c *Config) tryCA(ctx context.Context) (string, error) {
	t, err := ledger.Try(ctx, ledgerConfig(*c))
	if err != nil {
		t.CA = "" // the line above has said it
	}
	path := filepath.Join(caDir(*c), "ca.pem")
	b, err := identity.LoadBundle(path)
	if errors.Is(err, fs.ErrNotExist) && t.CA == "" {
		return c.tryMakeCA(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there is no %s, and the ledger is that of a hub which has a CA (its SHA-256 is %s)", path, t.CA)
	}
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b.Cert.Raw)
	left := time.Until(b.Cert.NotAfter)
	switch mark := hex.EncodeToString(sum[:]); {
	case !b.Cert.IsCA:
		return "", fmt.Errorf("%s holds no CA certificate", path)
	case t.CA != "" && t.CA != mark:
		return "", fmt.Errorf("%s is not the CA of this hub's ledger: its SHA-256 is %s, wanted is %s", path, mark, t.CA)
	case left < caWarns:
		return "", fmt.Errorf("%s ends on %s: appliances can no longer be certified for a year", path, b.Cert.NotAfter.Format(time.DateOnly))
	}
	return fmt.Sprintf("%s is good until %s", path, b.Cert.NotAfter.Format(time.DateOnly)), nil
}

// tryMakeCA writes where the first start of a hub makes its CA.
func (c *Config) tryMakeCA(path string) (string, error) {
	if err := tryDir(existing(filepath.Dir(path))); err != nil {
		return "", fmt.Errorf("%s cannot be made: %w", path, err)
	}
	says := path + " is made at the first start"
	if c.several() {
		says += " of the first node; each other node needs a copy of it before its own"
	}
	return says, nil
}

// tryBucket writes, reads and deletes a small document.
func (c *Config) tryBucket(ctx context.Context) (string, error) {
	docs, done, err := beside(*c)
	if err != nil {
		return "", err
	}
	defer done()
	name, text := "check/"+strings.ToLower(rand.Text()), []byte("hubd check --try\n")
	if err := docs.Put(ctx, name, text); err != nil {
		return "", err
	}
	got, err := docs.Get(ctx, name)
	if err == nil && !bytes.Equal(got, text) {
		err = errors.New("it does not give back what was written")
	}
	if err := errors.Join(err, docs.Delete(context.WithoutCancel(ctx), name)); err != nil {
		return "", err
	}
	if _, err := docs.Get(ctx, name); !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("a deleted document is still there: is the bucket versioned by a proxy? %v", err)
	}
	return "written, read and deleted", nil
}

//go:build linux

package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	bolt "go.etcd.io/bbolt"
)

// probeEnv tells a child process which file to look at.
const probeEnv = "EDGED_SPOOL_PROBE"

// probeTime is how long a child may look. An index that takes longer is made again.
const probeTime = 20 * time.Second

// probeReady is set by ProbeMain: a program that does not call it must not be
// started as a probe, it would run as itself.
var probeReady bool

// ProbeMain belongs at the very top of main, and of TestMain. In the child that
// Open starts to look at the index it does not return. A damaged bbolt file can
// end a process by faults and endless loops that nothing catches, so the one
// that looks first must be one that may die (D-S4, SPOOL-13).
func ProbeMain() {
	path := os.Getenv(probeEnv)
	if path == "" {
		probeReady = true
		return
	}
	if err := lookAtIndex(path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// probeIndex lets a child look at the file.
func probeIndex(ctx context.Context, path string) error {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	if !probeReady {
		return errors.New("this program does not call spool.ProbeMain")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), probeEnv+"="+path, "GOMEMLIMIT=256MiB", "GOTRACEBACK=none")
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	return nil
}

// lookAtIndex walks all pages and checks all rows as far as they are not
// encrypted: the child gets no key, and its parent opens every row anyway. It
// opens for writing, as the parent will: that reads the freelist too.
func lookAtIndex(path string) error {
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.View(func(tx *bolt.Tx) error {
		var first error
		for err := range tx.Check() { // to its end: it runs beside us
			if first == nil {
				first = err
			}
		}
		if first != nil {
			return first
		}
		return lookAtRows(tx)
	})
}

func lookAtRows(tx *bolt.Tx) error {
	plain, sealed := tx.Bucket(plainBucket), tx.Bucket(sealedBucket)
	switch {
	case plain != nil:
		return plain.ForEach(func(k, v []byte) error {
			_, _, err := decodeRow(k, v)
			return err
		})
	case sealed != nil:
		return sealed.ForEach(func(k, v []byte) error { return nil })
	}
	return errors.New("index has no bucket")
}

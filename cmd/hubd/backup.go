package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"edged/hub"
	"edged/hub/ledger"
	"edged/internal/durable"
)

type backupCmd struct {
	File string `arg:"" help:"New file for the dump, or - for standard output."`
}

// Run writes the rows as they are at one moment, also beside a running hub.
func (c backupCmd) Run(e *env) error {
	return e.withLedger(func(_ Config, l *ledger.Ledger) error {
		// Whoever takes the rows away is in them.
		if err := l.Audit(e.ctx, actor(), "ledger backup", c.File, ""); err != nil {
			return err
		}
		if c.File == "-" {
			d, err := l.Dump(e.ctx, e.out, "hubd "+programVersion())
			return told(e.errOut, "written", d, err)
		}
		d, err := backup(e.ctx, l, c.File)
		return told(e.out, "written", d, err)
	})
}

// backup writes a file that is whole or not there: temporary file, fsync, name,
// fsync of the directory. A file that is there is never written over.
func backup(ctx context.Context, l *ledger.Ledger, name string) (d ledger.Dump, err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*.tmp") // mode 0600
	if err != nil {
		return d, fmt.Errorf("backup: %w", err)
	}
	d, err = l.Dump(ctx, f, "hubd "+programVersion())
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		if err = os.Link(f.Name(), name); errors.Is(err, fs.ErrExist) {
			err = fmt.Errorf("%s is there already: a backup is never written over; take a new name, as one with the date", name)
		}
	}
	err = errors.Join(err, os.Remove(f.Name()))
	if err != nil {
		return d, fmt.Errorf("backup: %w", err)
	}
	return d, durable.SyncDir(filepath.Dir(name))
}

func told(w io.Writer, what string, d ledger.Dump, err error) error {
	if err == nil {
		fmt.Fprintf(w, "%s: ledger %s of %s, generation %d, schema %d, %d rows, %d objects\nsha256 %s\n",
			what, d.Ledger, d.At.Format(time.RFC3339), d.Generation, d.Schema, d.Rows, d.Tables["objects"], d.SHA256)
	}
	return err
}

type verifyCmd struct {
	File string `arg:"" help:"A dump that hubd ledger backup has written, or - for standard input."`
}

func (c verifyCmd) Run(e *env) error {
	in := io.NopCloser(io.Reader(os.Stdin))
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return err
		}
		in = f
	}
	defer in.Close()
	d, err := ledger.CheckDump(bufio.NewReader(in))
	return told(e.out, "whole and unchanged", d, err)
}

type restoreCmd struct {
	File string `arg:"" help:"A dump that hubd ledger backup has written."`
}

// Run fills an empty ledger while no hub runs on it.
func (c restoreCmd) Run(e *env) error {
	f, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := ledger.CheckDump(f); err != nil {
		return err
	}
	cfg, err := e.load()
	if err != nil {
		return err
	}
	h := &theHub{cfg: cfg, log: newLogger(e.errOut, cfg.Log), started: time.Now()}
	err = h.restore(e.ctx, f, e.out)
	return errors.Join(err, h.close())
}

func (h *theHub) restore(ctx context.Context, f *os.File, out io.Writer) error {
	if err := h.takeDataDir(ctx); err != nil {
		return err
	}
	config := ledgerConfig(h.cfg)
	config.Beside = true // rows of an older program are not brought forward, only to be refused then: other nodes may run
	l, err := ledger.Open(ctx, config)
	if errors.Is(err, ledger.ErrOlder) {
		return errors.Join(ledger.ErrNotEmpty, err)
	}
	if err != nil {
		return err
	}
	h.ledger = l
	if err := h.openObjects(ctx); err != nil {
		return err
	}
	r, err := l.Restore(ctx, f, h.here, actor())
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "restored: ledger %s as of %s, %d rows, %d objects; generation %d: appliances offer everything that is not archived when they connect next\n",
		r.Ledger, r.At.Format(time.RFC3339), r.Rows, r.Tables["objects"], r.Generation)
	fmt.Fprintf(out, "%d objects were not archived then; the bytes of %d of them are not here: they come again from their appliances, unless a destination has them\n", r.Waiting, r.Missing)
	return nil
}

// here reports whether the hub has the bytes of an object.
func (h *theHub) here(id hub.ID) (bool, error) {
	o, err := h.objects.Open(id)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, o.Close()
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"edged/internal/tools/lab"
	"edged/spool"
)

// recoverBytes is the content of each of the many small objects.
const recoverBytes = 4 << 10

// recovered is one start after the other on the same files.
type recovered struct {
	kind       storeKind
	objects    int64
	cold, warm time.Duration // Open, after the file system was mounted anew, and at once again
	index      time.Duration // to write all rows of a lost index
}

func recoverAll(ctx context.Context, l *lab.Lab, o options, d *blockDisk, res *spoolResults) error {
	for _, kind := range []struct {
		storeKind
		key []byte
	}{{spoolPlain, nil}, {spoolEncrypted, benchKey}} {
		v, err := recoverOne(ctx, l, d, kind.storeKind, kind.key, o.recover)
		if err != nil {
			return fmt.Errorf("recovery, %s: %w", kind.name, err)
		}
		res.recovered = append(res.recovered, v)
	}
	return nil
}

func recoverOne(ctx context.Context, l *lab.Lab, d *blockDisk, kind storeKind, key []byte, objects int64) (v recovered, err error) {
	v = recovered{kind: kind, objects: objects}
	dir, err := l.Folder(d.dir, "recover")
	if err != nil {
		return v, err
	}
	defer lab.Settle(d.dir)
	defer os.RemoveAll(dir)
	cfg := spoolConfig(dir, key)
	if err := fillSpool(ctx, cfg, objects); err != nil {
		return v, err
	}
	if err := d.remount(ctx); err != nil {
		return v, err
	}
	if v.cold, _, err = reopen(ctx, cfg, objects); err != nil {
		return v, err
	}
	if v.warm, _, err = reopen(ctx, cfg, objects); err != nil {
		return v, err
	}
	if err := os.Remove(filepath.Join(cfg.Dir, "index.db")); err != nil {
		return v, err
	}
	_, v.index, err = reopen(ctx, cfg, objects)
	return v, err
}

// fillSpool puts the objects, durably: recovery is to find what an appliance leaves.
func fillSpool(ctx context.Context, cfg spool.Config, objects int64) error {
	s, err := spool.Open(ctx, cfg)
	if err != nil {
		return err
	}
	w := writing{writers: 16, content: content{recoverBytes, noise}, more: func(n int64) bool { return n <= objects }}
	err = beside(ctx, s.Run, func(ctx context.Context) error { _, err := w.put(ctx, spoolStore{s}); return err })
	if err == nil {
		err = s.Sweep(ctx) // the rest of the index
	}
	return errors.Join(err, s.Close())
}

// reopen times Open, and what is left for the index.
func reopen(ctx context.Context, cfg spool.Config, objects int64) (open, index time.Duration, err error) {
	began := time.Now()
	s, err := spool.Open(ctx, cfg)
	if err != nil {
		return 0, 0, err
	}
	open, began = time.Since(began), time.Now()
	if err = s.Sweep(ctx); err == nil && s.Stats().Objects != objects {
		err = fmt.Errorf("%d objects of %d are there", s.Stats().Objects, objects)
	}
	index = time.Since(began)
	return open, index, errors.Join(err, s.Close())
}

// rate is objects a second.
func rate(objects int64, took time.Duration) float64 {
	return lab.Per(float64(objects), took.Seconds())
}

func recoveredTable(all []recovered) lab.Section {
	s := lab.Section{Title: "Recovery", Head: []string{"store", "objects", "files/s, just mounted", "files/s, once more", "index rows/s"}}
	for _, v := range all {
		s.Row(v.kind.name, fmt.Sprint(v.objects), fmt.Sprintf("%.0f", rate(v.objects, v.cold)), fmt.Sprintf("%.0f", rate(v.objects, v.warm)), fmt.Sprintf("%.0f", rate(v.objects, v.index)))
	}
	s.Note("Objects of %s, stored by %d writers. Open reads and proves every file; the index is then written from them by Run, while modalities are served.", sizeName(recoverBytes), 16)
	return s
}

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"edged/internal/tools/lab"
)

// spoolCell is a store under a load.
type spoolCell struct {
	kind    storeKind
	size    int64
	writers int
	objects int64
	runs    []outcome
}

// outcome is one run of a cell.
type outcome struct {
	objects  int64
	took     time.Duration
	waits    []time.Duration // of each put, from the first byte to the answer
	flushes  int64           // until the last answer
	bytes    int64           // to the device, until all is written out
	computed time.Duration   // CPU of this process: stores have no other
}

// once runs the cell on an empty folder of the disk.
func (c *spoolCell) once(ctx context.Context, l *lab.Lab, d *blockDisk) (o outcome, err error) {
	dir, err := l.Folder(d.dir, "store")
	if err != nil {
		return o, err
	}
	defer lab.Settle(d.dir) // the removing, too, is on nobody else's time
	defer os.RemoveAll(dir)
	s, err := c.kind.open(ctx, dir)
	if err != nil {
		return o, err
	}
	o, err = c.load(ctx, d, s)
	if err = errors.Join(err, s.close()); err != nil {
		return o, fmt.Errorf("%s, %d writers of %s: %w", c.kind.name, c.writers, sizeName(c.size), err)
	}
	begun := o.bytes
	lab.Settle(d.dir)
	after, err := d.count()
	o.bytes = after.bytes - begun
	return o, err
}

// load lets the writers put all objects, with the store's Run beside them. The
// outcome's bytes are the device's counter before.
func (c *spoolCell) load(ctx context.Context, d *blockDisk, s store) (o outcome, err error) {
	lab.Settle(d.dir)
	runtime.GC()
	before, err := d.count()
	if err != nil {
		return o, err
	}
	w := writing{writers: c.writers, content: content{c.size, noise}, more: func(n int64) bool { return n <= c.objects }}
	computed, began := cpuTime(), time.Now()
	err = beside(ctx, s.run, func(ctx context.Context) error { o.waits, err = w.put(ctx, s); return err })
	o.took, o.computed = time.Since(began), cpuTime()-computed
	after, failed := d.count()
	o.objects, o.flushes, o.bytes = c.objects, after.flushes-before.flushes, before.bytes
	return o, errors.Join(err, failed)
}

// writing is writers that put objects one after the other, for as long as there
// is more: it is asked with the number of the next, 1, 2, ...
type writing struct {
	writers int
	content content
	first   int64 // is added to the numbers
	more    func(n int64) bool
}

// put returns how long each object took, from its first byte to the answer.
func (w writing) put(ctx context.Context, s store) (waits []time.Duration, err error) {
	var next atomic.Int64
	all := make([][]time.Duration, w.writers)
	one := func(i int) func(context.Context) error {
		return func(ctx context.Context) error {
			for n := next.Add(1); w.more(n) && ctx.Err() == nil; n = next.Add(1) {
				began := time.Now()
				if err := s.put(ctx, w.first+n, w.content); err != nil {
					return err
				}
				all[i] = append(all[i], time.Since(began))
			}
			return ctx.Err()
		}
	}
	var each []func(context.Context) error
	for i := range w.writers {
		each = append(each, one(i))
	}
	err = together(ctx, each...)
	return slices.Concat(all...), err
}

// beside runs background for as long as work takes, and ends it.
func beside(ctx context.Context, background, work func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return together(ctx, background, func(ctx context.Context) error {
		defer cancel()
		return work(ctx)
	})
}

// together runs each on a goroutine of its own and waits for all of them; one that
// fails ends the others.
func together(ctx context.Context, all ...func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, f := range all {
		wg.Go(func() {
			if errs[i] = f(ctx); errs[i] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// noise cannot be compressed by any layer below.
var noise = func() []byte {
	b := make([]byte, 1<<20)
	rand.Read(b) // never fails
	return b
}()

// cpuTime is what this process has computed, getrusage(2).
func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func sizeName(bytes int64) string {
	if bytes < 1<<20 {
		return fmt.Sprintf("%d KiB", bytes>>10)
	}
	return fmt.Sprintf("%d MiB", bytes>>20)
}

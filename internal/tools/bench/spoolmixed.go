package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"edged/internal/tools/lab"
)

// Small objects beside a large one: the large one must not hold up the small.
const (
	mixedWriters = 4
	mixedSmall   = 10 << 10
	mixedLarge   = 1 << 30
	mixedLimit   = 50_000 // small objects, whatever the large one does
)

// mixedResult is one store; waits are of the small objects.
type mixedResult struct {
	kind        storeKind
	alone, with []time.Duration
	large       int64         // large objects that became durable meanwhile
	took        time.Duration // of with
}

// mix measures the spool, and the raw loop for what the disk itself does.
func mix(ctx context.Context, l *lab.Lab, o options, d *blockDisk, res *spoolResults) error {
	for _, kind := range []storeKind{spoolPlain, spoolEncrypted, rawStore} {
		m, err := mixOne(ctx, l, d, kind, objectsOf(mixedSmall, int64(o.objects)))
		if err != nil {
			return fmt.Errorf("small beside large, %s: %w", kind.name, err)
		}
		res.mixed = append(res.mixed, m)
	}
	return nil
}

func mixOne(ctx context.Context, l *lab.Lab, d *blockDisk, kind storeKind, objects int64) (m mixedResult, err error) {
	dir, err := l.Folder(d.dir, "mixed")
	if err != nil {
		return m, err
	}
	defer lab.Settle(d.dir)
	defer os.RemoveAll(dir)
	s, err := kind.open(ctx, dir)
	if err != nil {
		return m, err
	}
	lab.Settle(d.dir)
	runtime.GC()
	m.kind = kind
	small := writing{writers: mixedWriters, content: content{mixedSmall, noise}, more: func(n int64) bool { return n <= objects }}
	err = beside(ctx, s.run, func(ctx context.Context) error { m.alone, err = small.put(ctx, s); return err })
	if err == nil {
		err = m.besideLarge(ctx, s, small)
	}
	return m, errors.Join(err, s.close())
}

// besideLarge goes on until as many small objects are there as before and at least
// one large one, so that its flush is among what was measured.
func (m *mixedResult) besideLarge(ctx context.Context, s store, small writing) error {
	enough := small.more
	var large atomic.Int64
	small.first = 1 << 40
	small.more = func(n int64) bool { return n < mixedLimit && (enough(n) || large.Load() == 0) }
	writeLarge := func(ctx context.Context) error {
		for n := int64(2 << 40); ctx.Err() == nil; n++ {
			if err := s.put(ctx, n, content{mixedLarge, noise}); err == nil {
				large.Add(1)
			} else if ctx.Err() == nil {
				return err
			}
		}
		return nil
	}
	began := time.Now()
	err := beside(ctx, func(ctx context.Context) error { return together(ctx, s.run, writeLarge) },
		func(ctx context.Context) (err error) {
			m.with, err = small.put(ctx, s)
			m.took = time.Since(began)
			return err
		})
	m.large = large.Load()
	return err
}

func mixedTable(all []mixedResult) lab.Section {
	s := lab.Section{Title: fmt.Sprintf("Small objects beside a large one: %d writers of %s, and one of %s", mixedWriters, sizeName(mixedSmall), sizeName(mixedLarge)),
		Head: []string{"store", "p50 alone, ms", "p99 alone", "p50 beside", "p99 beside", "longest beside", "large ones meanwhile"}}
	for _, m := range all {
		s.Row(m.kind.name, ms(quantile(m.alone, 0.5)), ms(quantile(m.alone, 0.99)), ms(quantile(m.with, 0.5)), ms(quantile(m.with, 0.99)),
			ms(quantile(m.with, 1)), fmt.Sprintf("%d in %.1f s", m.large, m.took.Seconds()))
	}
	s.Note("The raw loop shows what the disk and the file system do by themselves.")
	return s
}

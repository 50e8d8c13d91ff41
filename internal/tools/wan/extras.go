package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"edged/internal/tools/lab"
)

// extra is a section beside the cells.
type extra struct {
	id string
	do func(context.Context, *bench, options, *lab.Report) error
}

func extraID(e extra) string { return e.id }

var extras = []extra{{"urgent", urgent}, {"blocked", blocked}, {"profile", profile}}

// newCell lays a line for a cell that is not one of the table; done clears up.
func (b *bench) newCell(ctx context.Context, w wire, s *stock, seed uint64) (c *cell, done func() error, err error) {
	c = &cell{bench: b, stock: s, wire: w}
	b.cells++
	c.port = strconv.Itoa(6000 + b.cells%1000) // nobody waits for what the cell before left on its port
	if c.dir, err = b.Folder(b.Dir, "cell"); err != nil {
		return nil, nil, err
	}
	if c.stage, err = b.lay(ctx, w, seed); err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(c.dir))
	}
	return c, func() error { return errors.Join(c.stage.close(), os.RemoveAll(c.dir)) }, nil
}

// sleep waits, at most until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func sorted(v []float64) []float64 { slices.Sort(v); return v }

// extra runs the sections that were asked for.
func (p plan) extra(ctx context.Context, b *bench, o options, r *lab.Report) error {
	var errs []error
	for _, e := range p.extras {
		if err := e.do(ctx, b, o, r); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", e.id, err))
		}
	}
	return errors.Join(errs...)
}

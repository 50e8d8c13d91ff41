package main

import (
	"context"
	"errors"
	"fmt"

	"edged/internal/tools/lab"
)

// extra is a section beside the cells.
type extra struct {
	id string
	do func(context.Context, *bench, options, *lab.Report) error
}

func extraID(e extra) string { return e.id }

var extras = []extra{}

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

package main

import (
	"errors"
	"fmt"
	"slices"

	"edged/hub"
	"edged/hub/ledger"
)

type retryCmd struct {
	ID          string `arg:"" optional:"" help:"The object's ID, 64 hexadecimal digits."`
	Destination string `placeholder:"NAME" help:"In place of an ID: everything that this destination had refused for good."`
	Words       string `placeholder:"TEXT" help:"With --destination: only where this stands in what the archive said."`
}

func (c retryCmd) Run(e *env) error {
	if (c.ID == "") == (c.Destination == "") || c.Words != "" && c.Destination == "" {
		return usageError{errors.New("want the ID of an object, or --destination NAME, with --words TEXT if you like")}
	}
	if c.Destination != "" {
		return e.withLedger(func(cfg Config, l *ledger.Ledger) error { return c.many(e, cfg, l) })
	}
	return e.withObject(c.ID, func(l *ledger.Ledger, id hub.ID) error { return l.Retry(e.ctx, id, actor()) })
}

// retryPage is how many jobs are read at once.
const retryPage = 500

// many frees page after page, each object by itself, so that the trail has each. What
// is refused anew meanwhile is behind it.
func (c retryCmd) many(e *env, cfg Config, l *ledger.Ledger) error {
	if !slices.ContainsFunc(cfg.Destinations, func(d Destination) bool { return d.Name == c.Destination }) {
		return usageError{fmt.Errorf("the configuration has no destination %q", c.Destination)}
	}
	freed, kept, after := 0, 0, int64(0)
	for {
		page, err := l.TroublePage(e.ctx, ledger.TroubleFilter{Destination: c.Destination, State: "permanent", Words: c.Words}, after, retryPage)
		if err != nil {
			return err
		}
		for _, t := range page {
			after = t.Seq
			switch err := l.Retry(e.ctx, t.ID, actor()); {
			case e.ctx.Err() != nil || l.Err() != nil:
				return fmt.Errorf("after %d objects: %w", freed, err)
			case err != nil:
				kept++
				fmt.Fprintf(e.errOut, "%v\n", err)
			default:
				freed++
			}
		}
		if len(page) < retryPage {
			break
		}
		fmt.Fprintf(e.errOut, "%d objects so far\n", freed)
	}
	fmt.Fprintf(e.out, "%d objects are tried again\n", freed)
	if kept > 0 {
		return fmt.Errorf("%d objects are not tried again", kept)
	}
	return nil
}

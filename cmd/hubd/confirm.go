package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"edged/hub"
	"edged/hub/ledger"
	"edged/internal/dicom"
)

type confirmCmd struct {
	IDs         []string `arg:"" name:"id" help:"Objects' IDs, 64 hexadecimal digits each; - reads lines that begin with one from standard input."`
	Seen        string   `placeholder:"TEXT" help:"For an object that the hub lost: who has seen it in the archive, where and when. It stands in the audit trail."`
	Destination string   `placeholder:"NAME" help:"With --seen, where it was seen; needed when the object is lost for several."`
}

// Run confirms each object by itself, so that the trail has each, and goes on behind one
// that cannot be.
func (c confirmCmd) Run(e *env) error {
	if c.Destination != "" && c.Seen == "" {
		return usageError{errors.New("--destination is for --seen")}
	}
	ids, err := idsOf(c.IDs, os.Stdin)
	if err != nil {
		return usageError{err}
	}
	return e.withLedger(func(_ Config, l *ledger.Ledger) error {
		var errs []error
		for _, id := range ids {
			err := c.confirm(e.ctx, l, id)
			if e.ctx.Err() != nil || l.Err() != nil {
				return errors.Join(append(errs, err)...)
			}
			if err != nil {
				errs = append(errs, err)
			}
		}
		if len(ids) > 1 {
			fmt.Fprintf(e.out, "%d of %d objects are confirmed\n", len(ids)-len(errs), len(ids))
		}
		return errors.Join(errs...)
	})
}

func (c confirmCmd) confirm(ctx context.Context, l *ledger.Ledger, id hub.ID) error {
	if c.Seen != "" {
		return l.ConfirmLost(ctx, id, c.Destination, actor(), c.Seen)
	}
	return l.Confirm(ctx, id, actor())
}

// maxIDs bounds what is read from a list.
const maxIDs = 1_000_000

// idsOf are those of a command line, and of a list where that says -: the first word of
// each line, as hubd objects ls writes it.
func idsOf(texts []string, list io.Reader) (ids []hub.ID, err error) {
	add := func(text string) error {
		id, err := dicom.ParseID(text)
		if err == nil && len(ids) == maxIDs {
			err = fmt.Errorf("more than %d", maxIDs)
		}
		ids = append(ids, id)
		return err
	}
	for _, text := range texts {
		if text != "-" {
			if err := add(text); err != nil {
				return nil, err
			}
			continue
		}
		lines := bufio.NewScanner(list)
		for lines.Scan() {
			words := strings.Fields(lines.Text())
			if len(words) == 0 || words[0] == "ID" { // the heading of objects ls
				continue
			}
			if err := add(words[0]); err != nil {
				return nil, err
			}
		}
		if err := lines.Err(); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"time"
)

// A crash between a file of receipts and its row leaves a file that means nothing
// (foldStudy). It is swept when
//   - it is of a day in its name that ended a day ago, and not a month;
//   - no row of its study names it, now and a round ago, an hour before: no node is about
//     to write that;
//   - it is signed by this hub, about this ledger: a hub that was started on empty rows by
//     mistake takes nothing away;
//   - it was folded more than a day ago, and after the rows were last restored: what a
//     backup does not know may be the only word about receipts.
const (
	sweepAfter = 24 * time.Hour
	sweepDays  = 30
)

// sweep removes such files and reports how many.
func (k *keeper) sweep(ctx context.Context) (swept int, err error) {
	restored, err := k.ledger.RestoredAt(ctx)
	if err != nil {
		return 0, err
	}
	before := k.orphans
	k.orphans = map[string]bool{}
	for day := 2; day < 2+sweepDays && ctx.Err() == nil; day++ {
		n, err := k.sweepDay(ctx, k.now().UTC().AddDate(0, 0, -day), before, restored)
		swept += n
		if err != nil {
			return swept, err
		}
	}
	return swept, ctx.Err()
}

func (k *keeper) sweepDay(ctx context.Context, day time.Time, before map[string]bool, restored time.Time) (swept int, err error) {
	names, err := k.docs.List(ctx, "receipts/"+day.Format("2006/01/02")+"/")
	if err != nil || len(names) == 0 {
		return 0, err
	}
	// Their rows were written then, by about the same clock.
	known, err := k.ledger.FoldedNames(ctx, day.Add(-48*time.Hour), day.Add(72*time.Hour))
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		if known[name] {
			continue
		}
		means, err := k.means(ctx, name, restored)
		if err != nil {
			return swept, err
		}
		if means {
			continue
		}
		if !before[name] {
			k.orphans[name] = true
			continue
		}
		if err := k.docs.Delete(ctx, name); err != nil {
			return swept, err
		}
		swept++
	}
	return swept, nil
}

// means reports whether the file is one that must stay.
func (k *keeper) means(ctx context.Context, name string, restored time.Time) (bool, error) {
	file, err := k.docs.Get(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil // another node was faster
	}
	if err != nil {
		return true, err
	}
	r, err := verifyReceipts(k.key.Public().(ed25519.PublicKey), file)
	if err != nil || r.Ledger != k.id || k.now().Sub(r.FoldedAt) < sweepAfter || !r.FoldedAt.After(restored) {
		return true, nil // not ours to judge
	}
	rows, err := k.ledger.FoldedOf(ctx, r.Study)
	if err != nil {
		return true, err
	}
	for _, f := range rows {
		if f.Name == name {
			return true, nil
		}
	}
	return false, nil
}

package ledger

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// restoredAt stands in meta since the generation rose last.
const restoredAt = "restored_at"

// RestoredAt is when the rows came from a backup, or some were lost, the zero time when never.
func (l *Ledger) RestoredAt(ctx context.Context) (time.Time, error) {
	var text string
	if err := l.read.QueryRowContext(ctx, `SELECT coalesce((SELECT value FROM meta WHERE key = ?), '') AS at`, restoredAt).Scan(&text); err != nil {
		return time.Time{}, fmt.Errorf("when the ledger was restored: %w", err)
	}
	if text == "" {
		return time.Time{}, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return time.UnixMilli(n), err
}

// FoldedNames are those of the files of receipts whose rows were written between two times.
func (l *Ledger) FoldedNames(ctx context.Context, from, to time.Time) (map[string]bool, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT name FROM folded WHERE name <> '' AND at >= ? AND at < ?`, from.UnixMilli(), to.UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("folded receipts: %w", err)
	}
	names, err := collect[string](rows)
	known := make(map[string]bool, len(names))
	for _, name := range names {
		known[name] = true
	}
	return known, err
}

package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Authority is the mark of the CA whose appliances these rows are about; without one
// so far, it is the mark that is given, if that is not empty. So all nodes over one
// database, and whoever starts one again after years, agree on one CA: appliances
// believe no other.
func (l *Ledger) Authority(ctx context.Context, mark string) (noted string, err error) {
	err = l.read.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = 'ca'`).Scan(&noted)
	if !errors.Is(err, sql.ErrNoRows) || mark == "" {
		return noted, authorityError(err)
	}
	err = l.change(ctx, func(b *batch) error {
		if _, err := b.exec(`INSERT INTO meta (key, value) VALUES ('ca', ?) ON CONFLICT (key) DO NOTHING`, mark); err != nil {
			return err
		}
		return b.row(`SELECT value FROM meta WHERE key = 'ca'`).Scan(&noted)
	})
	return noted, authorityError(err)
}

func authorityError(err error) error {
	if err == nil || errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return fmt.Errorf("the CA of the ledger: %w", err)
}

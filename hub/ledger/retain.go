package ledger

import (
	"context"
	"fmt"
	"time"

	"edged/hub"
)

// Expired returns at most limit archived objects whose files are not needed any
// more, and records that they go: row before unlink. They are archived for at
// least age and no destination waits for them, or may ask for them again; a destination that is not required
// and has refused does not keep them. What a crash left half done comes first.
// A clock that jumps forward lets archived files go early, nothing else.
func (l *Ledger) Expired(ctx context.Context, age time.Duration, limit int) (ids []hub.ID, err error) {
	err = l.change(ctx, func(b *batch) error {
		s, err := b.stmt(`SELECT id FROM objects WHERE archived_at IS NOT NULL AND file = 1
			UNION ALL SELECT id FROM (SELECT o.id FROM objects o WHERE o.archived_at IS NOT NULL AND o.file = 0 AND o.archived_at <= ?
			AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.object = o.seq AND j.state IN ('pending', 'leased', 'stored', 'held')) ORDER BY o.archived_at) AS old
			LIMIT ?`)
		if err != nil {
			return err
		}
		rows, err := s.Query(b.now-age.Milliseconds(), min(limit, maxPage))
		if err != nil {
			return err
		}
		raw, err := collect[[]byte](rows)
		if err != nil {
			return err
		}
		ids = nil
		for _, id := range raw {
			if _, err := b.exec(`UPDATE objects SET file = 1 WHERE id = ? AND file = 0`, id); err != nil {
				return err
			}
			ids = append(ids, hub.ID(id))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("expired objects: %w", err)
	}
	return ids, nil
}

// Removed records that files of Expired are gone. One that was received again
// meanwhile is none of them.
func (l *Ledger) Removed(ctx context.Context, ids []hub.ID) error {
	err := l.change(ctx, func(b *batch) error {
		for _, id := range ids {
			if _, err := b.exec(`UPDATE objects SET file = 2 WHERE id = ? AND file = 1`, id[:]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("removed objects: %w", err)
	}
	return nil
}

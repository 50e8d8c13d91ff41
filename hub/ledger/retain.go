package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"edged/hub"
)

// Expired returns at most limit archived objects whose files are not needed any
// more, and records that they go: row before unlink. They are archived for at
// least age and nobody waits for them (see waiting). What a crash left half done comes first.
// A clock that jumps forward lets archived files go early, nothing else.
//
// Candidates are read before, page by page from where the last call has stopped, so that
// no transaction walks over what a destination that is away keeps here: call again for
// the rest while there are any, and some time later from the beginning.
func (l *Ledger) Expired(ctx context.Context, age time.Duration, limit int) ([]hub.ID, error) {
	return l.expired(ctx, expiry{age: age}, &l.retained, limit)
}

// ExpiredForRoom is Expired where there is no room for what a destination that is not
// required has not got: the oldest go first, and it does not get them (Backlog.Skipped).
func (l *Ledger) ExpiredForRoom(ctx context.Context, limit int) ([]hub.ID, error) {
	return l.expired(ctx, expiry{noRoom: true}, &l.crowded, limit)
}

func (l *Ledger) expired(ctx context.Context, e expiry, from *retainCursor, limit int) ([]hub.ID, error) {
	limit = min(limit, maxPage)
	ids, err := l.toBeRemoved(ctx, limit)
	now := l.millis()
	for page := 0; err == nil && len(ids) < limit && page < retainPages; page++ {
		var some []any
		var more bool
		if some, more, err = l.perhapsExpired(ctx, e, from, now, limit-len(ids)); err != nil {
			break
		}
		var gone []hub.ID
		gone, err = l.expire(ctx, e, some)
		ids = append(ids, gone...)
		if !more {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("expired objects: %w", err)
	}
	return ids, nil
}

// One call looks at a bounded number of objects, none of which may be one to remove.
const (
	retainPages = 100
	retainPage  = 1000
)

// toBeRemoved is what a crash left half done.
func (l *Ledger) toBeRemoved(ctx context.Context, limit int) (ids []hub.ID, err error) {
	rows, err := l.read.QueryContext(ctx, `SELECT id FROM objects WHERE archived_at IS NOT NULL AND file < 2 AND file = 1 LIMIT ?`, limit)
	if err != nil {
		return nil, err
	}
	raw, err := collect[[]byte](rows)
	for _, id := range raw {
		ids = append(ids, hub.ID(id))
	}
	return ids, err
}

// retainCursor is how far a walk over archived objects has come.
type retainCursor struct{ archived, seq int64 }

// perhapsExpired reads a page of objects that were archived long enough ago and takes at
// most n of them that nobody waits for. At the end the next walk begins.
func (l *Ledger) perhapsExpired(ctx context.Context, e expiry, c *retainCursor, now int64, n int) (ids []any, more bool, err error) {
	l.retainMu.Lock()
	defer l.retainMu.Unlock()
	still, args := l.config.waiting(e.waited(now))
	rows, err := l.read.QueryContext(ctx, `SELECT objects.archived_at, objects.seq, objects.id, CASE WHEN `+still+` THEN 1 ELSE 0 END AS needed
		FROM (SELECT o.seq FROM objects o WHERE o.archived_at IS NOT NULL AND o.file < 2 AND o.file = 0 AND o.archived_at <= ? AND o.archived_at >= ? AND (o.archived_at > ? OR o.seq > ?)
			ORDER BY o.archived_at, o.seq LIMIT ?) AS page JOIN objects ON objects.seq = page.seq ORDER BY objects.archived_at, objects.seq`,
		append(args, e.before(now), c.archived, c.archived, c.seq, retainPage)...)
	if err != nil {
		return nil, false, err
	}
	read := 0
	err = eachRow(rows, func(scan func(...any) error) error {
		var at retainCursor
		var id []byte
		var needed bool
		if err := scan(&at.archived, &at.seq, &id, &needed); err != nil || len(ids) == n {
			return err
		}
		*c = at
		read++
		if !needed {
			ids = append(ids, id)
		}
		return nil
	})
	if more = read == retainPage || len(ids) == n; !more || err != nil {
		*c = retainCursor{}
	}
	return ids, more, err
}

// expire records that those go of which it is still so, and what ends with them.
func (l *Ledger) expire(ctx context.Context, e expiry, some []any) (ids []hub.ID, err error) {
	for chunk := range slices.Chunk(some, maxMarks) {
		var gone []goner
		var end ended
		err = l.submit(ctx, &change{weight: len(chunk), do: func(b *batch) (err error) {
			still, args := b.config.waiting(e.waited(b.now))
			args = slices.Concat([]any{e.before(b.now)}, args, chunk)
			if gone, err = b.goes(still, args, len(chunk)); err != nil {
				return err
			}
			end, err = b.endJobs(gone)
			return err
		}})
		if err != nil {
			return ids, err
		}
		end.tell(l.log, &l.config)
		for _, g := range gone {
			ids = append(ids, g.id)
		}
	}
	return ids, nil
}

// goner is an object whose file goes.
type goner struct {
	seq int64
	id  hub.ID
}

// goes chooses them; the last n of args are the candidates.
func (b *batch) goes(still string, args []any, n int) (gone []goner, err error) {
	s, err := b.stmt(`UPDATE objects SET file = 1 WHERE archived_at IS NOT NULL AND file = 0 AND archived_at <= ? AND NOT ` + still +
		` AND id IN ` + marks(&args, len(args)-n) + ` RETURNING seq, id`)
	if err != nil {
		return nil, err
	}
	rows, err := s.Query(args...)
	if err != nil {
		return nil, err
	}
	err = eachRow(rows, func(scan func(...any) error) error {
		var g goner
		var id []byte
		err := scan(&g.seq, &id)
		g.id = hub.ID(id)
		gone = append(gone, g)
		return err
	})
	return gone, err
}

// Removed records that files of Expired are gone. Before that nothing of them is received
// (receive.GoingError).
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

package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"edged/hub"
)

// StudyRow is what has come of a study from one appliance and is not archived yet.
type StudyRow struct {
	Key         int64 // names it without its UID: the number of its oldest waiting object
	UID         string
	Device      string
	Facility    string
	Received    int64     // objects
	Waiting     int64     // of them, not archived
	Held        int64     // of them, waiting for a person
	Bytes       int64     // of the waiting ones
	First, Last time.Time // when an object of it was received
	Oldest      time.Time // that waits
}

const (
	studyChunk  = 1000 // objects that are looked at together
	studyChunks = 100  // at most, for one page
)

// StudyPage returns at most limit studies that have something waiting, that which
// waits for longest first, after that key. It looks at a bounded number of waiting
// objects: it may return fewer and a next key. Next 0 is the end.
func (l *Ledger) StudyPage(ctx context.Context, device string, after int64, limit int) (out []StudyRow, next int64, err error) {
	limit = min(limit, 500)
	seen := map[studyOf]bool{}
	for range studyChunks {
		chunk, err := l.openAfter(ctx, device, after)
		if err != nil {
			return nil, 0, fmt.Errorf("studies: %w", err)
		}
		for _, o := range chunk {
			if !seen[o.studyOf] && len(out) == limit {
				return out, after, nil
			}
			after = o.seq
			if seen[o.studyOf] {
				continue
			}
			seen[o.studyOf] = true
			row, err := l.study(ctx, o.studyOf)
			if err != nil {
				return nil, 0, fmt.Errorf("studies: %w", err)
			}
			if row.Key == o.seq { // else it was on a page before
				out = append(out, row)
			}
		}
		if len(chunk) < studyChunk {
			return out, 0, nil
		}
	}
	return out, after, nil
}

// studyOf is what groups objects.
type studyOf struct{ device, uid string }

type openOne struct {
	seq int64
	studyOf
}

// openAfter are the next objects that are not archived. Partial indexes are made for
// these very words.
func (l *Ledger) openAfter(ctx context.Context, device string, after int64) ([]openOne, error) {
	query, args := `SELECT o.seq, o.device, o.study FROM objects o WHERE o.archived_at IS NULL AND o.flags & 8 = 0 AND o.seq > ?1 ORDER BY o.seq LIMIT ?2`, []any{after, studyChunk}
	if device != "" {
		query, args = `SELECT o.seq, o.device, o.study FROM objects o WHERE o.archived_at IS NULL AND o.flags & 8 = 0 AND o.device = ?3 AND o.seq > ?1 ORDER BY o.seq LIMIT ?2`, append(args, device)
	}
	rows, err := l.lists.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []openOne
	for rows.Next() {
		var o openOne
		if err := rows.Scan(&o.seq, &o.device, &o.uid); err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, rows.Err()
}

// study counts one. Key is 0 when nothing of it waits any more.
func (l *Ledger) study(ctx context.Context, s studyOf) (StudyRow, error) {
	r := StudyRow{UID: s.uid, Device: s.device}
	var first, last, oldest int64
	err := l.lists.QueryRowContext(ctx, `SELECT coalesce(w.first, 0), w.waiting, w.bytes, w.oldest, w.held, a.received,
		coalesce((SELECT f.received_at FROM objects f WHERE f.seq = a.first), 0) AS first_at, coalesce((SELECT f.received_at FROM objects f WHERE f.seq = a.last), 0) AS last_at, coalesce(d.facility, '') AS facility
		FROM (SELECT min(o.seq) AS first, count(*) AS waiting, coalesce(sum(o.length), 0) AS bytes, coalesce(min(o.received_at), 0) AS oldest,
			coalesce(sum(CASE WHEN EXISTS (SELECT 1 FROM jobs j WHERE j.object = o.seq AND j.state IN ('held', 'permanent', 'unconfirmed')) THEN 1 ELSE 0 END), 0) AS held
			FROM objects o WHERE o.archived_at IS NULL AND o.flags & 8 = 0 AND o.device = ?1 AND o.study = ?2) AS w,
		(SELECT count(*) AS received, min(k.seq) AS first, max(k.seq) AS last FROM objects k WHERE k.study = ?2 AND k.device = ?1) AS a
		LEFT JOIN devices d ON d.id = ?1`, s.device, s.uid).
		Scan(&r.Key, &r.Waiting, &r.Bytes, &oldest, &r.Held, &r.Received, &first, &last, &r.Facility)
	r.First, r.Last, r.Oldest = timeOf(first), timeOf(last), timeOf(oldest)
	return r, err
}

// StudyOf is the study that the object with that number belongs to; ErrNotListed
// when there is none. Key is 0 when all of it is archived.
func (l *Ledger) StudyOf(ctx context.Context, object int64) (StudyRow, error) {
	var s studyOf
	err := l.lists.QueryRowContext(ctx, `SELECT device, study FROM objects WHERE seq = ? AND flags & 8 = 0`, object).Scan(&s.device, &s.uid)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotListed
	}
	var r StudyRow
	if err == nil {
		r, err = l.study(ctx, s)
	}
	if err != nil {
		return r, fmt.Errorf("study: %w", err)
	}
	return r, nil
}

// ObjectRow is one object, and how far it has come.
type ObjectRow struct {
	Seq         int64
	ID          hub.ID
	SOPClass    string
	SOPInstance string
	Syntax      string
	Calling     string
	Priority    int
	Length      int64
	Lost        bool
	Received    time.Time
	Archived    time.Time // zero: not yet
	Hops        []Hop
}

// Hop is the way to one destination.
type Hop struct {
	Destination         string
	State               string // pending | leased | stored | unconfirmed | done | permanent | held
	Attempts            int
	Words               string
	Stored, Asked, Next time.Time // answered with Success, asked for commitment, tried again; zero: not
}

// StudyObjects returns at most limit objects of a study after that number.
func (l *Ledger) StudyObjects(ctx context.Context, r StudyRow, after int64, limit int) ([]ObjectRow, error) {
	rows, err := l.lists.QueryContext(ctx, `SELECT o.seq, o.id, o.sop_class, o.sop_instance, o.transfer_syntax, o.calling, o.priority, o.length, o.lost, o.received_at, coalesce(o.archived_at, 0)
		FROM objects o WHERE o.study = ? AND o.device = ? AND o.flags & 8 = 0 AND o.seq > ? ORDER BY o.seq LIMIT ?`, r.UID, r.Device, after, min(limit, 500))
	if err != nil {
		return nil, fmt.Errorf("objects of a study: %w", err)
	}
	out, err := scanObjects(rows)
	for i := range out {
		if err == nil {
			out[i].Hops, err = l.hops(ctx, out[i].Seq)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("objects of a study: %w", err)
	}
	return out, nil
}

func scanObjects(rows *sql.Rows) ([]ObjectRow, error) {
	defer rows.Close()
	var out []ObjectRow
	for rows.Next() {
		var o ObjectRow
		var id []byte
		var lost, received, archived int64
		if err := rows.Scan(&o.Seq, &id, &o.SOPClass, &o.SOPInstance, &o.Syntax, &o.Calling, &o.Priority, &o.Length, &lost, &received, &archived); err != nil {
			return nil, err
		}
		o.ID, o.Lost, o.Received, o.Archived = hub.ID(id), lost == 1, time.UnixMilli(received), timeOf(archived)
		out = append(out, o)
	}
	return out, rows.Err()
}

func (l *Ledger) hops(ctx context.Context, object int64) ([]Hop, error) {
	rows, err := l.lists.QueryContext(ctx, `SELECT destination, state, attempts, words, stored_at, asked_at, next_at FROM jobs WHERE object = ? ORDER BY destination`, object)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Hop
	for rows.Next() {
		var h Hop
		var stored, asked, next int64
		if err := rows.Scan(&h.Destination, &h.State, &h.Attempts, &h.Words, &stored, &asked, &next); err != nil {
			return nil, err
		}
		h.Stored, h.Asked, h.Next = timeOf(stored), timeOf(asked), timeOf(next)
		out = append(out, h)
	}
	return out, rows.Err()
}

package ledger

import (
	"context"
	"fmt"
	"time"

	"edged/hub"
)

// TroubleRow is what a page of trouble shows: a job that no time frees.
type TroubleRow struct {
	Seq         int64 // of the job
	ID          hub.ID
	SOPInstance string
	Study       string
	Device      string
	Facility    string
	Destination string
	State       string // held | permanent | unconfirmed | lost
	Words       string // the archive's, or ours
	Attempts    int
	Length      int64
	Received    time.Time
}

// TroubleFilter says which of them.
type TroubleFilter struct {
	Destination, State, Device string // exactly; "" is any
	Words                      string // stands in the words; "" is any
}

// TroublePage returns at most limit of them after that job, in order of jobs.
func (l *Ledger) TroublePage(ctx context.Context, f TroubleFilter, after int64, limit int) ([]TroubleRow, error) {
	state, lost := f.State, 0
	if state == "lost" {
		state, lost = "permanent", 1
	}
	rows, err := l.lists.QueryContext(ctx, `SELECT j.seq, o.id, o.sop_instance, o.study, o.device, coalesce(d.facility, ''), j.destination, j.state, j.lost, j.words, j.attempts, o.length, o.received_at
		FROM jobs j JOIN objects o ON o.seq = j.object LEFT JOIN devices d ON d.id = o.device
		WHERE j.state IN ('held', 'permanent', 'unconfirmed') AND j.seq > ?1 AND (?2 = '' OR j.destination = ?2)
		AND (?3 = '' OR j.state = ?3 AND j.lost = ?4) AND (?5 = '' OR o.device = ?5) AND (?6 = '' OR lower(j.words) LIKE lower(?7) ESCAPE '!')
		ORDER BY j.seq LIMIT ?8`, after, f.Destination, state, lost, f.Device, f.Words, contains(f.Words), min(limit, maxPage))
	if err != nil {
		return nil, fmt.Errorf("trouble: %w", err)
	}
	defer rows.Close()
	var out []TroubleRow
	for rows.Next() {
		var t TroubleRow
		var id []byte
		var lost, received int64
		if err := rows.Scan(&t.Seq, &id, &t.SOPInstance, &t.Study, &t.Device, &t.Facility, &t.Destination, &t.State, &lost, &t.Words, &t.Attempts, &t.Length, &received); err != nil {
			return nil, fmt.Errorf("trouble: %w", err)
		}
		if t.State == "permanent" && lost == 1 {
			t.State = "lost"
		}
		t.ID, t.Received = hub.ID(id), time.UnixMilli(received)
		out = append(out, t)
	}
	return out, rows.Err()
}

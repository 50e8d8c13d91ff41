package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"edged/hub"
)

// Job is one object on its way to one destination, lent to whoever leased it.
type Job struct {
	Seq         int64
	Lease       int64 // which lease; an answer under an older one is not taken
	Destination string
	Attempts    int // before this one
	// Unanswered: all of the object was once sent and no answer came, so that the
	// destination may have it. Set by who tries, kept by Later, never taken back.
	Unanswered bool
	// Conflict: other contents were received under the same SOP Instance UID,
	// before or after (P5). What a destination says about the UID alone may be
	// about those.
	Conflict bool
	// Duplicate, set for Done: the destination did not take it now, it said that
	// it has the UID already.
	Duplicate bool
	Object    hub.Object
}

// ErrLeaseLost means that the lease ran out and somebody else has the job.
var ErrLeaseLost = errors.New("the lease of the job has run out")

// Start is called once by a process that forwards, before it leases: what an earlier
// process had leased under the name of this node is free again. When the destinations are not
// those of the last time, or are for other objects, a walk begins: objects get jobs for the new
// ones, and what only a removed one held up is archived. What was stored and waits for a
// commitment counts, when a destination now confirms by success, or is delivered anew,
// when it is now of another kind. Start walks a bounded way, and not at all
// where that fails; call Follow for the rest.
//
// Of several nodes the one that was started last says what the destinations are; one
// with others writes nothing from then on (ErrDestinations).
func (l *Ledger) Start(ctx context.Context) error {
	if err := l.begin(ctx); err != nil {
		return fmt.Errorf("start of the ledger: %w", err)
	}
	l.walkHere(ctx)
	return nil
}

// begin is Start without the walk.
func (l *Ledger) begin(ctx context.Context) error {
	err := l.submit(ctx, &change{long: true, anyhow: true, do: func(b *batch) error {
		if err := b.freeOwn(); err != nil {
			return err
		}
		if b.config.Node != "" {
			if err := b.arrive(); err != nil {
				return err
			}
		}
		return b.destinationsChanged()
	}})
	if err == nil {
		mine := l.config.settingsText()
		l.agreed.Store(&mine)
	}
	return err
}

// collect reads rows of one column and closes them.
func collect[T any](rows *sql.Rows) ([]T, error) {
	defer rows.Close()
	var out []T
	for rows.Next() {
		var v T
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// Done records that the destination has the object, whoever holds the lease by
// now: it is a fact. words are the archive's, often empty. When it was the last
// required destination the object is archived in the same transaction. A
// duplicate is no fact when other contents under the UID came since the lease:
// the job is lent again, and says so then.
func (l *Ledger) Done(ctx context.Context, j Job, words string) error {
	return l.settle(ctx, settlement{"done", j, words})
}

// doubtful lends the job of a duplicate again when other contents under its UID
// came since the lease.
func (b *batch) doubtful(j Job) (bool, error) {
	if !j.Duplicate {
		return false, nil
	}
	n, err := b.exec(`UPDATE jobs SET state = 'pending', next_at = 0 WHERE seq = ? AND state NOT IN ('done', 'stored', 'unconfirmed')
		AND EXISTS (SELECT 1 FROM objects o WHERE o.seq = jobs.object AND `+conflicting+`)`, j.Seq)
	b.jobsGrew = b.jobsGrew || n > 0
	return n > 0, err
}

// Later gives the job back to be tried again after a time. With tried it counts
// as an attempt. What j.Unanswered says is kept with it. What was not tried, and need not
// wait, keeps its place in the queue.
func (l *Ledger) Later(ctx context.Context, j Job, after time.Duration, tried bool, words string) error {
	return l.settleJob(ctx, "give back", j, func(b *batch) error {
		add, untouched := 0, 0
		if tried {
			add = 1
		} else if after == 0 {
			untouched = 1
		}
		n, err := b.exec(`UPDATE jobs SET state = 'pending', attempts = attempts + ?, unanswered = CASE WHEN unanswered = 1 OR ? = 1 THEN 1 ELSE 0 END,
			next_at = CASE WHEN ? = 1 THEN next_at ELSE ? END, words = ? WHERE seq = ? AND lease = ? AND state = 'leased'`+theSame,
			j.sameArgs(add, j.Unanswered, untouched, b.now+after.Milliseconds(), words, j.Seq, j.Lease)...)
		return lost(n, err)
	})
}

// Refuse records a permanent refusal and tells every appliance that has a
// receipt.
func (l *Ledger) Refuse(ctx context.Context, j Job, words string) error {
	return l.settleJob(ctx, "quarantine", j, func(b *batch) error {
		n, err := b.exec(`UPDATE jobs SET state = 'permanent', attempts = attempts + 1, words = ? WHERE seq = ? AND lease = ? AND state = 'leased'`+theSame, j.sameArgs(words, j.Seq, j.Lease)...)
		if err := lost(n, err); err != nil {
			return err
		}
		return b.tell(j.Object.ID, j.Destination, true, words)
	})
}

func (b *batch) tell(id hub.ID, destination string, permanent bool, words string) error {
	devices, err := b.devicesOf(id)
	if err != nil {
		return err
	}
	for _, d := range devices {
		if err := b.trouble(d, id, destination, permanent, words); err != nil {
			return err
		}
	}
	return nil
}

func lost(n int64, err error) error {
	if err == nil && n == 0 {
		return ErrLeaseLost
	}
	return err
}

func (l *Ledger) settleJob(ctx context.Context, what string, j Job, do func(*batch) error) error {
	if err := l.change(ctx, do); err != nil {
		return fmt.Errorf("%s job %d (%s to %s): %w", what, j.Seq, j.Object.ID, j.Destination, err)
	}
	return nil
}

// Release lets the held jobs of an object go, whether P5 or a data finding holds it,
// in the name of actor.
func (l *Ledger) Release(ctx context.Context, id hub.ID, actor string) error {
	return l.free(ctx, id, "release", "held", actor)
}

// Retry lets the permanently refused jobs of an object be tried again, in the
// name of actor: the archive has been told to take it now.
func (l *Ledger) Retry(ctx context.Context, id hub.ID, actor string) error {
	return l.free(ctx, id, "retry", "permanent", actor)
}

func (l *Ledger) free(ctx context.Context, id hub.ID, action, from, actor string) error {
	return l.change(ctx, func(b *batch) error {
		var removed bool
		if err := b.row(`SELECT EXISTS (SELECT 1 FROM objects WHERE id = ? AND file > 0)`, id[:]).Scan(&removed); err != nil {
			return err
		}
		if removed {
			return fmt.Errorf("%s %s: %w", action, id, errRemoved)
		}
		if from == "held" {
			if err := b.endHold(id); err != nil {
				return err
			}
		}
		n, err := b.exec(`UPDATE jobs SET state = 'pending', next_at = 0, words = '', lost = 0, resends = 0 WHERE state = ? AND object = (SELECT seq FROM objects WHERE id = ?)`, from, id[:])
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%s %s: it has no %s job", action, id, from)
		}
		b.jobsGrew = true
		return b.audit(actor, action, id.String(), fmt.Sprintf("%d jobs", n))
	})
}

var errRemoved = errors.New("the hub has removed its copy, because every required destination has the object: take it from one of those, or send it again from where it came")

// Stuck is a job that waits for an administrator.
type Stuck struct {
	ID          hub.ID
	SOPInstance string
	Destination string
	State       string // held | permanent | unconfirmed
	Words       string
}

// Stuck lists at most limit jobs that Release, Retry or Confirm would free.
func (l *Ledger) Stuck(ctx context.Context, limit int) ([]Stuck, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT o.id, o.sop_instance, j.destination, j.state, j.words
		FROM jobs j JOIN objects o ON o.seq = j.object WHERE j.state IN ('held', 'permanent', 'unconfirmed') ORDER BY j.seq LIMIT ?`, min(limit, maxPage))
	if err != nil {
		return nil, fmt.Errorf("stuck jobs: %w", err)
	}
	defer rows.Close()
	var out []Stuck
	for rows.Next() {
		var s Stuck
		var id []byte
		if err := rows.Scan(&id, &s.SOPInstance, &s.Destination, &s.State, &s.Words); err != nil {
			return nil, fmt.Errorf("stuck jobs: %w", err)
		}
		s.ID = hub.ID(id)
		out = append(out, s)
	}
	return out, rows.Err()
}

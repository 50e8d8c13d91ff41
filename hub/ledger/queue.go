package ledger

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"edged/hub"
	"edged/uplink/wire"
)

// migrationQueue: what was not tried yet has next_at 0, and comes by seq; what is tried
// again comes by next_at. What is not due yet is not looked at, however much that is.
const migrationQueue = `
DROP INDEX jobs_queue;
CREATE INDEX jobs_queue ON jobs (destination, state, priority, next_at, seq);
`

// goesBefore is for how long, of what is tried again, an urgent object that came due goes
// before a routine one, and that before backfill.
const goesBefore = 15 * time.Minute

// Lease lends at most n jobs of a destination for the time given. A job whose lease has
// run out is lent again.
//
// First what was not tried yet: urgent before routine before backfill, and by sequence
// within. Of each lease a quarter is for what is tried again, if something is due, by the
// time when it came due. So neither keeps the other away, however long its row is (P6):
// a long row that is refused lets pass what stands behind it, and work without end lets
// pass what was sick. For that n must be at least 2.
func (l *Ledger) Lease(ctx context.Context, destination string, n int, ttl time.Duration) ([]Job, error) {
	if err := l.freeDoubtful(ctx); err != nil {
		return nil, err
	}
	var jobs []Job
	var until int64
	some, err := l.anyToLease(ctx, destination)
	if err == nil && !some {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for jobs of %s: %w", destination, err)
	}
	err = l.change(ctx, func(b *batch) (err error) {
		if err := b.freeLate(destination); err != nil {
			return err
		}
		until = b.now + ttl.Milliseconds()
		jobs, err = b.lease(destination, n, until)
		return err
	})
	if err != nil {
		l.inDoubt(err, doubt{jobs: jobs, until: until})
		return nil, fmt.Errorf("lease jobs of %s: %w", destination, err)
	}
	return jobs, nil
}

// queued is true for pending jobs j of the destination ?1 that may be tried; what is said
// of next_at is a range of jobs_queue, for each class.
const queued = `j.destination = ?1 AND j.state = 'pending' AND o.hold = 0`

// anyToLease is asked before, so that a hub at rest writes nothing. It asks as a lease
// does: PostgreSQL reads the whole table for a plain EXISTS, when much waits that is not due.
func (l *Ledger) anyToLease(ctx context.Context, destination string) (some bool, err error) {
	err = l.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM jobs WHERE `+late+`) OR EXISTS (`+placesQuery(1, "?5")+`) AS some`,
		l.lateArgs(destination, l.millis())...).Scan(&some)
	return some, err
}

// standing is where a job stands in the queue.
type standing struct{ seq, priority, next int64 }

func (p standing) fresh() bool { return p.next == 0 }

// turn orders what is tried again. Each has but so many before it: what comes later comes
// due later. A time that a wrong clock has said is now.
func (p standing) turn(now int64) int64 {
	if p.next > now {
		p.next = now
	}
	return p.next + p.priority*goesBefore.Milliseconds()
}

// places finds the first n of each class: what was not tried yet, what is due again, and
// what was put down while the clock was ahead.
func (b *batch) places(destination string, n int) (all []standing, err error) {
	s, err := b.stmt(placesQuery(n, "?3"))
	if err != nil {
		return nil, err
	}
	rows, err := s.Query(destination, b.now, b.now+longestPause.Milliseconds())
	if err != nil {
		return nil, err
	}
	err = eachRow(rows, func(scan func(...any) error) error {
		var p standing
		err := scan(&p.seq, &p.priority, &p.next)
		all = append(all, p)
		return err
	})
	return all, err
}

// placesQuery has the number in its text, because a plan for any number reads all. far is
// the parameter of what no right clock has said.
func placesQuery(n int, far string) string {
	var parts []string
	for p := range wire.Classes {
		for _, due := range []string{`j.next_at = 0`, `j.next_at > 0 AND j.next_at <= ?2`, `j.next_at > ` + far} {
			parts = append(parts, fmt.Sprintf(`SELECT * FROM (SELECT j.seq, j.priority, j.next_at FROM jobs j JOIN objects o ON o.seq = j.object
				WHERE %s AND j.priority = %d AND %s ORDER BY j.next_at, j.seq LIMIT %d) AS part%d`, queued, p, due, n, len(parts)))
		}
	}
	return strings.Join(parts, ` UNION ALL `)
}

// chosen are at most n of them, see Lease, in the order in which they are delivered.
func chosen(all []standing, n int, now int64) []standing {
	var fresh, again []standing
	for _, p := range all {
		if p.fresh() {
			fresh = append(fresh, p)
		} else {
			again = append(again, p)
		}
	}
	slices.SortFunc(fresh, func(a, b standing) int { return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(a.seq, b.seq)) })
	slices.SortFunc(again, func(a, b standing) int {
		return cmp.Or(cmp.Compare(a.turn(now), b.turn(now)), cmp.Compare(a.seq, b.seq))
	})
	share := min(len(again), max(n/4, min(n-1, 1)))
	out := fresh[:min(len(fresh), n-share)]
	out = append(out, again[:min(len(again), n-len(out))]...)
	slices.SortStableFunc(out, func(a, b standing) int { return cmp.Compare(a.priority, b.priority) })
	return out
}

// conflicting is true for an object o whose SOP Instance UID another one has. The
// column conflict marks the later of two alone, because only that one is held.
const conflicting = `EXISTS (SELECT 1 FROM objects k WHERE k.sop_instance = o.sop_instance AND k.seq <> o.seq)`

func (b *batch) lease(destination string, n int, until int64) ([]Job, error) {
	all, err := b.places(destination, n)
	if err != nil {
		return nil, err
	}
	var seqs []any
	at := map[int64]int{}
	for i, p := range chosen(all, n, b.now) {
		seqs, at[p.seq] = append(seqs, p.seq), i
	}
	jobs := make([]Job, len(seqs))
	err = b.each(`SELECT j.seq, j.lease + 1, j.attempts, j.unanswered, `+conflicting+`, o.id, o.transfer_syntax, o.sop_class, o.sop_instance, o.length, o.study, o.priority, o.flags, o.calling, o.device, o.modality
		FROM jobs j JOIN objects o ON o.seq = j.object WHERE j.seq IN `, seqs, func(scan func(...any) error) error {
		j, err := scanJob(scan, destination)
		jobs[at[j.Seq]] = j
		return err
	})
	if err != nil {
		return nil, err
	}
	for chunk := range slices.Chunk(seqs, maxMarks) {
		args := append([]any{until, b.config.Node}, chunk...)
		if _, err := b.exec(`UPDATE jobs SET state = 'leased', lease = lease + 1, lease_until = ?, node = ? WHERE seq IN `+marks(&args, 2), args...); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

func scanJob(scan func(...any) error, destination string) (Job, error) {
	j := Job{Destination: destination}
	o := &j.Object
	var id []byte
	err := scan(&j.Seq, &j.Lease, &j.Attempts, &j.Unanswered, &j.Conflict, &id, &o.Names.TransferSyntax, &o.Names.SOPClass, &o.Names.SOPInstance,
		&o.Length, &o.Study, &o.Priority, &o.Flags, &o.Calling, &o.Device, &o.Modality)
	if err == nil {
		o.ID = hub.ID(id)
	}
	return j, err
}

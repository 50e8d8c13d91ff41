package ledger

import (
	"context"
	"fmt"
	"slices"

	"edged/hub"
)

// settlement is a job that the destination took: done, or stored until it is committed.
type settlement struct {
	state string
	job   Job
	words string // the archive's
}

func (l *Ledger) settle(ctx context.Context, s settlement) error {
	if err := l.submit(ctx, &change{settled: &s}); err != nil {
		return fmt.Errorf("%s job %d (%s to %s): %w", s.state, s.job.Seq, s.job.Object.ID, s.job.Destination, err)
	}
	return nil
}

// theSame is a job that is still about what it was when it was leased; it wants sameArgs. After
// a failover to a standby that lags, rows that were lost give their numbers to others.
const theSame = ` AND destination = ? AND object = (SELECT o.seq FROM objects o WHERE o.id = ?)`

func (j *Job) sameArgs(args ...any) []any { return append(args, j.Destination, j.Object.ID[:]) }

// Both are facts, whoever holds the lease by now. From stored on a duplicate is our own
// (unanswered).
var settling = map[string]string{
	"done": `UPDATE jobs SET state = 'done', attempts = attempts + 1, words = ?1, done_at = ?2 WHERE state <> 'done' AND seq IN `,
	"stored": `UPDATE jobs SET state = 'stored', attempts = attempts + 1, unanswered = 1, words = ?1, stored_at = ?2, next_at = ?2, asks = 0
		WHERE state NOT IN ('done', 'stored', 'unconfirmed') AND seq IN `,
}

// settleAll settles jobs for several callers, with one statement for those of which the
// archive said the same, and archives the objects of which they were the last.
func (b *batch) settleAll(changes []*change) error {
	var done []any
	for len(changes) > 0 {
		first := *changes[0].settled
		n := leading(changes, func(c *change) bool { return c.settled.state == first.state && c.settled.words == first.words })
		objects, err := b.settleSame(changes[:min(n, maxMarks)])
		if err != nil {
			return err
		}
		if first.state == "done" {
			done = append(done, objects...)
		}
		changes = changes[min(n, maxMarks):]
	}
	return b.archiveAll(done)
}

func (b *batch) settleSame(changes []*change) (objects []any, err error) {
	first := changes[0].settled
	args := []any{first.words, b.now}
	changes, err = b.stillTheSame(changes)
	if err != nil {
		return nil, err
	}
	for _, c := range changes {
		doubtful, err := b.doubtful(c.settled.job)
		if err != nil {
			return nil, err
		}
		if !doubtful {
			args = append(args, c.settled.job.Seq)
		}
	}
	if len(args) == 2 {
		return nil, nil
	}
	s, err := b.stmt(settling[first.state] + marks(&args, 2) + ` RETURNING object`)
	if err != nil {
		return nil, err
	}
	rows, err := s.Query(args...)
	if err != nil {
		return nil, err
	}
	seqs, err := collect[int64](rows)
	slices.Sort(seqs)
	for _, seq := range seqs {
		objects = append(objects, seq)
	}
	return objects, err
}

// stillTheSame leaves out what is about another object now (theSame): that one the
// archive never got.
func (b *batch) stillTheSame(changes []*change) (same []*change, err error) {
	type about struct {
		id          hub.ID
		destination string
	}
	seqs, now := make([]any, len(changes)), map[int64]about{}
	for i, c := range changes {
		seqs[i] = c.settled.job.Seq
	}
	err = b.each(`SELECT j.seq, o.id, j.destination FROM jobs j JOIN objects o ON o.seq = j.object WHERE j.seq IN `, seqs, func(scan func(...any) error) error {
		var seq int64
		var id []byte
		var a about
		if err := scan(&seq, &id, &a.destination); err != nil {
			return err
		}
		a.id = hub.ID(id)
		now[seq] = a
		return nil
	})
	for _, c := range changes {
		if j := c.settled.job; now[j.Seq] == (about{j.Object.ID, j.Destination}) {
			same = append(same, c)
		} else {
			b.log.Warn("delivered, but its job is lost: the database has lost rows", "job", j.Seq, "destination", j.Destination)
		}
	}
	return same, err
}

// archive is archiveAll for one object.
func (b *batch) archive(object int64) error { return b.archiveAll([]any{object}) }

// archiveAll makes objects archived when every required destination that each is for
// (it has a job for it) is done, and there is one; it puts the confirmations for all
// appliances with a receipt into the outbox.
func (b *batch) archiveAll(objects []any) error {
	for chunk := range slices.Chunk(objects, maxMarks) {
		ready, lost, err := b.ready(chunk)
		if err != nil {
			return err
		}
		if len(ready) == 0 {
			continue
		}
		args := append([]any{b.now}, ready...)
		n, err := b.exec(`UPDATE objects SET archived_at = ?, lost = 0 WHERE archived_at IS NULL AND seq IN `+marks(&args, 1), args...)
		if err != nil {
			return err
		}
		b.counts["archived"] += n
		if err := b.confirmAll(ready); err != nil {
			return err
		}
		if err := b.lostNoMore(lost); err != nil {
			return err
		}
	}
	return nil
}

// ready are those of objects that nothing more is to be done for, and that are not
// archived, and of these the IDs of what the hub had lost. What a walk has not passed it
// archives when it does.
func (b *batch) ready(objects []any) (ready []any, lost []hub.ID, err error) {
	required := b.required()
	args := append(slices.Clone(required.args), objects...)
	s, err := b.stmt(`SELECT o.seq, o.id, o.lost FROM objects o JOIN jobs j ON j.object = o.seq
		WHERE o.archived_at IS NULL AND NOT ` + unwalked + ` AND j.destination IN (` + required.marks + `) AND o.seq IN ` + marks(&args, len(required.args)) + `
		GROUP BY o.seq, o.id, o.lost HAVING sum(CASE WHEN j.state = 'done' THEN 0 ELSE 1 END) = 0 ORDER BY o.seq`)
	if err != nil {
		return nil, nil, err
	}
	rows, err := s.Query(args...)
	if err != nil {
		return nil, nil, err
	}
	err = eachRow(rows, func(scan func(...any) error) error {
		var seq int64
		var id []byte
		var gone bool
		if err := scan(&seq, &id, &gone); err != nil {
			return err
		}
		ready = append(ready, seq)
		if gone {
			lost = append(lost, hub.ID(id))
		}
		return nil
	})
	return ready, lost, err
}

// lostNoMore: what is archived nobody is asked for any more, and its receipts say again
// that it was here.
func (b *batch) lostNoMore(lost []hub.ID) error {
	for _, id := range lost {
		if _, err := b.exec(`UPDATE receipts SET lost = 0 WHERE id = ? AND lost = 1`, id[:]); err != nil {
			return err
		}
		if _, err := b.exec(`DELETE FROM troubles WHERE id = ? AND lost = 1`, id[:]); err != nil {
			return err
		}
	}
	return nil
}

// confirmAll puts the confirmations of archived objects into the outboxes of all that
// sent them (see confirmAgain).
func (b *batch) confirmAll(objects []any) error {
	args := slices.Clone(objects)
	in := marks(&args, 0)
	s, err := b.stmt(`INSERT INTO confirmations (device, id, length, at)
		SELECT u.device, u.id, u.length, u.archived_at FROM (
			SELECT r.device, o.id, o.length, o.archived_at, o.seq FROM objects o JOIN receipts r ON r.id = o.id WHERE o.seq IN ` + in + `
			UNION SELECT o.device, o.id, o.length, o.archived_at, o.seq FROM objects o WHERE o.folded > 0 AND o.seq IN ` + in + `) AS u
		WHERE u.archived_at IS NOT NULL ORDER BY u.seq, u.device ON CONFLICT (device, id) DO NOTHING RETURNING device`)
	if err != nil {
		return err
	}
	rows, err := s.Query(append(args, args...)...)
	if err != nil {
		return err
	}
	devices, err := collect[string](rows)
	for _, d := range devices {
		b.awake[d] = struct{}{}
	}
	return err
}

package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"edged/hub"
)

// Reference names an instance as storage commitment does: by its UIDs alone.
type Reference struct{ SOPClass, SOPInstance string }

// Failure is an instance that the archive does not commit itself to.
type Failure struct {
	Reference
	Reason uint16 // PS3.3 §C.14.1.1
}

// Report is what an archive says of one transaction.
type Report struct {
	Transaction string
	Committed   []Reference
	Failed      []Failure
	// GiveUp is how many jobs of the destination may be given up on this report's word, by
	// how many it commits itself to; the others wait and are asked for again. If nil, all.
	GiveUp func(destination string, committed int) int
}

// Settled counts what a report did.
type Settled struct {
	Committed   int // counts now
	Unconfirmed int // P5: the archive may mean the other contents
	Again       int // not there after all: will be sent again
	Later       int // the archive cannot say now: will be asked again
	Refused     int // for good
	Doubted     int // refused for good, and not given up (Report.GiveUp): will be asked again
	Strange     int // not asked for in this transaction, or settled before
	Destination string
	Why         string // of the last that was not committed; names nobody
}

// ErrUnknownTransaction means that this was not asked of whoever reports it.
var ErrUnknownTransaction = errors.New("an unknown transaction")

// Failure reasons of PS3.3 §C.14.1.1 that are not the end.
const (
	failureProcessing           = 0x0110
	failureNoSuchInstance       = 0x0112
	failureDuplicateTransaction = 0x0131
	failureResources            = 0x0213
)

// maxResends is how often an object is sent again because the archive answered
// Success and then did not have it.
const maxResends = 5

// unconfirmedWords are told for an object that no commitment can confirm.
const unconfirmedWords = "sent, but not confirmed: other contents were received under the same SOP Instance UID, and storage commitment speaks of the UID alone; " +
	"an administrator of the hub compares what the archive has, then: hubd objects confirm"

// Stored records that the destination has answered Success, whoever holds the
// lease by now; the job waits for a commitment. A duplicate as in Done.
func (l *Ledger) Stored(ctx context.Context, j Job, words string) error {
	return l.settle(ctx, settlement{"stored", j, words})
}

// Due is what waits to be asked for.
type Due struct {
	Objects int           // at most the limit
	Waited  time.Duration // the one that is due for longest
	Paused  bool          // nothing is on its way to the destination
}

// longestPause is more than any pause before an object is asked for again. What is
// later than that was put down while the clock was ahead.
const longestPause = 24 * time.Hour

// clockSetBack makes due what would wait for a time that a wrong clock has said, and
// lets its waiting begin now, so that somebody is warned when it goes on.
func (l *Ledger) clockSetBack(ctx context.Context, destination string) error {
	far := l.millis() + longestPause.Milliseconds()
	var some bool
	err := l.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM jobs WHERE destination = ? AND state = 'stored' AND next_at > ?)`, destination, far).Scan(&some)
	if err != nil || !some {
		return err
	}
	return l.change(ctx, func(b *batch) error {
		_, err := b.exec(`UPDATE jobs SET next_at = ?1, stored_at = CASE WHEN stored_at < ?1 THEN stored_at ELSE ?1 END WHERE destination = ?2 AND state = 'stored' AND next_at > ?3`, b.now, destination, far)
		return err
	})
}

// Due looks what a transaction for the destination would ask for.
func (l *Ledger) Due(ctx context.Context, destination string, limit int) (Due, error) {
	var d Due
	if err := l.clockSetBack(ctx, destination); err != nil {
		return d, fmt.Errorf("due commitments of %s: %w", destination, err)
	}
	var oldest int64
	now := l.millis()
	err := l.read.QueryRowContext(ctx, `SELECT count(*), coalesce(min(next_at), ?2),
		NOT EXISTS (SELECT 1 FROM jobs WHERE destination = ?1 AND state = 'leased') AND NOT EXISTS (`+placesQuery(1, "?3")+`)
		FROM (SELECT next_at FROM jobs WHERE destination = ?1 AND state = 'stored' AND next_at <= ?2 ORDER BY next_at, seq LIMIT ?4) AS due`,
		destination, now, now+longestPause.Milliseconds(), limit).Scan(&d.Objects, &oldest, &d.Paused)
	if err != nil {
		return Due{}, fmt.Errorf("due commitments of %s: %w", destination, err)
	}
	d.Waited = time.Duration(max(0, now-oldest)) * time.Millisecond
	return d, nil
}

// keptTransactions is for how long reports that are repeated are recognised.
const keptTransactions = 60 * 24 * time.Hour

// maxAsked is of how many transactions about one job a late report still counts.
const maxAsked = 3

// Ask puts at most n stored objects into a transaction with a new UID, durable
// before it is asked: the report may be here before the answer. Without a report
// they are due again after again(how often they were asked before).
func (l *Ledger) Ask(ctx context.Context, destination, uid string, n int, again func(int) time.Duration) (references []Reference, err error) {
	err = l.change(ctx, func(b *batch) error {
		references = nil
		due, err := b.due(destination, n)
		if err != nil {
			return err
		}
		if err := b.newTransaction(destination, uid); err != nil {
			return err
		}
		for _, s := range due {
			if s.conflict && !b.config.Deliver {
				if err := b.unconfirmed(s); err != nil {
					return err
				}
				continue
			}
			if err := b.ask(s.job, uid, again(s.asks)); err != nil {
				return err
			}
			if s.conflict && slices.Contains(references, s.Reference) {
				continue // one name for both
			}
			references = append(references, s.Reference)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ask %s for commitment: %w", destination, err)
	}
	return references, nil
}

// stored is a job that waits for a commitment.
type stored struct {
	Reference
	job, object   int64
	id            hub.ID
	destination   string
	conflict      bool
	asks, resends int
}

const storedColumns = `SELECT o.sop_class, o.sop_instance, j.seq, o.seq, o.id, j.destination, ` + conflicting + `, j.asks, j.resends `

func (b *batch) due(destination string, n int) ([]stored, error) {
	return b.storedJobs(storedColumns+`FROM jobs j JOIN objects o ON o.seq = j.object
		WHERE j.destination = ? AND j.state = 'stored' AND j.next_at <= ? ORDER BY j.next_at, j.seq LIMIT ?`, destination, b.now, n)
}

func (b *batch) storedJobs(query string, args ...any) ([]stored, error) {
	s, err := b.stmt(query)
	if err != nil {
		return nil, err
	}
	rows, err := s.Query(args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []stored
	for rows.Next() {
		var r stored
		var id []byte
		if err := rows.Scan(&r.SOPClass, &r.SOPInstance, &r.job, &r.object, &id, &r.destination, &r.conflict, &r.asks, &r.resends); err != nil {
			return nil, err
		}
		r.id = hub.ID(id)
		out = append(out, r)
	}
	return out, rows.Err()
}

// newTransaction also forgets some that are long over.
func (b *batch) newTransaction(destination, uid string) error {
	if _, err := b.exec(`DELETE FROM transactions WHERE uid IN (SELECT uid FROM transactions t WHERE asked_at < ?
		AND NOT EXISTS (SELECT 1 FROM asked a WHERE a.uid = t.uid) ORDER BY asked_at LIMIT 100)`, b.now-keptTransactions.Milliseconds()); err != nil {
		return err
	}
	_, err := b.exec(`INSERT INTO transactions (uid, destination, asked_at) VALUES (?, ?, ?)`, uid, destination, b.now)
	return err
}

func (b *batch) ask(job int64, uid string, again time.Duration) error {
	if _, err := b.exec(`UPDATE jobs SET asked_at = ?1, asks = asks + 1, next_at = ?2 WHERE seq = ?3`, b.now, b.now+again.Milliseconds(), job); err != nil {
		return err
	}
	if _, err := b.exec(`DELETE FROM asked WHERE job = ?1 AND uid NOT IN (SELECT a.uid FROM asked a JOIN transactions t ON t.uid = a.uid
		WHERE a.job = ?1 ORDER BY t.asked_at DESC LIMIT ?2)`, job, maxAsked-1); err != nil {
		return err
	}
	_, err := b.exec(`INSERT INTO asked (job, uid) VALUES (?, ?)`, job, uid)
	return err
}

// NotAsked records that the archive did not take the request: its objects are due
// again after a time. With refused it has said so, and will not report on it.
func (l *Ledger) NotAsked(ctx context.Context, uid string, after time.Duration, refused bool) error {
	err := l.change(ctx, func(b *batch) error {
		if _, err := b.exec(`UPDATE jobs SET next_at = ?, asks = CASE WHEN asks > 0 THEN asks - 1 ELSE 0 END WHERE state = 'stored' AND seq IN (SELECT job FROM asked WHERE uid = ?)`,
			b.now+after.Milliseconds(), uid); err != nil || !refused {
			return err
		}
		_, err := b.exec(`DELETE FROM transactions WHERE uid = ?`, uid)
		return err
	})
	if err != nil {
		return fmt.Errorf("commitment not asked for: %w", err)
	}
	return nil
}

// Reported records what one of the destinations said of a transaction, durable on
// return. again is the pause before an object is sent or asked for again, by how
// often that has been. An instance that was not asked for in this transaction is
// passed over; one that the report leaves out goes on waiting.
func (l *Ledger) Reported(ctx context.Context, destinations []string, r Report, again func(int) time.Duration) (s Settled, err error) {
	destination, err := l.knows(ctx, destinations, r.Transaction)
	if err != nil {
		return s, fmt.Errorf("commitment reported: %w", err)
	}
	verdicts := r.verdicts()
	err = l.change(ctx, func(b *batch) error {
		s = Settled{Strange: len(verdicts), Destination: destination}
		waiting, err := b.storedJobs(storedColumns+`FROM asked a JOIN jobs j ON j.seq = a.job JOIN objects o ON o.seq = j.object
			WHERE a.uid = ? AND j.state = 'stored' ORDER BY j.seq`, r.Transaction)
		if err != nil {
			return err
		}
		// What it commits itself to goes first: it says what the rest is worth.
		slices.SortStableFunc(waiting, func(x, y stored) int { return truth(verdicts[x.Reference] != 0) - truth(verdicts[y.Reference] != 0) })
		seen := map[Reference]bool{}
		for _, w := range waiting {
			reason, ok := verdicts[w.Reference]
			if !ok {
				continue
			}
			if !seen[w.Reference] {
				seen[w.Reference] = true
				s.Strange--
			}
			if err := b.reported(w, r, reason, again, &s); err != nil {
				return err
			}
		}
		_, err = b.exec(`UPDATE transactions SET reported_at = ? WHERE uid = ? AND reported_at IS NULL`, b.now, r.Transaction)
		return err
	})
	if err != nil {
		return Settled{}, fmt.Errorf("commitment reported: %w", err)
	}
	return s, nil
}

// knows returns the destination that was asked.
func (l *Ledger) knows(ctx context.Context, destinations []string, uid string) (destination string, err error) {
	err = l.read.QueryRowContext(ctx, `SELECT destination FROM transactions WHERE uid = ?`, uid).Scan(&destination)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !slices.Contains(destinations, destination) {
		return "", ErrUnknownTransaction
	}
	return destination, err
}

// verdicts is the reason for each instance, 0 where it is committed. Who says
// both has not committed itself.
func (r Report) verdicts() map[Reference]uint16 {
	out := map[Reference]uint16{}
	for _, c := range r.Committed {
		out[c] = 0
	}
	for _, f := range r.Failed {
		if out[f.Reference] = f.Reason; f.Reason == 0 {
			out[f.Reference] = failureProcessing
		}
	}
	return out
}

// notGivenUp is told of a job that an archive in doubt has refused for good.
const notGivenUp = "; the object is not given up, because of this archive's word: it has committed itself to too little lately"

// reported settles one job.
func (b *batch) reported(w stored, r Report, reason uint16, again func(int) time.Duration, s *Settled) error {
	words := "the archive answered Success, but does not commit itself: " + reasonWords(reason)
	if reason != 0 {
		s.Why = reasonWords(reason)
	}
	switch {
	case reason == 0 && w.conflict && !b.config.Deliver:
		s.Unconfirmed++
		return b.unconfirmed(w)
	case reason == 0:
		s.Committed++
		if err := b.leaveStored(w.job, `UPDATE jobs SET state = 'done', done_at = ? WHERE seq = ?`, b.now, w.job); err != nil {
			return err
		}
		return b.archive(w.object)
	case reason == failureResources, reason == failureDuplicateTransaction:
		s.Later++
		return b.askLater(w, r.Transaction, again(w.asks), words)
	case (reason == failureProcessing || reason == failureNoSuchInstance) && w.resends < maxResends:
		s.Again++
		b.jobsGrew = true
		return b.leaveStored(w.job, `UPDATE jobs SET state = 'pending', resends = resends + 1, next_at = ?, words = ? WHERE seq = ?`,
			b.now+again(w.resends).Milliseconds(), words, w.job)
	}
	if r.GiveUp != nil && s.Refused >= r.GiveUp(w.destination, s.Committed+s.Unconfirmed) {
		s.Doubted++
		return b.askLater(w, r.Transaction, again(w.asks), words+notGivenUp)
	}
	s.Refused++
	if err := b.leaveStored(w.job, `UPDATE jobs SET state = 'permanent', words = ? WHERE seq = ?`, words, w.job); err != nil {
		return err
	}
	return b.tell(w.id, w.destination, true, words)
}

// askLater asks for a job again after a time, in another transaction.
func (b *batch) askLater(w stored, uid string, after time.Duration, words string) error {
	if _, err := b.exec(`UPDATE jobs SET next_at = ?, words = ? WHERE seq = ?`, b.now+after.Milliseconds(), words, w.job); err != nil {
		return err
	}
	_, err := b.exec(`DELETE FROM asked WHERE job = ? AND uid = ?`, w.job, uid)
	return err
}

// leaveStored changes the job and waits for no report about it any more: an older
// transaction is about what was before.
func (b *batch) leaveStored(job int64, query string, args ...any) error {
	if _, err := b.exec(query, args...); err != nil {
		return err
	}
	_, err := b.exec(`DELETE FROM asked WHERE job = ?`, job)
	return err
}

// unconfirmed sets a job aside that no commitment can confirm (P5). To the
// appliance it is held back at the hub: a person decides.
func (b *batch) unconfirmed(w stored) error {
	if err := b.leaveStored(w.job, `UPDATE jobs SET state = 'unconfirmed', words = ? WHERE seq = ?`, unconfirmedWords, w.job); err != nil {
		return err
	}
	return b.tell(w.id, "", false, unconfirmedWords)
}

// reasonWords are of PS3.3 §C.14.1.1.
func reasonWords(reason uint16) string {
	words := map[uint16]string{
		0x0110: "processing failure", 0x0112: "no such object instance", 0x0119: "class and instance conflict",
		0x0122: "SOP class not supported", 0x0131: "duplicate transaction UID", 0x0213: "resource limitation",
	}[reason]
	return fmt.Sprintf("%04X %s", reason, words)
}

// Confirm says, in the name of actor, who has compared, that the archive has this
// object, of which a commitment says nothing because other contents have its UID.
func (l *Ledger) Confirm(ctx context.Context, id hub.ID, actor string) error {
	return l.change(ctx, func(b *batch) error {
		if err := b.agrees(); err != nil {
			return err
		}
		n, err := b.exec(`UPDATE jobs SET state = 'done', done_at = ? WHERE state = 'unconfirmed' AND object = (SELECT seq FROM objects WHERE id = ?)`, b.now, id[:])
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("confirm %s: it has no unconfirmed job", id)
		}
		if err := b.audit(actor, "confirm", id.String(), fmt.Sprintf("%d jobs", n)); err != nil {
			return err
		}
		var object int64
		if err := b.row(`SELECT seq FROM objects WHERE id = ?`, id[:]).Scan(&object); err != nil {
			return err
		}
		return b.archive(object)
	})
}

package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Event is one state of a study that sinks are told of.
type Event struct {
	Seq      int64
	Study    string
	Revision uint32 // 1: complete; more: changed
	At       time.Time
	Last     int64 // it lists the objects up to this number
	Objects  int64
}

// Delivery is an event on its way to one sink, lent to whoever leased it.
type Delivery struct {
	Seq, Lease int64
	Sink       string
	Attempts   int // before this one
	Event      Event
}

// mayBeLeased: as a job, what a dead node had leased is lent again. It wants lateArgs.
var mayBeLeased = `d.state IN ('pending', 'leased') AND (d.state = 'pending' AND (d.next_at <= ?2 OR d.next_at > ?5) OR d.state = 'leased' AND ` + lateLease("d") + `)`

// LeaseDelivery lends the oldest delivery of a sink that may be tried now; nil when
// there is none. Of one study there is only the oldest, so that a sink hears of it in
// order; no study waits for another one. A lease that ran out, or whose node is dead, is lent again.
func (l *Ledger) LeaseDelivery(ctx context.Context, sink string, ttl time.Duration) (d *Delivery, err error) {
	find := `SELECT d.seq, d.lease + 1, d.attempts, e.seq, e.study, e.revision, e.at, e.last, e.objects
		FROM deliveries d JOIN events e ON e.seq = d.event WHERE d.sink = ?1 AND ` + mayBeLeased + `
		AND NOT EXISTS (SELECT 1 FROM deliveries p WHERE p.sink = d.sink AND p.study = d.study AND p.seq < d.seq AND p.state IN ('pending', 'leased'))
		ORDER BY d.seq LIMIT 1`
	if err := l.freeDoubtful(ctx); err != nil {
		return nil, err
	}
	if d, err = scanDelivery(l.read.QueryRowContext(ctx, find, l.lateArgs(sink, l.millis())...), sink); err != nil || d == nil {
		return nil, err
	}
	var until int64
	err = l.change(ctx, func(b *batch) (err error) {
		until = b.now + ttl.Milliseconds()
		if d, err = scanDelivery(b.row(find, b.lateArgs(sink, b.now)...), sink); err != nil || d == nil {
			return err
		}
		_, err = b.exec(`UPDATE deliveries SET state = 'leased', lease = ?, lease_until = ?, node = ? WHERE seq = ?`,
			d.Lease, until, b.deliveryNode(), d.Seq)
		return err
	})
	if err != nil {
		l.inDoubt(err, doubt{delivery: d, until: until})
		return nil, fmt.Errorf("lease an event for %s: %w", sink, err)
	}
	return d, nil
}

func scanDelivery(row interface{ Scan(...any) error }, sink string) (*Delivery, error) {
	d := &Delivery{Sink: sink}
	var at int64
	err := row.Scan(&d.Seq, &d.Lease, &d.Attempts, &d.Event.Seq, &d.Event.Study, &d.Event.Revision, &at, &d.Event.Last, &d.Event.Objects)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for an event for %s: %w", sink, err)
	}
	d.Event.At = time.UnixMilli(at)
	return d, nil
}

// StartDeliveries frees what an earlier process of this node had leased. It is called
// once, before the first lease.
func (l *Ledger) StartDeliveries(ctx context.Context) error {
	return l.change(ctx, func(b *batch) error { return b.freeOwnDeliveries() })
}

func (b *batch) freeOwnDeliveries() error {
	n, err := b.exec(`UPDATE deliveries SET state = 'pending', next_at = 0 WHERE state = 'leased' AND node = ?`, b.deliveryNode())
	if n > 0 {
		b.awake[studiesKey] = struct{}{}
	}
	return err
}

// theSameEvent is theSame of a delivery: its number and that of its event may be
// another's after a failover.
const theSameEvent = ` AND sink = ? AND event = ? AND study = ? AND EXISTS (SELECT 1 FROM events e WHERE e.seq = deliveries.event AND e.at = ? AND e.last = ?)`

func (d *Delivery) sameArgs(args ...any) []any {
	return append(args, d.Sink, d.Event.Seq, d.Event.Study, d.Event.At.UnixMilli(), d.Event.Last)
}

// Delivered records that the sink has it, whoever holds the lease by now. The body
// goes when no sink needs it any more.
func (l *Ledger) Delivered(ctx context.Context, d Delivery) error {
	err := l.change(ctx, func(b *batch) error {
		n, err := b.exec(`UPDATE deliveries SET state = 'done', attempts = attempts + 1, words = '' WHERE seq = ?`+theSameEvent, d.sameArgs(d.Seq)...)
		if err != nil || n == 0 {
			return err
		}
		b.awake[studiesKey] = struct{}{} // the next of the study
		_, err = b.exec(`UPDATE events SET body = NULL WHERE seq = ?1 AND NOT EXISTS
			(SELECT 1 FROM deliveries k WHERE k.event = ?1 AND k.state IN ('pending', 'leased', 'failed'))`, d.Event.Seq)
		return err
	})
	if err != nil {
		return fmt.Errorf("event %d delivered to %s: %w", d.Event.Seq, d.Sink, err)
	}
	return nil
}

// DeliverLater gives the delivery back. With tried it counts as an attempt.
func (l *Ledger) DeliverLater(ctx context.Context, d Delivery, after time.Duration, tried bool, words string) error {
	return l.settleDelivery(ctx, d, `UPDATE deliveries SET state = 'pending', attempts = attempts + ?, next_at = ?, words = ? WHERE seq = ? AND lease = ? AND state = 'leased'`+theSameEvent,
		func(b *batch) []any {
			return d.sameArgs(truth(tried), b.now+after.Milliseconds(), words, d.Seq, d.Lease)
		})
}

// DeliverFailed records that the sink refuses it. It waits for RetryDeliveries; a later
// event of the study does not wait for it, because that says everything anew.
func (l *Ledger) DeliverFailed(ctx context.Context, d Delivery, words string) error {
	return l.settleDelivery(ctx, d, `UPDATE deliveries SET state = 'failed', attempts = attempts + 1, words = ? WHERE seq = ? AND lease = ? AND state = 'leased'`+theSameEvent,
		func(*batch) []any { return d.sameArgs(words, d.Seq, d.Lease) })
}

func (l *Ledger) settleDelivery(ctx context.Context, d Delivery, query string, args func(*batch) []any) error {
	err := l.change(ctx, func(b *batch) error {
		n, err := b.exec(query, args(b)...)
		b.awake[studiesKey] = struct{}{}
		return lost(n, err)
	})
	if err != nil {
		return fmt.Errorf("event %d to %s: %w", d.Event.Seq, d.Sink, err)
	}
	return nil
}

// RetryDeliveries has everything tried again that a sink refused, in the name of actor.
// What a later event of the study has overtaken is not told any more.
func (l *Ledger) RetryDeliveries(ctx context.Context, sink, actor string) (retried int64, err error) {
	err = l.change(ctx, func(b *batch) error {
		if _, err := b.exec(`UPDATE deliveries SET state = 'superseded' WHERE sink = ? AND state = 'failed'
			AND EXISTS (SELECT 1 FROM deliveries k WHERE k.sink = deliveries.sink AND k.study = deliveries.study AND k.seq > deliveries.seq)`, sink); err != nil {
			return err
		}
		var err error
		if retried, err = b.exec(`UPDATE deliveries SET state = 'pending', next_at = 0, words = '' WHERE sink = ? AND state = 'failed'`, sink); err != nil {
			return err
		}
		b.awake[studiesKey] = struct{}{}
		return b.audit(actor, "retry events", sink, fmt.Sprintf("%d events", retried))
	})
	if err != nil {
		return 0, fmt.Errorf("retry events of %s: %w", sink, err)
	}
	return retried, nil
}

// SinkStats is what a sink has not got.
type SinkStats struct {
	Waiting int64
	Oldest  time.Duration // of these
	Failed  int64         // refused, until somebody has them tried again
	Words   string        // of the last failure, "" if it is over
}

// EventStats are figures of this moment.
type EventStats struct {
	Studies int64 // that wait for an event
	Sinks   map[string]SinkStats
}

// EventStats counts what waits. It costs a walk over that.
func (l *Ledger) EventStats(ctx context.Context, sinks []string) (EventStats, error) {
	s := EventStats{Sinks: map[string]SinkStats{}}
	err := l.read.QueryRowContext(ctx, `SELECT count(*) FROM studies WHERE look_at IS NOT NULL`).Scan(&s.Studies)
	for _, name := range sinks {
		if err == nil {
			s.Sinks[name], err = l.sinkStats(ctx, name)
		}
	}
	if err != nil {
		return s, fmt.Errorf("statistics of study events: %w", err)
	}
	return s, nil
}

func (l *Ledger) sinkStats(ctx context.Context, sink string) (s SinkStats, err error) {
	now := l.millis()
	var oldest int64
	if err = l.read.QueryRowContext(ctx, `SELECT count(*) AS n, coalesce(min(d.at), ?1) AS oldest, coalesce(max(d.words), '') AS words
		FROM deliveries d WHERE d.sink = ?2 AND d.state IN ('pending', 'leased')`, now, sink).Scan(&s.Waiting, &oldest, &s.Words); err != nil {
		return s, err
	}
	s.Oldest = time.Duration(max(0, now-oldest)) * time.Millisecond
	var words string
	err = l.read.QueryRowContext(ctx, `SELECT count(*) AS n, coalesce(max(d.words), '') AS words FROM deliveries d WHERE d.sink = ? AND d.state = 'failed'`, sink).Scan(&s.Failed, &words)
	if s.Words == "" {
		s.Words = words
	}
	return s, err
}

// FailedDelivery is one that a sink refuses.
type FailedDelivery struct {
	Sink, Study string
	Revision    uint32
	Attempts    int
	Words       string
}

// FailedDeliveries lists at most limit of them.
func (l *Ledger) FailedDeliveries(ctx context.Context, limit int) ([]FailedDelivery, error) {
	rows, err := l.lists.QueryContext(ctx, `SELECT d.sink, d.study, e.revision, d.attempts, d.words FROM deliveries d JOIN events e ON e.seq = d.event
		WHERE d.state = 'failed' ORDER BY d.seq LIMIT ?`, min(limit, maxPage))
	if err != nil {
		return nil, fmt.Errorf("refused events: %w", err)
	}
	defer rows.Close()
	var out []FailedDelivery
	for rows.Next() {
		var f FailedDelivery
		if err := rows.Scan(&f.Sink, &f.Study, &f.Revision, &f.Attempts, &f.Words); err != nil {
			return nil, fmt.Errorf("refused events: %w", err)
		}
		out = append(out, f)
	}
	return out, rows.Err()
}

// deliveryNode is who leases.
func (b *batch) deliveryNode() string { return b.config.Node }

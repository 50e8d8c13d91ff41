package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
)

// rollingChange is how long the nodes of a hub may differ in their sinks, while they are
// restarted one after the other.
const rollingChange = 24 * time.Hour

// DropSinks gives up at most limit deliveries to sinks that are not among these: their
// bodies name persons, and nobody is to be told any more. It reports how many. Over
// PostgreSQL they must be a day old, because other nodes may have those sinks.
func (l *Ledger) DropSinks(ctx context.Context, sinks []string, limit int) (dropped int64, err error) {
	before := l.millis()
	if l.config.Database != "" {
		before -= rollingChange.Milliseconds()
	}
	waiting, err := l.ofOtherSinks(ctx, sinks, before, limit)
	if err != nil || len(waiting) == 0 {
		return 0, err
	}
	err = l.change(ctx, func(b *batch) error {
		dropped = 0
		var names []string
		for _, d := range waiting {
			n, err := b.exec(`UPDATE deliveries SET state = 'superseded', words = '' WHERE seq = ? AND (state IN ('pending', 'failed') OR state = 'leased' AND lease_until <= ?)`, d.seq, b.now)
			if err != nil {
				return err
			}
			if dropped += n; n > 0 && !slices.Contains(names, d.sink) {
				names = append(names, d.sink)
			}
			if _, err := b.exec(`UPDATE events SET body = NULL, built = 1 WHERE seq = ?1 AND NOT EXISTS
				(SELECT 1 FROM deliveries k WHERE k.event = ?1 AND k.state IN ('pending', 'leased', 'failed'))`, d.event); err != nil {
				return err
			}
		}
		if dropped == 0 {
			return nil
		}
		return b.audit(b.me(), "drop events", strings.Join(names, ", "), words(dropped, "events: no such sink is configured any more"))
	})
	if err != nil {
		return 0, fmt.Errorf("events of sinks that are gone: %w", err)
	}
	return dropped, nil
}

type waitingDelivery struct {
	seq, event int64
	sink       string
}

func (l *Ledger) ofOtherSinks(ctx context.Context, sinks []string, before int64, limit int) (out []waitingDelivery, err error) {
	args := []any{before}
	for _, s := range sinks {
		args = append(args, s)
	}
	rows, err := l.read.QueryContext(ctx, `SELECT d.seq, d.event, d.sink FROM deliveries d WHERE d.state IN ('pending', 'leased', 'failed') AND d.at <= ?
		AND d.sink NOT IN (''`+strings.Repeat(", ?", len(sinks))+`) ORDER BY d.seq LIMIT `+fmt.Sprint(limit), args...)
	if err != nil {
		return nil, fmt.Errorf("events of sinks that are gone: %w", err)
	}
	err = eachRow(rows, func(scan func(...any) error) error {
		var d waitingDelivery
		err := scan(&d.seq, &d.event, &d.sink)
		out = append(out, d)
		return err
	})
	return out, err
}

// oldEvent is one that goes.
type oldEvent struct {
	seq, revision int64
	study         string
}

// PruneEvents deletes at most limit events that are older than age and that every sink
// has, and reports how many. The study keeps its revision. With the last event of a study
// goes what headers said of it, which names persons: an event that comes later says what
// can still be read.
func (l *Ledger) PruneEvents(ctx context.Context, age time.Duration, limit int) (n int64, err error) {
	err = l.change(ctx, func(b *batch) error {
		old, err := b.oldEvents(b.now-age.Milliseconds(), limit)
		if err != nil {
			return err
		}
		for _, e := range old {
			if err := b.pruneEvent(e); err != nil {
				return err
			}
		}
		n = int64(len(old))
		return nil
	})
	return n, err
}

func (b *batch) oldEvents(before int64, limit int) (out []oldEvent, err error) {
	s, err := b.stmt(`SELECT e.seq, e.revision, e.study FROM events e WHERE e.at <= ? AND NOT EXISTS
		(SELECT 1 FROM deliveries d WHERE d.event = e.seq AND d.state IN ('pending', 'leased', 'failed')) ORDER BY e.at LIMIT ?`)
	if err != nil {
		return nil, err
	}
	var rows *sql.Rows
	if rows, err = s.Query(before, limit); err != nil {
		return nil, err
	}
	err = eachRow(rows, func(scan func(...any) error) error {
		var e oldEvent
		err := scan(&e.seq, &e.revision, &e.study)
		out = append(out, e)
		return err
	})
	return out, err
}

func (b *batch) pruneEvent(e oldEvent) error {
	for _, query := range []string{`DELETE FROM deliveries WHERE event = ?`, `DELETE FROM events WHERE seq = ?`} {
		if _, err := b.exec(query, e.seq); err != nil {
			return err
		}
	}
	var last bool
	err := b.row(`SELECT NOT EXISTS (SELECT 1 FROM studies WHERE study = ? AND revision > ?) AS last`, e.study, e.revision).Scan(&last)
	if err != nil || !last {
		return err
	}
	for _, query := range []string{`DELETE FROM described WHERE object IN (SELECT o.seq FROM objects o WHERE o.study = ?)`, `DELETE FROM headers WHERE study = ?`} {
		if _, err := b.exec(query, e.study); err != nil {
			return err
		}
	}
	return nil
}

package ledger

import (
	"context"
	"fmt"
	"time"
)

// Stats are figures for the life of the ledger and of this moment. Self-test
// objects are in Tests alone.
type Stats struct {
	Objects, Bytes, Receipts, Archived, Tests int64
	Held                                      int64 // objects that wait for an administrator or the appliance (P5, data findings)
	Lost                                      int64 // objects whose copy here is missing or damaged, and that were not sent again yet
	Unrouted                                  int64 // objects that no required destination is for: never archived
	Devices, Revoked                          int64
	Stands                                    time.Duration      // for how long nothing was brought to changed destinations, though there is more (see Walk)
	Backlog                                   map[string]Backlog // by destination; those without jobs are missing
}

// Backlog is what a destination has not got yet.
type Backlog struct {
	Objects     int64 // pending and leased
	Bytes       int64
	Held        int64
	Quarantined int64         // refused for good
	Oldest      time.Duration // age of the oldest pending object
	Uncommitted int64         // answered with Success, the commitment is missing
	Waited      time.Duration // since the oldest of them was stored
	Unconfirmed int64         // no commitment can confirm them (P5)
	Skipped     int64         // archived, and it does not get them: there was no room, or no more time (ExpiredForRoom); for the life of the ledger
	SkippedAgo  time.Duration // since the last of them
}

// Stats counts. It costs a walk over the open jobs: ask every few seconds.
func (l *Ledger) Stats(ctx context.Context) (Stats, error) {
	s := Stats{Backlog: map[string]Backlog{}}
	if err := l.stats(ctx, &s); err != nil {
		return s, fmt.Errorf("ledger statistics: %w", err)
	}
	return s, nil
}

func (l *Ledger) stats(ctx context.Context, s *Stats) error {
	err := l.read.QueryRowContext(ctx, `SELECT
		(SELECT n FROM counters WHERE name = 'objects'), (SELECT n FROM counters WHERE name = 'bytes'),
		(SELECT n FROM counters WHERE name = 'receipts'), (SELECT n FROM counters WHERE name = 'archived'),
		(SELECT n FROM counters WHERE name = 'tests'),
		(SELECT count(DISTINCT object) FROM jobs WHERE state = 'held'),
		(SELECT count(*) FROM objects WHERE lost = 1),
		(SELECT count(*) FROM objects WHERE unrouted = 1),
		(SELECT count(*) FROM devices), (SELECT count(*) FROM devices WHERE state = 'revoked')`).
		Scan(&s.Objects, &s.Bytes, &s.Receipts, &s.Archived, &s.Tests, &s.Held, &s.Lost, &s.Unrouted, &s.Devices, &s.Revoked)
	if err != nil {
		return err
	}
	if s.Stands, err = l.walkStands(ctx); err != nil {
		return err
	}
	for _, d := range l.config.Destinations {
		b, err := l.backlog(ctx, d.Name)
		if err != nil {
			return err
		}
		s.Backlog[d.Name] = b
	}
	return nil
}

// Used reports whether a destination was ever given an object.
func (l *Ledger) Used(ctx context.Context, destination string) (used bool, err error) {
	err = l.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM jobs WHERE destination = ? AND state = 'done')`, destination).Scan(&used)
	if err != nil {
		return false, fmt.Errorf("use of destination %s: %w", destination, err)
	}
	return used, nil
}

func (l *Ledger) backlog(ctx context.Context, destination string) (Backlog, error) {
	var b Backlog
	var oldest int64
	now := l.millis()
	err := l.read.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(o.length), 0), coalesce(min(o.received_at), ?1)
		FROM jobs j JOIN objects o ON o.seq = j.object WHERE j.destination = ?2 AND j.state IN ('pending', 'leased')`, now, destination).
		Scan(&b.Objects, &b.Bytes, &oldest)
	if err != nil {
		return b, err
	}
	b.Oldest = time.Duration(max(0, now-oldest)) * time.Millisecond
	err = l.read.QueryRowContext(ctx, `SELECT
		(SELECT count(*) FROM jobs WHERE destination = ?1 AND state = 'held'),
		(SELECT count(*) FROM jobs WHERE destination = ?1 AND state = 'permanent'),
		(SELECT count(*) FROM jobs WHERE destination = ?1 AND state = 'unconfirmed')`, destination).Scan(&b.Held, &b.Quarantined, &b.Unconfirmed)
	if err != nil {
		return b, err
	}
	err = l.read.QueryRowContext(ctx, `SELECT count(*), coalesce(min(stored_at), ?1) FROM jobs WHERE destination = ?2 AND state = 'stored'`, now, destination).Scan(&b.Uncommitted, &oldest)
	b.Waited = time.Duration(max(0, now-oldest)) * time.Millisecond
	if err != nil {
		return b, err
	}
	b.Skipped, b.SkippedAgo, err = l.skipped(ctx, destination, now)
	return b, err
}

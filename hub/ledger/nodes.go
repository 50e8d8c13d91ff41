package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// unseen is after how long without a beat a node counts as dead, by the database's
// clock: what it has leased is lent to others. Beats come every five seconds.
const unseen = 30 * time.Second

// wrongBy is how far ahead of now a beat may be. What is later was written while the
// clock was wrong, and says nothing.
const wrongBy = 30 * time.Second

// forgotten is when a node's row goes, and that of a process that wrote.
const forgotten = 7 * 24 * time.Hour

// Node is one that uses these rows.
type Node struct {
	ID, Address, Version string
	Started, Seen        time.Time // by the database's clock
	Alive                bool      // it was seen less than half a minute ago
}

// Beat says that this node is alive. Without a name in Config it says nothing.
func (l *Ledger) Beat(ctx context.Context) error {
	if l.config.Node == "" {
		return nil
	}
	var other bool
	err := l.change(ctx, func(b *batch) error {
		other = false
		if err := b.pardon(); err != nil {
			return err
		}
		n, err := b.exec(`UPDATE nodes SET seen_at = ? WHERE id = ? AND started_at = ?`, b.now, b.config.Node, b.started.Load())
		if err != nil || n > 0 {
			return err
		}
		other = b.started.Load() != 0
		return b.arrive()
	})
	if err != nil {
		return fmt.Errorf("beat of node %s: %w", l.config.Node, err)
	}
	if other {
		l.log.Warn("another process has used the name of this node: each node needs one of its own", "node", l.config.Node)
	}
	return nil
}

// pardon: when this node could not beat for long, perhaps nobody could, because of a long
// transaction or a failover. Who was alive when this one was seen last has half a minute
// from now on, so that who comes first takes not all others for dead.
func (b *batch) pardon() error {
	_, err := b.exec(`UPDATE nodes SET seen_at = ?1 WHERE id <> ?2 AND seen_at < ?1 AND EXISTS
		(SELECT 1 FROM nodes m WHERE m.id = ?2 AND m.seen_at < ?3 AND m.seen_at - ?4 < nodes.seen_at)`, b.now, b.config.Node, b.now-unseen.Milliseconds()/2, unseen.Milliseconds())
	return err
}

// arrive makes the row of this node, and takes away rows that nobody needs any more.
func (b *batch) arrive() error {
	b.started.Store(b.now)
	_, err := b.exec(`INSERT INTO nodes (id, address, version, started_at, seen_at) VALUES (?1, ?2, ?3, ?4, ?4)
		ON CONFLICT (id) DO UPDATE SET address = ?2, version = ?3, started_at = ?4, seen_at = ?4`, b.config.Node, b.config.Address, b.config.Version, b.now)
	if err != nil {
		return err
	}
	_, old := b.exec(`DELETE FROM nodes WHERE seen_at < ?`, b.now-forgotten.Milliseconds())
	_, gone := b.exec(`DELETE FROM writers WHERE at < ?`, b.now-forgotten.Milliseconds())
	return errors.Join(old, gone)
}

// Leave says that this node goes, so that the others need not wait to see it. When another
// process has come under its name meanwhile, what is leased under that is the other's.
func (l *Ledger) Leave(ctx context.Context) error {
	err := l.submit(ctx, &change{anyhow: true, do: func(b *batch) error {
		var replaced bool
		err := b.row(`SELECT EXISTS (SELECT 1 FROM nodes WHERE id = ? AND started_at <> ?) AS replaced`, b.config.Node, b.started.Load()).Scan(&replaced)
		if err != nil || replaced {
			return err
		}
		if err := errors.Join(b.freeOwn(), b.freeOwnDeliveries()); err != nil {
			return err
		}
		_, err = b.exec(`DELETE FROM nodes WHERE id = ? AND started_at = ?`, b.config.Node, b.started.Load())
		return err
	}})
	if err != nil {
		return fmt.Errorf("node %s leaves: %w", l.config.Node, err)
	}
	l.started.Store(0) // it may come back, see Beat
	return nil
}

// freeOwn gives back what this node had leased. What has no node was leased by the
// only one.
func (b *batch) freeOwn() error {
	n, err := b.exec(`UPDATE jobs SET state = 'pending' WHERE state = 'leased' AND (node = ?1 OR node = '' OR ?1 = '')`, b.config.Node)
	b.jobsGrew = b.jobsGrew || n > 0
	return err
}

// lateLease is true in rows t for a lease that has lasted too long, or whose node is dead:
// it was not seen for half a minute before the newest beat of any. When nobody could
// write for that long nobody is dead. It wants lateArgs, of which ?5 is later than
// anything that a right clock has said.
func lateLease(t string) string {
	return `(` + t + `.lease_until <= ?2 OR ` + t + `.lease_until > ?5 OR ` + t + `.node <> '' AND ` + t + `.node <> ?3
		AND NOT EXISTS (SELECT 1 FROM nodes n WHERE n.id = ` + t + `.node AND n.seen_at <= ?6
			AND n.seen_at > (SELECT max(k.seen_at) FROM nodes k WHERE k.seen_at <= ?6) - ?4))`
}

// late are jobs of a destination, ?1.
var late = `destination = ?1 AND state = 'leased' AND ` + lateLease("jobs")

func (l *Ledger) lateArgs(whose string, now int64) []any {
	return []any{whose, now, l.config.Node, unseen.Milliseconds(), now + longestPause.Milliseconds(), now + wrongBy.Milliseconds()}
}

// freeLate gives back what is late.
func (b *batch) freeLate(destination string) error {
	_, err := b.exec(`UPDATE jobs SET state = 'pending' WHERE `+late, b.lateArgs(destination, b.now)...)
	return err
}

// Nodes are all that were seen lately, by name.
func (l *Ledger) Nodes(ctx context.Context) ([]Node, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT id, address, version, started_at, seen_at FROM nodes ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("nodes: %w", err)
	}
	defer rows.Close()
	var out []Node
	for rows.Next() {
		var n Node
		var started, seen int64
		if err := rows.Scan(&n.ID, &n.Address, &n.Version, &started, &seen); err != nil {
			return nil, fmt.Errorf("nodes: %w", err)
		}
		n.Started, n.Seen = time.UnixMilli(started), time.UnixMilli(seen)
		now := l.millis()
		n.Alive = seen > now-unseen.Milliseconds() && seen <= now+wrongBy.Milliseconds()
		out = append(out, n)
	}
	return out, rows.Err()
}

// Ready asks the database whether it is there, and whether it can be written when the
// last transaction could not. It is ErrDestinations where another node has others.
func (l *Ledger) Ready(ctx context.Context) error {
	if err := l.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var said string
	err := l.watch.QueryRowContext(ctx, `SELECT `+saidDestinations+` AS said`).Scan(&said)
	if err == nil && l.engine.away() {
		err = l.change(ctx, func(*batch) error { return nil }) // perhaps it can be written again
	}
	if err != nil && !errors.Is(err, ErrDestinations) {
		return fmt.Errorf("the database does not answer: %w", err)
	}
	return l.outvoted(said)
}

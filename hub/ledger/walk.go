package ledger

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"edged/hub"
)

// A walk brings the rows that are there to destinations that have changed, page by page,
// so that everybody writes between two pages. Where it is stands in meta:
//
//	walk_at    the last object that it has passed; below 0 it has not begun with objects, and
//	           has passed the jobs up to jobsFirst - walk_at
//	walk_end   the last one when the destinations changed; what came later has all its jobs
//	walk_moved when it did its last page
//
// All are written with what changed the destinations, and are gone when it is over. Any node
// goes on with it, after a crash too: a page is one transaction with its walk_at, and
// changes nothing when it is repeated. Until the walk has passed an object nothing
// archives that: it may have no job yet for the archive that is new.
const (
	walkAt    = "walk_at"
	walkEnd   = "walk_end"
	walkMoved = "walk_moved"

	jobsFirst = -1

	walkPage  = 1000            // objects or jobs of a transaction
	walkLook  = 100 * walkPage  // jobs that one look finds
	walkRange = 50 * walkPage   // jobs among which one looks for those that are for a destination no more
	startLook = 20              // pages that Start does itself: most hubs have no more
	walkAgain = 5 * time.Second // after how long a walk is looked for that another node has left
)

// unwalked is true for an object o that a walk has still to pass.
var unwalked = fmt.Sprintf(`(o.seq > coalesce((SELECT CAST(m.value AS BIGINT) FROM meta m WHERE m.key = '%s'), %d)
	AND o.seq <= coalesce((SELECT CAST(m.value AS BIGINT) FROM meta m WHERE m.key = '%s'), 0))`, walkAt, int64(math.MaxInt64), walkEnd)

// beginWalk begins one, in the place of one that was for other destinations.
func (b *batch) beginWalk() error {
	var last int64
	if err := b.row(`SELECT coalesce(max(o.seq), 0) AS last FROM objects o`).Scan(&last); err != nil {
		return err
	}
	if last == 0 {
		return b.endWalk()
	}
	return errors.Join(b.note(walkAt, strconv.Itoa(jobsFirst)), b.note(walkEnd, strconv.FormatInt(last, 10)), b.walkMoves())
}

func (b *batch) endWalk() error {
	_, err := b.exec(`DELETE FROM meta WHERE key IN (?, ?, ?)`, walkAt, walkEnd, walkMoved)
	return err
}

func (b *batch) walkMoves() error { return b.note(walkMoved, strconv.FormatInt(b.now, 10)) }

// walkStands is for how long a walk has done no page, 0 where there is none. It reads three rows.
func (l *Ledger) walkStands(ctx context.Context) (time.Duration, error) {
	var moved int64
	now := l.millis()
	err := l.read.QueryRowContext(ctx, `SELECT coalesce((SELECT CAST(m.value AS BIGINT) FROM meta m WHERE m.key = ?1 AND EXISTS (SELECT 1 FROM meta e WHERE e.key = ?2)), ?3) AS moved`,
		walkMoved, walkEnd, now).Scan(&moved)
	return time.Duration(max(0, now-moved)) * time.Millisecond, err
}

// walk is where one is.
type walk struct{ at, end int64 }

// walkThere reads it; false where there is none, or it is not for the destinations of
// this node.
func (l *Ledger) walkThere(ctx context.Context) (w walk, there bool, err error) {
	mine := l.agreed.Load()
	if mine == nil {
		return w, false, nil
	}
	var said string
	err = l.read.QueryRowContext(ctx, `SELECT coalesce((SELECT CAST(m.value AS BIGINT) FROM meta m WHERE m.key = ?1), 0) AS at,
		coalesce((SELECT CAST(m.value AS BIGINT) FROM meta m WHERE m.key = ?2), 0) AS last, `+saidDestinations+` AS said`, walkAt, walkEnd).Scan(&w.at, &w.end, &said)
	return w, err == nil && w.end > 0 && said == *mine, err
}

// Walk does one page of a walk, if there is one, and reports whether there may be more.
func (l *Ledger) Walk(ctx context.Context) (more bool, err error) {
	w, there, err := l.walkThere(ctx)
	if err == nil && there {
		if w.at <= jobsFirst {
			err = l.walkJobs(ctx, w)
		} else {
			err = l.walkObjects(ctx, w)
		}
	}
	if err != nil {
		return false, fmt.Errorf("bring rows to the destinations: %w", err)
	}
	return there, nil
}

// Follow walks on, whichever node has begun, until ctx ends.
func (l *Ledger) Follow(ctx context.Context) error {
	for ctx.Err() == nil {
		more, err := l.Walk(ctx)
		if err != nil {
			l.notWalked(ctx, err)
		}
		if more {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(walkAgain):
		}
	}
	return nil
}

// walkHere does what Start does itself. Where another node is started with other
// destinations meanwhile it is for that one to go on. A page that fails keeps no hub from
// its work: Follow tries it again.
func (l *Ledger) walkHere(ctx context.Context) {
	for range startLook {
		more, err := l.Walk(ctx)
		if err != nil {
			l.notWalked(ctx, err)
			return
		}
		if !more {
			return
		}
	}
	l.log.Info("the destinations have changed: objects that came before get their jobs while the hub works")
}

// notWalked says why, unless it passes by itself.
func (l *Ledger) notWalked(ctx context.Context, err error) {
	if ctx.Err() == nil && !errors.Is(err, ErrDestinations) && !isLost(err) {
		l.log.Warn("objects that came before a change of the destinations wait for their jobs", "err", err)
	}
}

// step is a page, unless somebody else has done it, or it was read for a walk before this one.
func (l *Ledger) step(ctx context.Context, w walk, to int64, do func(*batch) error) error {
	return l.submit(ctx, &change{weight: walkPage, do: func(b *batch) error {
		n, err := b.exec(`UPDATE meta SET value = ? WHERE key = ? AND value = ? AND EXISTS (SELECT 1 FROM meta e WHERE e.key = ? AND e.value = ?)`,
			strconv.FormatInt(to, 10), walkAt, strconv.FormatInt(w.at, 10), walkEnd, strconv.FormatInt(w.end, 10))
		if err != nil || n == 0 {
			return err
		}
		if err := b.walkMoves(); err != nil {
			return err
		}
		if _, err := b.exec(`UPDATE nodes SET seen_at = ? WHERE id = ? AND started_at = ?`, b.now, b.config.Node, b.started.Load()); err != nil {
			return err // it lives, and may not beat yet
		}
		return do(b)
	}})
}

// walkObjects gives the next objects that are not archived jobs for all that they are
// for, and archives what only a destination that is gone held up.
func (l *Ledger) walkObjects(ctx context.Context, w walk) error {
	rows, err := l.read.QueryContext(ctx, `SELECT o.seq FROM objects o WHERE o.archived_at IS NULL AND o.seq > ? AND o.seq <= ? ORDER BY o.seq LIMIT ?`, w.at, w.end, walkPage)
	if err != nil {
		return err
	}
	page, err := collect[int64](rows)
	if err != nil {
		return err
	}
	to := w.end
	if len(page) == walkPage {
		to = page[walkPage-1]
	}
	return l.step(ctx, w, to, func(b *batch) error {
		if err := b.rerouteAll(anys(page)); err != nil {
			return err
		}
		if to < w.end {
			return nil
		}
		return b.endWalk()
	})
}

func anys(list []int64) (out []any) {
	for _, one := range list {
		out = append(out, one)
	}
	return out
}

// rerouteAll is a page. What is archived meanwhile is left as it is.
func (b *batch) rerouteAll(objects []any) error {
	gone := map[string]int64{}
	for chunk := range slices.Chunk(objects, maxMarks) {
		for _, d := range b.config.Destinations {
			n, err := b.reroute(d, chunk)
			if err != nil {
				return err
			}
			gone[d.Name] += n
		}
		if err := b.countUnrouted(chunk); err != nil {
			return err
		}
		if err := b.archiveAll(chunk); err != nil {
			return err
		}
	}
	for _, d := range b.config.Destinations {
		if err := b.auditReroute(d.Name, gone[d.Name]); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) auditReroute(destination string, n int64) error {
	if n == 0 {
		return nil
	}
	return b.audit("hubd", "reroute", destination, words(n, "jobs are for it no more"))
}

// reroute follows a change of the destinations or of what they are for: each of these
// objects that is not archived has a job if d is for it, and else none that was not
// delivered. It reports how many went.
func (b *batch) reroute(d Destination, objects []any) (gone int64, err error) {
	r := b.config.Routes[d.Name]
	condition, args := r.where()
	all := slices.Concat(args, objects)
	if _, err := b.addJobs(d.Name, ` AND o.archived_at IS NULL`+condition+` AND o.seq IN `+marks(&all, len(args)), all...); err != nil || r.everything() {
		return 0, err
	}
	condition, args = r.noMore(d.Name)
	all = slices.Concat(args, objects)
	return b.exec(`DELETE FROM jobs WHERE `+condition+` AND object IN `+marks(&all, len(args)), all...)
}

// countUnrouted finds what of these objects no required destination is for.
func (b *batch) countUnrouted(objects []any) error {
	required := b.required()
	args := append(append(slices.Clone(required.args), hub.FlagTest), objects...)
	_, err := b.exec(`UPDATE objects SET unrouted = CASE WHEN EXISTS (SELECT 1 FROM jobs j WHERE j.object = objects.seq AND j.destination IN (`+required.marks+`)) THEN 0 ELSE 1 END
		WHERE archived_at IS NULL AND flags & ? = 0 AND seq IN `+marks(&args, len(required.args)+1), args...)
	return err
}

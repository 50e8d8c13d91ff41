package ledger

import (
	"context"
	"database/sql"
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
//	walk_at    the last object that it has passed; jobsFirst: it has not begun with objects
//	walk_end   the last one when the destinations changed; what came later has all its jobs
//
// Both are written with what changed the destinations, and are gone when it is over. Any node
// goes on with it, after a crash too: a page is one transaction with its walk_at, and
// changes nothing when it is repeated. Until the walk has passed an object nothing
// archives that: it may have no job yet for the archive that is new.
const (
	walkAt  = "walk_at"
	walkEnd = "walk_end"

	jobsFirst = -1

	walkPage  = 1000            // objects or jobs of a transaction
	walkLook  = 100 * walkPage  // jobs that one look finds
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
	return errors.Join(b.note(walkAt, strconv.Itoa(jobsFirst)), b.note(walkEnd, strconv.FormatInt(last, 10)))
}

func (b *batch) endWalk() error {
	_, err := b.exec(`DELETE FROM meta WHERE key IN (?, ?)`, walkAt, walkEnd)
	return err
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
		if w.at == jobsFirst {
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
		if err != nil && ctx.Err() == nil && !errors.Is(err, ErrDestinations) && !isLost(err) {
			l.log.Warn("objects that came before a change of the destinations wait for their jobs", "err", err)
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
// destinations meanwhile it is for that one to go on.
func (l *Ledger) walkHere(ctx context.Context) error {
	for range startLook {
		more, err := l.Walk(ctx)
		if errors.Is(err, ErrDestinations) || err == nil && !more {
			return nil
		}
		if err != nil {
			return err
		}
	}
	l.log.Info("the destinations have changed: objects that came before get their jobs while the hub works")
	return nil
}

// step is a page, unless somebody else has done it.
func (l *Ledger) step(ctx context.Context, w walk, to int64, do func(*batch) error) error {
	return l.submit(ctx, &change{weight: walkPage, do: func(b *batch) error {
		n, err := b.exec(`UPDATE meta SET value = ? WHERE key = ? AND value = ?`, strconv.FormatInt(to, 10), walkAt, strconv.FormatInt(w.at, 10))
		if err != nil || n == 0 {
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

// walkJobs comes first: jobs that wait for a commitment are brought to what confirms now,
// and archived objects lose the jobs for destinations that are for them no more.
func (l *Ledger) walkJobs(ctx context.Context, w walk) error {
	for _, d := range l.config.Destinations {
		for _, do := range []func(context.Context, walk, Destination) (bool, error){l.confirmChanged, l.astray} {
			if more, err := do(ctx, w, d); err != nil || more {
				return err
			}
		}
	}
	return l.step(ctx, w, 0, func(*batch) error { return nil })
}

// jobsPage finds jobs outside of a transaction and has them done page by page. It reports
// whether there were any.
func (l *Ledger) jobsPage(ctx context.Context, w walk, query string, args []any, do func(*batch, []any) error) (bool, error) {
	rows, err := l.read.QueryContext(ctx, query+` LIMIT `+strconv.Itoa(walkLook), args...)
	if err != nil {
		return false, err
	}
	found, err := collect[int64](rows)
	for page := range slices.Chunk(found, walkPage) {
		if err == nil {
			err = l.step(ctx, w, w.at, func(b *batch) error {
				for chunk := range slices.Chunk(page, maxMarks) {
					if err := do(b, anys(chunk)); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}
	return len(found) > 0, err
}

// noMore selects the jobs that were not delivered of a destination that is for their
// objects no more, unless several appliances sent those: for which of them a job was made
// nobody knows.
func (r Route) noMore(destination string) (condition string, args []any) {
	where, args := r.where()
	return `destination = ? AND state IN ('pending', 'held', 'permanent')
		AND (SELECT count(*) FROM receipts s JOIN objects p ON p.id = s.id WHERE p.seq = jobs.object) = 1
		AND NOT EXISTS (SELECT 1 FROM objects o WHERE o.seq = jobs.object` + where + `)`, append([]any{destination}, args...)
}

// astray deletes such jobs of archived objects. Others have them deleted by walkObjects.
func (l *Ledger) astray(ctx context.Context, w walk, d Destination) (bool, error) {
	r := l.config.Routes[d.Name]
	if r.everything() {
		return false, nil
	}
	condition, args := r.noMore(d.Name)
	condition += ` AND EXISTS (SELECT 1 FROM objects a WHERE a.seq = jobs.object AND a.archived_at IS NOT NULL)`
	return l.jobsPage(ctx, w, `SELECT seq FROM jobs WHERE `+condition, args, func(b *batch, jobs []any) error {
		all := slices.Concat(args, jobs)
		n, err := b.exec(`DELETE FROM jobs WHERE `+condition+` AND seq IN `+marks(&all, len(args)), all...)
		if err != nil {
			return err
		}
		return b.auditReroute(d.Name, n)
	})
}

// confirmation says what becomes of jobs of a destination that wait for a commitment,
// those in states; "" is nothing.
func (c *Config) confirmation(d Destination) (states, set, what string) {
	switch {
	case d.Confirm == "commitment" && c.Deliver:
		return `'unconfirmed'`, `state = 'stored', next_at = ?`, "are asked for again, whatever else has their UID"
	case d.Confirm == "commitment":
		return "", "", ""
	case d.Confirm == "success":
		return `'stored'`, `state = 'done'`, "waited for a commitment and count as done: the archive had answered Success"
	case d.Confirm == "stow" && !c.Deliver:
		return `'stored'`, `state = 'pending', next_at = 0`, "waited for a commitment and are delivered anew" // see Unconfirmed
	}
	return `'stored', 'unconfirmed'`, `state = 'pending', next_at = 0`, "waited for a commitment and are delivered anew"
}

// confirmChanged brings jobs that wait for a commitment to what is configured now.
func (l *Ledger) confirmChanged(ctx context.Context, w walk, d Destination) (bool, error) {
	states, set, what := l.config.confirmation(d)
	if states == "" {
		return false, nil
	}
	where := ` WHERE destination = ? AND state IN (` + states + `)`
	return l.jobsPage(ctx, w, `SELECT seq FROM jobs`+where, []any{d.Name}, func(b *batch, jobs []any) error {
		args := []any{d.Name}
		if d.Confirm == "commitment" {
			args = []any{b.now, d.Name}
		}
		first := len(args)
		args = append(args, jobs...)
		s, err := b.stmt(`UPDATE jobs SET ` + set + where + ` AND seq IN ` + marks(&args, first) + ` RETURNING object`)
		if err != nil {
			return err
		}
		var rows *sql.Rows
		if rows, err = s.Query(args...); err != nil {
			return err
		}
		objects, err := collect[int64](rows)
		if err != nil || len(objects) == 0 {
			return err
		}
		b.jobsGrew = true
		if d.Confirm != "commitment" {
			if _, err := b.exec(`DELETE FROM asked WHERE job IN `+marks(&jobs, 0), jobs...); err != nil {
				return err
			}
		}
		if err := b.audit(b.me(), "confirm by "+d.Confirm, d.Name, words(int64(len(objects)), "jobs "+what)); err != nil {
			return err
		}
		slices.Sort(objects)
		return b.archiveAll(anys(objects))
	})
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

package ledger

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
)

// walkJobs comes first: jobs that wait for a commitment are brought to what confirms now,
// and then archived objects lose the jobs for destinations that are for them no more.
func (l *Ledger) walkJobs(ctx context.Context, w walk) error {
	if w.at == jobsFirst {
		for _, d := range l.config.Destinations {
			if more, err := l.confirmChanged(ctx, w, d); err != nil || more {
				return err
			}
		}
	}
	return l.astray(ctx, w)
}

// jobsPage finds jobs outside of a transaction and has them done page by page. It reports
// whether there were any.
func (l *Ledger) jobsPage(ctx context.Context, w walk, query string, args []any, do func(*batch, []any) error) (bool, error) {
	rows, err := l.read.QueryContext(ctx, query+` LIMIT `+strconv.Itoa(walkLook), args...)
	if err != nil {
		return false, err
	}
	found, err := collect[int64](rows)
	if err == nil {
		err = l.inPages(ctx, w, found, do)
	}
	return len(found) > 0, err
}

// inPages has jobs done, and leaves the walk where it is.
func (l *Ledger) inPages(ctx context.Context, w walk, jobs []int64, do func(*batch, []any) error) error {
	for page := range slices.Chunk(jobs, walkPage) {
		err := l.step(ctx, w, w.at, func(b *batch) error {
			for chunk := range slices.Chunk(page, maxMarks) {
				if err := do(b, anys(chunk)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
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

// astray deletes such jobs of archived objects, of the next range of jobs. Others have them
// deleted by walkObjects. How many such jobs there are, and how long their row is, no
// statement's time depends on: a range is read in the order of the table, and of it what a
// destination has not got is asked about a few hundred at a time.
func (l *Ledger) astray(ctx context.Context, w walk) error {
	after := jobsFirst - w.at
	last, err := l.rangeEnd(ctx, after)
	if err != nil {
		return err
	}
	if last == 0 {
		return l.step(ctx, w, 0, func(*batch) error { return nil })
	}
	for _, d := range l.config.Destinations {
		if err := l.astrayOf(ctx, w, d, after, last); err != nil {
			return err
		}
	}
	return l.step(ctx, w, jobsFirst-last, func(*batch) error { return nil })
}

// rangeEnd is the last job of the range that begins after one, 0 where there is none or no
// destination is for some objects only. Jobs that are made meanwhile are right as they are.
func (l *Ledger) rangeEnd(ctx context.Context, after int64) (last int64, err error) {
	if !slices.ContainsFunc(l.config.Destinations, func(d Destination) bool { return !l.config.Routes[d.Name].everything() }) {
		return 0, nil
	}
	err = l.read.QueryRowContext(ctx, `SELECT coalesce(max(part.seq), 0) AS last FROM (SELECT seq FROM jobs WHERE seq > ? ORDER BY seq LIMIT `+strconv.Itoa(walkRange)+`) AS part`, after).Scan(&last)
	return last, err
}

// undelivered are the jobs of a range that a destination has not got. MATERIALIZED keeps
// the database from going through all jobs of the destination instead.
func (l *Ledger) undelivered(ctx context.Context, d Destination, after, last int64) ([]int64, error) {
	rows, err := l.read.QueryContext(ctx, `WITH part AS MATERIALIZED (SELECT seq, destination, state FROM jobs WHERE seq > ? AND seq <= ?)
		SELECT seq FROM part WHERE destination = ? AND state IN ('pending', 'held', 'permanent')`, after, last, d.Name)
	if err != nil {
		return nil, err
	}
	return collect[int64](rows)
}

// astrayOf is astray for one destination.
func (l *Ledger) astrayOf(ctx context.Context, w walk, d Destination, after, last int64) error {
	r := l.config.Routes[d.Name]
	if r.everything() {
		return nil
	}
	jobs, err := l.undelivered(ctx, d, after, last)
	if err != nil {
		return err
	}
	condition, args := r.noMore(d.Name)
	condition += ` AND EXISTS (SELECT 1 FROM objects a WHERE a.seq = jobs.object AND a.archived_at IS NOT NULL) AND seq IN `
	var found []int64
	for chunk := range slices.Chunk(jobs, maxMarks) {
		all := append(slices.Clone(args), anys(chunk)...)
		rows, err := l.read.QueryContext(ctx, `SELECT seq FROM jobs WHERE `+condition+marks(&all, len(args)), all...)
		if err != nil {
			return err
		}
		some, err := collect[int64](rows)
		if err != nil {
			return err
		}
		found = append(found, some...)
	}
	return l.inPages(ctx, w, found, func(b *batch, jobs []any) error {
		all := slices.Concat(args, jobs)
		n, err := b.exec(`DELETE FROM jobs WHERE `+condition+marks(&all, len(args)), all...)
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

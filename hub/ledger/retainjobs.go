package ledger

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"math"
	"slices"
	"time"
)

// optionalPatience is for how long beyond the time of every copy one stays for a destination that
// is not required and has not got it.
const optionalPatience = 30 * 24 * time.Hour

// expiry says which archived objects may go.
type expiry struct {
	age    time.Duration // since they were archived
	noRoom bool          // now, and what is not required is not waited for
}

// before is until when they were archived.
func (e expiry) before(now int64) int64 { return now - e.age.Milliseconds() }

// waited is since when they were archived if a destination that is not required is waited for.
func (e expiry) waited(now int64) int64 {
	if e.noRoom {
		return math.MaxInt64
	}
	return e.before(now) - optionalPatience.Milliseconds()
}

// waiting is true for a row of objects, which is archived, that some destination waits
// for or may ask for again:
//
//   - a required one that has not got it, whatever the reason: it became required later,
//   - another one that is getting it, or for which a person holds it,
//   - another one that has not got it yet, while the object is archived since a time.
//
// A destination that is not configured any more keeps nothing, nor does one that is not
// required and has refused it.
func (c *Config) waiting(since int64) (condition string, args []any) {
	required, others := c.namesOf(true), c.namesOf(false)
	condition = `EXISTS (SELECT 1 FROM jobs j WHERE j.object = objects.seq AND (j.state <> 'done' AND j.destination IN (` + required.marks + `)
		OR j.destination IN (` + others.marks + `) AND (j.state IN ('leased', 'held') OR j.state IN ('pending', 'stored') AND objects.archived_at > ?)))`
	return condition, append(slices.Concat(required.args, others.args), since)
}

// namesOf are the names of the destinations that are required, or of the others; none is ”.
func (c *Config) namesOf(required bool) names {
	n := names{marks: "''"}
	for _, d := range c.Destinations {
		if d.Required == required {
			n.marks += ", ?"
			n.args = append(n.args, d.Name)
		}
	}
	return n
}

// ended are jobs by destination that end undone.
type ended map[string]int64

// endJobs ends what nobody can deliver any more: otherwise a destination that is back, or
// is configured again, would be looked for files that are gone. It is in the audit trail,
// and of a destination that is configured it is counted.
func (b *batch) endJobs(gone []goner) (ended, error) {
	end, objects := ended{}, make([]any, len(gone))
	for i, g := range gone {
		objects[i] = g.seq
	}
	var jobs []any
	err := b.each(`SELECT j.seq, j.destination FROM jobs j WHERE j.state IN ('pending', 'leased', 'stored', 'held') AND j.object IN `, objects, func(scan func(...any) error) error {
		var seq int64
		var destination string
		err := scan(&seq, &destination)
		jobs = append(jobs, seq)
		end[destination]++
		return err
	})
	if err != nil {
		return nil, err
	}
	for chunk := range slices.Chunk(jobs, maxMarks) {
		in := marks(&chunk, 0)
		for _, query := range []string{`DELETE FROM asked WHERE job IN `, `DELETE FROM jobs WHERE seq IN `} {
			if _, err := b.exec(query+in, chunk...); err != nil {
				return nil, err
			}
		}
	}
	return end, b.noteEnded(end)
}

// What is counted for each destination stands among the counters.
const (
	skippedCount = "skipped:"    // objects that it does not get
	skippedLast  = "skipped_at:" // when that was so last
)

func (b *batch) noteEnded(end ended) error {
	for _, name := range slices.Sorted(maps.Keys(end)) {
		action, why := end.why(&b.config, name)
		if err := b.audit(b.me(), action, name, words(end[name], why)); err != nil {
			return err
		}
		if !b.config.has(name) {
			continue
		}
		if _, err := b.exec(`INSERT INTO counters (name, n) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET n = counters.n + excluded.n`, skippedCount+name, end[name]); err != nil {
			return err
		}
		if _, err := b.exec(`INSERT INTO counters (name, n) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET n = excluded.n`, skippedLast+name, b.now); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) has(destination string) bool {
	return slices.ContainsFunc(c.Destinations, func(d Destination) bool { return d.Name == destination })
}

func (end ended) why(c *Config, name string) (action, words string) {
	if c.has(name) {
		return "skip", "objects: it has not got them, is not required, and there is no room for them here, or no more time"
	}
	return "abandon", "objects: it has not got them, and is not configured any more"
}

func (end ended) tell(log *slog.Logger, c *Config) {
	for _, name := range slices.Sorted(maps.Keys(end)) {
		action, why := end.why(c, name)
		log.Warn("archived objects do not go to a destination", "destination", name, "what", action, "why", words(end[name], why))
	}
}

// skipped is what a destination does not get, and for how long that has not been so any more.
func (l *Ledger) skipped(ctx context.Context, destination string, now int64) (n int64, ago time.Duration, err error) {
	var at int64
	err = l.read.QueryRowContext(ctx, `SELECT coalesce((SELECT c.n FROM counters c WHERE c.name = ?), 0) AS n, coalesce((SELECT k.n FROM counters k WHERE k.name = ?), 0) AS last`,
		skippedCount+destination, skippedLast+destination).Scan(&n, &at)
	return n, time.Duration(max(0, now-cmp.Or(at, now))) * time.Millisecond, err
}

package ledger

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// addStanding notes what waits for a person today, and the receipts of the whole hub.
// At the end of the day the last of these stands.
func (l *Ledger) addStanding(ctx context.Context, facilities map[string]string) error {
	day := dayOf(l.millis())
	add, err := l.standing(ctx, day, facilities)
	if err != nil {
		return err
	}
	return l.change(ctx, func(b *batch) error {
		if _, err := b.exec(`UPDATE kpi SET held = 0, refused = 0, lost = 0 WHERE day = ?`, day); err != nil {
			return err
		}
		for k, f := range add {
			if err := b.addFigures(k, f); err != nil {
				return err
			}
		}
		return b.addReceipts(day)
	})
}

// addReceipts counts those since the last time to this day. It also leaves the row
// that says that the day was looked at.
func (b *batch) addReceipts(day int64) error {
	var before, now int64
	if err := b.row(`SELECT coalesce(max(n), 0) FROM kpi_state WHERE key = 'receipts'`).Scan(&before); err != nil {
		return err
	}
	if err := b.row(`SELECT n FROM counters WHERE name = 'receipts'`).Scan(&now); err != nil {
		return err
	}
	if _, err := b.exec(`INSERT INTO kpi_state (key, n) VALUES ('receipts', ?) ON CONFLICT (key) DO UPDATE SET n = excluded.n`, now); err != nil {
		return err
	}
	return b.addFigures(kpiKey{day, "", ""}, &Figures{Receipts: now - before})
}

// standing counts the jobs that wait for a person; each object once for all
// destinations together.
func (l *Ledger) standing(ctx context.Context, day int64, facilities map[string]string) (additions, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT o.seq, o.device, j.destination, CASE WHEN j.state = 'permanent' THEN 1 ELSE 0 END AS refused
		FROM jobs j JOIN objects o ON o.seq = j.object WHERE j.state IN ('held', 'permanent', 'unconfirmed') AND j.lost = 0`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	add, counted := additions{}, map[[2]int64]bool{}
	for rows.Next() {
		var seq, refused int64
		var device, destination string
		if err := rows.Scan(&seq, &device, &destination, &refused); err != nil {
			return nil, err
		}
		keys := []kpiKey{{day, facilities[device], destination}}
		if !counted[[2]int64{seq, refused}] {
			counted[[2]int64{seq, refused}] = true
			keys = append(keys, kpiKey{day, facilities[device], ""})
		}
		for _, k := range keys {
			add.at(k).Refused += refused
			add.at(k).Held += 1 - refused
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return add, l.lostOnes(ctx, day, facilities, add)
}

func (l *Ledger) lostOnes(ctx context.Context, day int64, facilities map[string]string, add additions) error {
	rows, err := l.read.QueryContext(ctx, `SELECT device, count(*) FROM objects WHERE lost = 1 GROUP BY device`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var device string
		var n int64
		if err := rows.Scan(&device, &n); err != nil {
			return err
		}
		add.at(kpiKey{day, facilities[device], ""}).Lost += n
	}
	return rows.Err()
}

// KPIRow is a line of figures. What it is not broken down by is empty.
type KPIRow struct {
	Day                   time.Time
	Facility, Destination string
	Figures
}

// KPI sums the days from first to last, both included, in UTC: all in one row, or
// one a day, facility or destination. It reads rows by day, however many objects
// there are.
func (l *Ledger) KPI(ctx context.Context, first, last time.Time, by string) ([]KPIRow, error) {
	from, to := dayOf(first.UnixMilli()), dayOf(last.UnixMilli())
	out, err := l.kpi(ctx, from, to, by)
	if err != nil {
		return nil, fmt.Errorf("figures: %w", err)
	}
	return out, nil
}

func (l *Ledger) kpi(ctx context.Context, from, to int64, by string) ([]KPIRow, error) {
	where := `destination = ''`
	if by == "destination" {
		where = `destination <> ''`
	}
	var looked int64 // the last day of which it is known what stood
	if err := l.lists.QueryRowContext(ctx, `SELECT coalesce(max(day), -1) FROM kpi WHERE day >= ? AND day <= ? AND facility = '' AND destination = ''`, from, to).Scan(&looked); err != nil {
		return nil, err
	}
	rows, err := l.lists.QueryContext(ctx, `SELECT day, facility, destination, objects, bytes, studies, receipts, conflicts, archived, archived_bytes, held, refused, lost, seconds
		FROM kpi WHERE day >= ? AND day <= ? AND `+where, from, to)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	sums := additions{}
	if by == "" {
		sums.at(kpiKey{}) // one line, also of nothing
	}
	for rows.Next() {
		var k kpiKey
		var f Figures
		var text string
		if err := rows.Scan(&k.day, &k.facility, &k.destination, &f.Objects, &f.Bytes, &f.Studies, &f.Receipts, &f.Conflicts, &f.Archived, &f.ArchivedBytes, &f.Held, &f.Refused, &f.Lost, &text); err != nil {
			return nil, err
		}
		if f.seconds, err = parseHistogram(text); err != nil {
			return nil, err
		}
		sum := sums.at(k.only(by))
		sum.add(&f)
		if by == "day" || k.day == looked {
			sum.Held, sum.Refused, sum.Lost = sum.Held+f.Held, sum.Refused+f.Refused, sum.Lost+f.Lost
		}
	}
	return sums.rows(by), rows.Err()
}

// only is the key without what is not asked for.
func (k kpiKey) only(by string) kpiKey {
	switch by {
	case "day":
		return kpiKey{day: k.day}
	case "facility":
		return kpiKey{facility: k.facility}
	case "destination":
		return kpiKey{destination: k.destination}
	}
	return kpiKey{}
}

func (a additions) rows(by string) (out []KPIRow) {
	for k, f := range a {
		if by == "facility" && k.facility == "" && f.Objects+f.Archived+f.Held+f.Refused+f.Lost == 0 {
			continue // it is there for the receipts of the whole hub
		}
		r := KPIRow{Facility: k.facility, Destination: k.destination, Figures: *f}
		if by == "day" {
			r.Day = time.UnixMilli(k.day * dayMillis).UTC()
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b KPIRow) int {
		return cmp.Or(a.Day.Compare(b.Day), cmp.Compare(a.Facility, b.Facility), cmp.Compare(a.Destination, b.Destination))
	})
	return out
}

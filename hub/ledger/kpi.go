package ledger

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"edged/hub"
)

// Figures are sums over days; they name no study and no person.
type Figures struct {
	Objects, Bytes, Studies int64 // received
	Receipts                int64 // of the whole hub alone
	Conflicts               int64 // other contents under a known SOP Instance UID (P5)
	Archived, ArchivedBytes int64
	Held, Refused, Lost     int64 // at the end of the last day
	seconds                 histogram
}

// Median and P95 are of the seconds from received to archived (of a destination: to
// its confirmation), within 5 %; 0 when nothing was archived.
func (f *Figures) Median() float64 { return f.seconds.quantile(0.5) }

// P95 is what 95 of 100 did not need longer than.
func (f *Figures) P95() float64 { return f.seconds.quantile(0.95) }

func (f *Figures) add(o *Figures) {
	f.Objects, f.Bytes, f.Studies, f.Receipts = f.Objects+o.Objects, f.Bytes+o.Bytes, f.Studies+o.Studies, f.Receipts+o.Receipts
	f.Conflicts, f.Archived, f.ArchivedBytes = f.Conflicts+o.Conflicts, f.Archived+o.Archived, f.ArchivedBytes+o.ArchivedBytes
	f.seconds.add(o.seconds)
}

// histogram counts seconds in buckets of which each is 10 % wider than the one below.
type histogram map[int]int64

const bucketRatio = 1.1

// The first and the last bucket hold all below 10 ms and all above six years.
const firstBucket, lastBucket = -48, 200

func (h *histogram) count(seconds float64) {
	if *h == nil {
		*h = histogram{}
	}
	bucket := firstBucket
	if seconds > 0 {
		bucket = int(math.Ceil(math.Log(seconds) / math.Log(bucketRatio)))
	}
	(*h)[min(max(bucket, firstBucket), lastBucket)]++
}

func (h *histogram) add(o histogram) {
	if *h == nil {
		*h = histogram{}
	}
	for b, n := range o {
		(*h)[b] += n
	}
}

func (h histogram) buckets() []int {
	var all []int
	for b := range h {
		all = append(all, b)
	}
	slices.Sort(all)
	return all
}

func (h histogram) quantile(q float64) float64 {
	var total, seen int64
	for _, n := range h {
		total += n
	}
	for _, b := range h.buckets() {
		if seen += h[b]; float64(seen) >= q*float64(total) {
			return math.Pow(bucketRatio, float64(b)-0.5)
		}
	}
	return 0
}

func (h histogram) String() string {
	var out []string
	for _, b := range h.buckets() {
		out = append(out, fmt.Sprintf("%d:%d", b, h[b]))
	}
	return strings.Join(out, ",")
}

func parseHistogram(text string) (histogram, error) {
	h := histogram{}
	for part := range strings.SplitSeq(text, ",") {
		if part == "" {
			continue
		}
		b, n, _ := strings.Cut(part, ":")
		bucket, err := strconv.Atoi(b)
		if err != nil {
			return nil, err
		}
		if h[bucket], err = strconv.ParseInt(n, 10, 64); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// kpiKey is the row that something counts in.
type kpiKey struct {
	day                   int64
	facility, destination string
}

const dayMillis = 24 * 60 * 60 * 1000

// dayOf is the day of a time in UTC, also before 1970.
func dayOf(millis int64) int64 { return int64(math.Floor(float64(millis) / dayMillis)) }

// additions are what one page of rows adds.
type additions map[kpiKey]*Figures

func (a additions) at(k kpiKey) *Figures {
	if a[k] == nil {
		a[k] = &Figures{}
	}
	return a[k]
}

// kpiPage bounds the rows of one transaction, so that no receipt waits for long.
const kpiPage = 1000

// settled is how old a confirmation is before it is counted: clocks of several nodes
// may differ, and what was passed is not looked at again.
const settledAfter = 10 * time.Minute

// AddUp counts what has come since the last time into rows by day, page by page; of
// several nodes each page is counted by one.
func (l *Ledger) AddUp(ctx context.Context) error {
	facilities, err := l.facilitiesByDevice(ctx)
	if err == nil {
		err = l.addReceived(ctx, facilities)
	}
	if err == nil {
		err = l.addArchived(ctx, facilities)
	}
	if err == nil {
		err = l.addStanding(ctx, facilities)
	}
	if err != nil {
		return fmt.Errorf("add up figures: %w", err)
	}
	return nil
}

func (l *Ledger) facilitiesByDevice(ctx context.Context) (map[string]string, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT id, facility FROM devices`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var id, facility string
		if err := rows.Scan(&id, &facility); err != nil {
			return nil, err
		}
		out[id] = facility
	}
	return out, rows.Err()
}

// position is where counting stands; missing is 0.
func (l *Ledger) position(ctx context.Context, key string) (n int64, err error) {
	err = l.read.QueryRowContext(ctx, `SELECT coalesce(max(n), 0) FROM kpi_state WHERE key = ?`, key).Scan(&n)
	return n, err
}

// counted writes a page, unless another node was faster: then its positions are not
// those that the page was read from.
func (l *Ledger) counted(ctx context.Context, add additions, from, to map[string]int64) error {
	return l.change(ctx, func(b *batch) error {
		for key, want := range from {
			var n int64
			if err := b.row(`SELECT coalesce(max(n), 0) FROM kpi_state WHERE key = ?`, key).Scan(&n); err != nil || n != want {
				return err
			}
		}
		for key, n := range to {
			if _, err := b.exec(`INSERT INTO kpi_state (key, n) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET n = excluded.n`, key, n); err != nil {
				return err
			}
		}
		for k, f := range add {
			if err := b.addFigures(k, f); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *batch) addFigures(k kpiKey, f *Figures) error {
	var text string
	if err := b.row(`SELECT coalesce(max(seconds), '') FROM kpi WHERE day = ? AND facility = ? AND destination = ?`, k.day, k.facility, k.destination).Scan(&text); err != nil {
		return err
	}
	h, err := parseHistogram(text)
	if err != nil {
		return err
	}
	h.add(f.seconds)
	_, err = b.exec(`INSERT INTO kpi (day, facility, destination, objects, bytes, studies, receipts, conflicts, archived, archived_bytes, held, refused, lost, seconds)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (day, facility, destination) DO UPDATE SET
		objects = kpi.objects + excluded.objects, bytes = kpi.bytes + excluded.bytes, studies = kpi.studies + excluded.studies,
		receipts = kpi.receipts + excluded.receipts, conflicts = kpi.conflicts + excluded.conflicts,
		archived = kpi.archived + excluded.archived, archived_bytes = kpi.archived_bytes + excluded.archived_bytes,
		held = kpi.held + excluded.held, refused = kpi.refused + excluded.refused, lost = kpi.lost + excluded.lost, seconds = excluded.seconds`,
		k.day, k.facility, k.destination, f.Objects, f.Bytes, f.Studies, f.Receipts, f.Conflicts, f.Archived, f.ArchivedBytes, f.Held, f.Refused, f.Lost, h.String())
	return err
}

func (l *Ledger) addReceived(ctx context.Context, facilities map[string]string) error {
	for {
		from, err := l.position(ctx, "received")
		if err != nil {
			return err
		}
		add, last, err := l.receivedPage(ctx, from, facilities)
		if err != nil || last == from {
			return err
		}
		if err := l.counted(ctx, add, map[string]int64{"received": from}, map[string]int64{"received": last}); err != nil {
			return err
		}
	}
}

func (l *Ledger) receivedPage(ctx context.Context, from int64, facilities map[string]string) (additions, int64, error) {
	// p is an earlier object of the study: then the study was counted.
	rows, err := l.read.QueryContext(ctx, `SELECT o.seq, o.received_at, o.device, o.length, o.flags, o.conflict,
		CASE WHEN EXISTS (SELECT 1 FROM objects p WHERE p.study = o.study AND p.seq < o.seq) THEN 0 ELSE 1 END AS first
		FROM objects o WHERE o.seq > ? ORDER BY o.seq LIMIT ?`, from, kpiPage)
	if err != nil {
		return nil, from, err
	}
	defer rows.Close()
	add, last := additions{}, from
	for rows.Next() {
		var at, length, flags, conflict, first int64
		var device string
		if err := rows.Scan(&last, &at, &device, &length, &flags, &conflict, &first); err != nil {
			return nil, from, err
		}
		if flags&int64(hub.FlagTest) != 0 {
			continue
		}
		f := add.at(kpiKey{dayOf(at), facilities[device], ""})
		f.Objects++
		f.Bytes += length
		f.Conflicts += conflict
		f.Studies += first
	}
	return add, last, rows.Err()
}

// confirmedObject is one that has become archived.
type confirmedObject struct {
	seq, at, received, length int64
	facility                  string
}

func (l *Ledger) addArchived(ctx context.Context, facilities map[string]string) error {
	for {
		at, err := l.position(ctx, "archived_at")
		if err != nil {
			return err
		}
		seq, err := l.position(ctx, "archived_seq")
		if err != nil {
			return err
		}
		page, err := l.archivedPage(ctx, at, seq, facilities)
		if err != nil || len(page) == 0 {
			return err
		}
		add, err := l.archivedFigures(ctx, page)
		if err != nil {
			return err
		}
		last := page[len(page)-1]
		if err := l.counted(ctx, add, map[string]int64{"archived_at": at, "archived_seq": seq}, map[string]int64{"archived_at": last.at, "archived_seq": last.seq}); err != nil {
			return err
		}
	}
}

func (l *Ledger) archivedPage(ctx context.Context, at, seq int64, facilities map[string]string) (page []confirmedObject, err error) {
	rows, err := l.read.QueryContext(ctx, `SELECT o.seq, o.archived_at, o.received_at, o.length, o.device FROM objects o
		WHERE o.archived_at IS NOT NULL AND o.folded <> 1 AND o.archived_at >= ?1 AND o.archived_at <= ?3 AND (o.archived_at > ?1 OR o.seq > ?2)
		ORDER BY o.archived_at, o.seq LIMIT ?4`, at, seq, l.millis()-settledAfter.Milliseconds(), kpiPage)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c confirmedObject
		var device string
		if err := rows.Scan(&c.seq, &c.at, &c.received, &c.length, &device); err != nil {
			return nil, err
		}
		c.facility = facilities[device]
		page = append(page, c)
	}
	return page, rows.Err()
}

// jobsAtOnce bounds the arguments of one statement.
const jobsAtOnce = 500

func (l *Ledger) archivedFigures(ctx context.Context, page []confirmedObject) (additions, error) {
	add, bySeq := additions{}, map[int64]confirmedObject{}
	for _, c := range page {
		add.at(kpiKey{dayOf(c.at), c.facility, ""}).archivedOne(c, c.at)
		bySeq[c.seq] = c
	}
	for chunk := range slices.Chunk(page, jobsAtOnce) {
		args := make([]any, len(chunk))
		for i, c := range chunk {
			args[i] = c.seq
		}
		if err := l.destinationFigures(ctx, args, bySeq, add); err != nil {
			return nil, err
		}
	}
	return add, nil
}

func (f *Figures) archivedOne(c confirmedObject, at int64) {
	f.Archived++
	f.ArchivedBytes += c.length
	f.seconds.count(float64(at-c.received) / 1000)
}

func (l *Ledger) destinationFigures(ctx context.Context, seqs []any, bySeq map[int64]confirmedObject, add additions) error {
	rows, err := l.read.QueryContext(ctx, `SELECT j.object, j.destination, j.done_at FROM jobs j WHERE j.state = 'done' AND j.object IN (?`+strings.Repeat(",?", len(seqs)-1)+`)`, seqs...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var seq, at int64
		var destination string
		if err := rows.Scan(&seq, &destination, &at); err != nil {
			return err
		}
		c := bySeq[seq]
		if at == 0 {
			at = c.at
		}
		add.at(kpiKey{dayOf(c.at), c.facility, destination}).archivedOne(c, at)
	}
	return rows.Err()
}

package ledger

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"edged/hub"
)

// Description is what the header of an object says, as JSON texts that the ledger
// does not look into. Empty ones say nothing.
type Description struct {
	Object  int64
	Series  string // UID
	Own     string // of the instance
	Part    string // of the series
	Whole   string // of patient and study
	Problem string // why there is nothing, without a byte of the object
}

// Undescribed lists at most limit objects of an event whose headers were not read yet.
func (l *Ledger) Undescribed(ctx context.Context, e Event, limit int) ([]Listed, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT o.seq, o.id, o.transfer_syntax FROM objects o WHERE o.study = ? AND o.seq <= ? AND o.flags & 8 = 0
		AND NOT EXISTS (SELECT 1 FROM described d WHERE d.object = o.seq) ORDER BY o.seq LIMIT ?`, e.Study, e.Last, min(limit, maxPage))
	if err != nil {
		return nil, fmt.Errorf("objects to be described: %w", err)
	}
	defer rows.Close()
	var out []Listed
	for rows.Next() {
		var o Listed
		var id []byte
		if err := rows.Scan(&o.Seq, &id, &o.Names.TransferSyntax); err != nil {
			return nil, fmt.Errorf("objects to be described: %w", err)
		}
		o.ID = hub.ID(id)
		out = append(out, o)
	}
	return out, rows.Err()
}

// Describe keeps what headers of objects of a study say, because the hub's copies go
// and a later event lists them again. What is kept already stays.
func (l *Ledger) Describe(ctx context.Context, study string, list []Description) error {
	err := l.change(ctx, func(b *batch) error {
		h, args := headers{known: map[string]int64{"": 0}}, make([]any, 0, 6*len(list))
		if err := b.row(`SELECT count(*) FROM headers WHERE study = ?`, study).Scan(&h.kept); err != nil {
			return err
		}
		for _, d := range list {
			part, err := b.header(study, d.Part, &h)
			if err != nil {
				return err
			}
			whole, err := b.header(study, d.Whole, &h)
			if err != nil {
				return err
			}
			if part == 0 && d.Part != "" || whole == 0 && d.Whole != "" {
				d.Problem = crowdedWords
			}
			args = append(args, d.Object, d.Series, d.Own, part, whole, d.Problem)
		}
		return b.describe(args)
	})
	if err != nil {
		return fmt.Errorf("describe %d objects: %w", len(list), err)
	}
	return nil
}

// describedAtOnce are rows of one statement: over PostgreSQL each is a round trip.
const describedAtOnce = 50

// describe inserts rows of six values each.
func (b *batch) describe(args []any) error {
	const one = "(?, ?, ?, ?, ?, ?)"
	for len(args) > 0 {
		n := 1
		if len(args) >= 6*describedAtOnce {
			n = describedAtOnce
		}
		if _, err := b.exec(`INSERT INTO described (object, series, own, part, whole, problem) VALUES `+one+strings.Repeat(", "+one, n-1)+
			` ON CONFLICT (object) DO NOTHING`, args[:6*n]...); err != nil {
			return err
		}
		args = args[6*n:]
	}
	return nil
}

// maxHeaders bounds the different texts of one study, which peers write (P9).
const (
	maxHeaders   = 2000
	crowdedWords = "the study has too many different headers"
)

// headers are those of a study that a transaction knows, and how many there are.
type headers struct {
	known map[string]int64
	kept  int64
}

// header is the number of a text, of which each is kept once a study; 0 where there is
// no room.
func (b *batch) header(study, body string, h *headers) (int64, error) {
	if n, ok := h.known[body]; ok {
		return n, nil
	}
	digest := sha256.Sum256([]byte(body))
	var seq int64
	err := b.row(`SELECT seq FROM headers WHERE study = ? AND digest = ?`, study, digest[:]).Scan(&seq)
	if errors.Is(err, sql.ErrNoRows) && h.kept < maxHeaders {
		h.kept++
		seq, _, err = b.insert(`INSERT INTO headers (study, digest, body) VALUES (?, ?, ?)`, study, digest[:], body)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	h.known[body] = seq
	return seq, err
}

// Headers are the texts of a study by their numbers.
func (l *Ledger) Headers(ctx context.Context, study string) (map[int64]string, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT seq, body FROM headers WHERE study = ?`, study)
	if err != nil {
		return nil, fmt.Errorf("headers of a study: %w", err)
	}
	defer rows.Close()
	out := map[int64]string{}
	for rows.Next() {
		var seq int64
		var body string
		if err := rows.Scan(&seq, &body); err != nil {
			return nil, fmt.Errorf("headers of a study: %w", err)
		}
		out[seq] = body
	}
	return out, rows.Err()
}

// Listed is an object of an event, and how far it has come.
type Listed struct {
	Seq int64
	hub.Object
	Series, Own, Problem string
	Part, Whole          int64
	Received, Archived   time.Time // Archived is zero when it is not
	Hold                 int64     // why it is held: 1 P5, 2 a data finding
	Unrouted, Lost       bool
	Destinations         []Reached
}

// Reached is how far an object has come on its way to one destination.
type Reached struct {
	Destination, State string
}

// ListEvent calls yield for each object of an event, by series and SOP Instance UID.
// What it holds does not grow with the study.
func (l *Ledger) ListEvent(ctx context.Context, e Event, yield func(*Listed) error) error {
	rows, err := l.read.QueryContext(ctx, `SELECT o.seq, o.id, o.transfer_syntax, o.sop_class, o.sop_instance, o.length, o.flags, o.calling, o.modality, o.device,
		o.received_at, coalesce(o.archived_at, 0), o.hold, o.unrouted, o.lost, coalesce(d.series, '') AS series, coalesce(d.own, '') AS own, coalesce(d.problem, '') AS problem,
		coalesce(d.part, 0) AS part, coalesce(d.whole, 0) AS whole, coalesce(j.destination, '') AS destination, coalesce(j.state, '') AS state
		FROM objects o LEFT JOIN described d ON d.object = o.seq LEFT JOIN jobs j ON j.object = o.seq
		WHERE o.study = ? AND o.seq <= ? AND o.flags & 8 = 0 ORDER BY coalesce(d.series, ''), o.sop_instance, o.seq, coalesce(j.destination, '')`, e.Study, e.Last)
	if err != nil {
		return fmt.Errorf("objects of an event: %w", err)
	}
	defer rows.Close()
	if err := eachListed(rows, yield); err != nil {
		return fmt.Errorf("objects of an event: %w", err)
	}
	return rows.Err()
}

// eachListed puts the rows of one object together.
func eachListed(rows *sql.Rows, yield func(*Listed) error) error {
	var last *Listed
	for rows.Next() {
		o := &Listed{}
		var id []byte
		var received, archived, unrouted, lost int64
		var r Reached
		if err := rows.Scan(&o.Seq, &id, &o.Names.TransferSyntax, &o.Names.SOPClass, &o.Names.SOPInstance, &o.Length, &o.Flags, &o.Calling, &o.Modality, &o.Device,
			&received, &archived, &o.Hold, &unrouted, &lost, &o.Series, &o.Own, &o.Problem, &o.Part, &o.Whole, &r.Destination, &r.State); err != nil {
			return err
		}
		if last == nil || last.Seq != o.Seq {
			if last != nil {
				if err := yield(last); err != nil {
					return err
				}
			}
			o.ID, o.Received, o.Unrouted, o.Lost, last = hub.ID(id), time.UnixMilli(received), unrouted == 1, lost == 1, o
			if archived != 0 {
				o.Archived = time.UnixMilli(archived)
			}
		}
		if r.Destination != "" {
			last.Destinations = append(last.Destinations, r)
		}
	}
	if last == nil || rows.Err() != nil {
		return rows.Err()
	}
	return yield(last)
}

// Said is what an appliance says of a study, and what the hub has from it.
type Said struct {
	Device, Facility string
	Revision         uint32 // 0: nothing
	Counts           int64
	Received         int64
}

// SaidOf lists the appliances of which an event has objects, or which spoke of its study.
func (l *Ledger) SaidOf(ctx context.Context, e Event) ([]Said, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT k.device, coalesce(v.facility, '') AS facility, coalesce(s.revision, 0) AS revision, coalesce(s.objects, 0) AS counts,
		(SELECT count(*) FROM objects o WHERE o.study = ?1 AND o.seq <= ?2 AND o.flags & 8 = 0 AND `+cameFrom("k.device")+`) AS received
		FROM (SELECT r.device FROM objects o JOIN receipts r ON r.id = o.id WHERE o.study = ?1 AND o.seq <= ?2 AND o.flags & 8 = 0
			UNION SELECT o.device FROM objects o WHERE o.study = ?1 AND o.seq <= ?2 AND o.flags & 8 = 0
			UNION SELECT t.device FROM studies_said t WHERE t.study = ?1) AS k
		LEFT JOIN studies_said s ON s.study = ?1 AND s.device = k.device LEFT JOIN devices v ON v.id = k.device ORDER BY k.device`, e.Study, e.Last)
	if err != nil {
		return nil, fmt.Errorf("appliances of an event: %w", err)
	}
	defer rows.Close()
	var out []Said
	for rows.Next() {
		var s Said
		if err := rows.Scan(&s.Device, &s.Facility, &s.Revision, &s.Counts, &s.Received); err != nil {
			return nil, fmt.Errorf("appliances of an event: %w", err)
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// UnbuiltEvents lists at most limit events, the oldest first, that were made so long ago
// and of which nothing is kept yet that sinks could be told. Sinks may be away for longer
// than the hub's copies stay.
func (l *Ledger) UnbuiltEvents(ctx context.Context, age time.Duration, limit int) ([]Event, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT e.seq, e.study, e.revision, e.at, e.last, e.objects FROM events e WHERE e.built = 0 AND e.at <= ? ORDER BY e.seq LIMIT ?`,
		l.millis()-age.Milliseconds(), limit)
	if err != nil {
		return nil, fmt.Errorf("events to be put together: %w", err)
	}
	defer rows.Close()
	var out []Event
	for rows.Next() {
		var e Event
		var at int64
		if err := rows.Scan(&e.Seq, &e.Study, &e.Revision, &at, &e.Last, &e.Objects); err != nil {
			return nil, fmt.Errorf("events to be put together: %w", err)
		}
		e.At = time.UnixMilli(at)
		out = append(out, e)
	}
	return out, rows.Err()
}

// EventBody is what sinks are told of an event, nil when it was not made yet.
func (l *Ledger) EventBody(ctx context.Context, e Event) (body []byte, err error) {
	err = l.read.QueryRowContext(ctx, `SELECT body FROM events WHERE seq = ?`, e.Seq).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("body of an event: %w", err)
	}
	return body, nil
}

// KeepEventBody keeps it, durable on return, and returns the one that counts: the
// first. So whoever is told twice, by whichever node, is told the same bytes.
func (l *Ledger) KeepEventBody(ctx context.Context, e Event, body []byte) (kept []byte, err error) {
	err = l.change(ctx, func(b *batch) error {
		if _, err := b.exec(`UPDATE events SET body = ?, built = 1 WHERE seq = ? AND built = 0`, body, e.Seq); err != nil {
			return err
		}
		return b.row(`SELECT body FROM events WHERE seq = ?`, e.Seq).Scan(&kept)
	})
	if err != nil {
		return nil, fmt.Errorf("keep the body of an event: %w", err)
	}
	return kept, nil
}

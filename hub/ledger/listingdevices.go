package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// DeviceRow is an appliance as lists show it.
type DeviceRow struct {
	ID, Facility string
	Approved     bool
	Enrolled     time.Time
	Seen         time.Time // the last time that was flushed; zero: never
	SeenBy       string    // the node that it was connected to then
	Waiting      int64     // objects here that no archive has confirmed
}

// DeviceFilter says which appliances a page shows.
type DeviceFilter struct {
	Search   string    // stands in the id or the facility, in capitals or not
	Facility string    // exactly this one; "" is any
	State    string    // approved | revoked; "" is any
	Quiet    time.Time // not seen since then; zero is any
}

const deviceColumns = `SELECT d.id, d.facility, CASE WHEN d.state = 'approved' THEN 1 ELSE 0 END AS approved, d.created_at,
	coalesce(s.at, 0) AS seen, coalesce(s.node, '') AS node,
	(SELECT count(*) FROM objects o WHERE o.archived_at IS NULL AND o.flags & 8 = 0 AND o.device = d.id) AS waiting
	FROM devices d LEFT JOIN seen s ON s.device = d.id `

// DevicePage returns at most limit appliances after that id, by id.
func (l *Ledger) DevicePage(ctx context.Context, f DeviceFilter, after string, limit int) ([]DeviceRow, error) {
	rows, err := l.lists.QueryContext(ctx, deviceColumns+`WHERE d.id > ?1
		AND (?2 = '' OR lower(d.id) LIKE ?3 ESCAPE '!' OR lower(d.facility) LIKE ?3 ESCAPE '!')
		AND (?4 = '' OR d.facility = ?4) AND (?5 = '' OR d.state = ?5) AND (CAST(?6 AS BIGINT) = 0 OR coalesce(s.at, 0) < ?6) ORDER BY d.id LIMIT ?7`,
		after, f.Search, contains(strings.ToLower(f.Search)), f.Facility, f.State, millisOf(f.Quiet), min(limit, maxPage))
	if err != nil {
		return nil, fmt.Errorf("appliances: %w", err)
	}
	defer rows.Close()
	var out []DeviceRow
	for rows.Next() {
		d, err := scanDeviceRow(rows)
		if err != nil {
			return nil, fmt.Errorf("appliances: %w", err)
		}
		out = append(out, d)
	}
	return out, rows.Err()
}

func scanDeviceRow(r interface{ Scan(...any) error }) (DeviceRow, error) {
	var d DeviceRow
	var approved int
	var created, seen int64
	err := r.Scan(&d.ID, &d.Facility, &approved, &created, &seen, &d.SeenBy, &d.Waiting)
	d.Approved, d.Enrolled, d.Seen = approved == 1, time.UnixMilli(created), timeOf(seen)
	return d, err
}

// ErrNotListed means that there is no such row.
var ErrNotListed = errors.New("there is none of this name")

// DeviceRow is one of them; ErrNotListed when there is none.
func (l *Ledger) DeviceRow(ctx context.Context, id string) (DeviceRow, error) {
	d, err := scanDeviceRow(l.lists.QueryRowContext(ctx, deviceColumns+`WHERE d.id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotListed
	}
	if err != nil {
		return d, fmt.Errorf("appliance: %w", err)
	}
	return d, nil
}

// seenChunk bounds the rows of one transaction, so that no receipt waits for long.
const seenChunk = 500

// Seen records when appliances were connected last, to this node. It is no change
// in anybody's name, and a power cut may lose a minute of it.
func (l *Ledger) Seen(ctx context.Context, node string, at map[string]time.Time) error {
	ids := make([]string, 0, len(at))
	for id := range at {
		ids = append(ids, id)
	}
	for len(ids) > 0 {
		n := min(len(ids), seenChunk)
		if err := l.change(ctx, func(b *batch) error { return b.seen(node, ids[:n], at) }); err != nil {
			return fmt.Errorf("last seen: %w", err)
		}
		ids = ids[n:]
	}
	return nil
}

func (b *batch) seen(node string, ids []string, at map[string]time.Time) error {
	for _, id := range ids {
		if _, err := b.exec(`INSERT INTO seen (device, at, node) VALUES (?1, ?2, ?3) ON CONFLICT (device) DO UPDATE SET at = ?2, node = ?3 WHERE seen.at < ?2`,
			id, at[id].UnixMilli(), node); err != nil {
			return err
		}
	}
	return nil
}

// Code is a claim code as lists show it: its secret is kept nowhere.
type Code struct {
	ID                                string // the first half of the hash of its secret
	Facility                          string
	Created, Expires, Used, Cancelled time.Time // zero: never
	Device                            string    // who has used it
}

// Codes are at most limit of them older than before, the latest first. The zero
// time is now. With open, those alone that can be used.
func (l *Ledger) Codes(ctx context.Context, open bool, before CodeMark, limit int) ([]Code, error) {
	if before.Created.IsZero() {
		before.Created = time.UnixMilli(1 << 62)
	}
	mark, err := hex.DecodeString(before.ID)
	if err != nil || len(mark) > codeIDBytes {
		return nil, fmt.Errorf("claim codes: %w", ErrNotListed)
	}
	now := int64(0)
	if open {
		now = l.millis()
	}
	rows, err := l.lists.QueryContext(ctx, `SELECT hash, facility, created_at, expires_at, coalesce(used_at, 0), coalesce(cancelled_at, 0), coalesce(device, '')
		FROM codes WHERE (created_at < ?1 OR created_at = ?1 AND hash > ?2) AND (CAST(?3 AS BIGINT) = 0 OR used_at IS NULL AND expires_at > ?3)
		ORDER BY created_at DESC, hash LIMIT ?4`, before.Created.UnixMilli(), above(mark), now, min(limit, maxPage))
	if err != nil {
		return nil, fmt.Errorf("claim codes: %w", err)
	}
	defer rows.Close()
	var out []Code
	for rows.Next() {
		var c Code
		var hash []byte
		var at [4]int64
		if err := rows.Scan(&hash, &c.Facility, &at[0], &at[1], &at[2], &at[3], &c.Device); err != nil {
			return nil, fmt.Errorf("claim codes: %w", err)
		}
		c.ID = hex.EncodeToString(hash[:codeIDBytes])
		c.Created, c.Expires, c.Used, c.Cancelled = timeOf(at[0]), timeOf(at[1]), timeOf(at[2]), timeOf(at[3])
		out = append(out, c)
	}
	return out, rows.Err()
}

// codeIDBytes of the hash name a code: enough to tell codes apart, and nothing of
// the secret, which has 80 bits of its own.
const codeIDBytes = 16

// CodeMark is where a page of codes ended.
type CodeMark struct {
	Created time.Time
	ID      string
}

// ErrCodeClosed means that there is nothing to cancel.
var ErrCodeClosed = errors.New("no code of this name is open: it was used or cancelled, it has expired, or there was none")

// CancelCode ends a code that nobody has used yet, in the name of who.
func (l *Ledger) CancelCode(ctx context.Context, id, who string) error {
	low, err := hex.DecodeString(id)
	if err != nil || len(low) != codeIDBytes {
		return fmt.Errorf("cancel code %s: %w", clip(id), ErrCodeClosed)
	}
	return l.change(ctx, func(b *batch) error {
		var facility string
		err := b.row(`UPDATE codes SET expires_at = ?1, cancelled_at = ?1 WHERE hash >= ?2 AND hash < ?3 AND used_at IS NULL AND expires_at > ?1 RETURNING facility`,
			b.now, low, above(low)).Scan(&facility)
		if errors.Is(err, sql.ErrNoRows) {
			err = ErrCodeClosed
		}
		if err != nil {
			return fmt.Errorf("cancel code %s: %w", id, err)
		}
		return b.audit(who, "code cancel", id, "facility "+facility)
	})
}

// above is more than every hash that begins so.
func above(prefix []byte) []byte {
	return append(slices.Clone(prefix), bytes.Repeat([]byte{0xff}, sha256.Size-len(prefix)+1)...)
}

package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The trail is a chain: each row carries the SHA-256 of the row before it and of
// its own fields, so that none can be changed, taken out or put in without every
// later one being wrong. Rows at the end can be cut off unseen, and who can write rows
// can write a whole other chain: whoever wants to know that too keeps the last hash
// somewhere else (an export ends with it) and gives it to VerifyAudit.
//
//	hash = SHA-256( "hubd audit 1" | hash before, 32 bytes | at, 8 bytes |
//	                actor | origin | action | subject | detail )   big endian; each
//	                text is its length in 8 bytes, then its bytes
//
// Rows written before there was a chain have no hash. The first row that has one
// begins it, after 32 zero bytes, and says how many came before and their digest. meta
// has that row's hash under audit_chain: a trail without its hashes is none from before.
const auditTag = "hubd audit 1"

// Entry is one row of the trail.
type Entry struct {
	Seq                                    int64
	At                                     time.Time
	Actor, Origin, Action, Subject, Detail string
	Hash                                   []byte // nil before the chain began
}

// Who names an actor and where it came from: what every method takes that changes
// rows in somebody's name.
func Who(actor, origin string) string {
	if origin == "" {
		return actor
	}
	return actor + fromWord + origin
}

const fromWord = " from "

// whoParts is the inverse of Who.
func whoParts(who string) (actor, origin string) {
	if i := strings.LastIndex(who, fromWord); i >= 0 {
		return who[:i], who[i+len(fromWord):]
	}
	return who, ""
}

// digest is what the row has to carry after one with the hash before.
func (e *Entry) digest(before []byte) []byte {
	h := sha256.New()
	h.Write([]byte(auditTag))
	h.Write(before)
	binary.Write(h, binary.BigEndian, e.At.UnixMilli())
	for _, s := range []string{e.Actor, e.Origin, e.Action, e.Subject, e.Detail} {
		binary.Write(h, binary.BigEndian, uint64(len(s)))
		h.Write([]byte(s))
	}
	return h.Sum(nil)
}

// maxDetail bounds what one row says, whoever words it.
const maxDetail = 1000

// audit appends to the trail, in the transaction of what it tells. One writes at a
// time, on whichever node, so the row before is the last one.
func (b *batch) audit(who, action, subject, detail string) error {
	actor, origin := whoParts(who)
	before, err := b.lastHash()
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	e := Entry{At: time.UnixMilli(b.now), Actor: clip(actor), Origin: clip(origin), Action: clip(action), Subject: clip(subject), Detail: clip(detail)}
	if err := b.append(e, before); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

func clip(s string) string {
	if len(s) > maxDetail {
		s = s[:maxDetail]
	}
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "")
}

func (b *batch) append(e Entry, before []byte) error {
	_, err := b.exec(`INSERT INTO audit (at, actor, origin, action, subject, detail, hash) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		e.At.UnixMilli(), e.Actor, e.Origin, e.Action, e.Subject, e.Detail, e.digest(before))
	return err
}

// lastHash begins the chain when there is none.
func (b *batch) lastHash() ([]byte, error) {
	var last []byte
	err := b.row(`SELECT hash FROM audit ORDER BY seq DESC LIMIT 1`).Scan(&last)
	if err != nil && !errors.Is(err, sql.ErrNoRows) || last != nil {
		return last, err
	}
	var c chain
	s, err := b.stmt(entryColumns + ` ORDER BY seq`)
	if err != nil {
		return nil, err
	}
	rows, err := s.Query()
	if err != nil {
		return nil, err
	}
	if err := eachEntry(rows, c.add); err != nil {
		return nil, err
	}
	first := Entry{At: time.UnixMilli(b.now), Actor: "hubd", Action: chainAction, Subject: "audit", Detail: c.beginning()}
	hash := first.digest(make([]byte, sha256.Size))
	// Where one began before it stays the one: VerifyAudit sees that this is another.
	if _, err := b.exec(`INSERT INTO meta (key, value) VALUES ('audit_chain', ?) ON CONFLICT (key) DO NOTHING`, hex.EncodeToString(hash)); err != nil {
		return nil, err
	}
	return hash, b.append(first, make([]byte, sha256.Size))
}

const chainAction = "chain begins"

// chain follows the trail from its beginning.
type chain struct {
	old    int64  // rows before it began
	oldSum []byte // over them, each like a row of the chain
	n      int64  // rows of it
	first  []byte
	last   []byte
}

func (c *chain) beginning() string {
	return fmt.Sprintf("%d rows before it, SHA-256 %s", c.old, hex.EncodeToString(c.oldSum))
}

// ErrChain is what a trail says that somebody has changed.
var ErrChain = errors.New("it is not the row that was written here: somebody has changed, taken out or put in rows")

// add checks one more row.
func (c *chain) add(e *Entry) error {
	switch {
	case c.n == 0 && e.Hash == nil:
		c.oldSum = e.digest(c.oldSum)
		c.old++
		return nil
	case c.n == 0:
		c.last = make([]byte, sha256.Size)
		if e.Action != chainAction || e.Detail != c.beginning() {
			return fmt.Errorf("row %d: %w", e.Seq, ErrChain)
		}
	}
	if !bytes.Equal(e.Hash, e.digest(c.last)) {
		return fmt.Errorf("row %d: %w", e.Seq, ErrChain)
	}
	if c.n == 0 {
		c.first = e.Hash
	}
	c.last, c.n = e.Hash, c.n+1
	return nil
}

const entryColumns = `SELECT seq, at, actor, origin, action, subject, detail, hash FROM audit`

// eachEntry closes rows.
func eachEntry(rows *sql.Rows, do func(*Entry) error) error {
	defer rows.Close()
	for rows.Next() {
		var e Entry
		var at int64
		if err := rows.Scan(&e.Seq, &at, &e.Actor, &e.Origin, &e.Action, &e.Subject, &e.Detail, &e.Hash); err != nil {
			return err
		}
		e.At = time.UnixMilli(at)
		if err := do(&e); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Verified is what VerifyAudit found.
type Verified struct {
	Rows int64  // of the chain
	Old  int64  // before it began; their digest is in its first row
	Last []byte // hash of the last row: keep it elsewhere, to see later that nothing was cut off
}

// ErrNotInChain is a hash that was kept elsewhere and that no row of the chain has:
// rows were cut off, or all of it was written anew.
var ErrNotInChain = errors.New("no row of the chain has the hash that was kept: rows were cut off, or the whole chain was written anew")

// VerifyAudit follows the whole chain. Each hash that was kept elsewhere must be of one
// of its rows.
func (l *Ledger) VerifyAudit(ctx context.Context, kept ...[]byte) (Verified, error) {
	var c chain
	var began string
	missing := slices.Clone(kept)
	err := l.reading(ctx, l.lists, func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(value), '') FROM meta WHERE key = 'audit_chain'`).Scan(&began); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, entryColumns+` ORDER BY seq`)
		if err != nil {
			return err
		}
		return eachEntry(rows, func(e *Entry) error {
			missing = slices.DeleteFunc(missing, func(hash []byte) bool { return bytes.Equal(hash, e.Hash) })
			return c.add(e)
		})
	})
	switch {
	case err != nil:
	case began != hex.EncodeToString(c.first):
		err = fmt.Errorf("it is not the chain that began here: %w", ErrChain)
	case len(missing) > 0:
		err = ErrNotInChain
	}
	if err != nil {
		return Verified{}, fmt.Errorf("audit trail: %w", err)
	}
	return Verified{c.n, c.old, c.last}, nil
}

// auditPiece is how many rows EachAudit keeps in memory.
const auditPiece = 500

// EachAudit calls do with every row that there is now, the oldest first. Rows are only ever
// appended, so it needs no snapshot: it reads some, and holds no connection while do, which
// may wait for a slow line, has them.
func (l *Ledger) EachAudit(ctx context.Context, do func(*Entry) error) error {
	var last, after int64
	if err := l.lists.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM audit`).Scan(&last); err != nil {
		return fmt.Errorf("audit trail: %w", err)
	}
	for after < last {
		piece, err := l.auditAfter(ctx, after, last)
		if err != nil {
			return fmt.Errorf("audit trail: %w", err)
		}
		if len(piece) == 0 {
			return nil
		}
		for i := range piece {
			if err := do(&piece[i]); err != nil {
				return err
			}
		}
		after = piece[len(piece)-1].Seq
	}
	return nil
}

func (l *Ledger) auditAfter(ctx context.Context, after, last int64) (piece []Entry, err error) {
	rows, err := l.lists.QueryContext(ctx, entryColumns+` WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?`, after, last, auditPiece)
	if err != nil {
		return nil, err
	}
	err = eachEntry(rows, func(e *Entry) error {
		piece = append(piece, *e)
		return nil
	})
	return piece, err
}

// Audit appends a row about what changed nothing here: a log-in that failed, a
// change that was refused. The caller bounds how often.
func (l *Ledger) Audit(ctx context.Context, who, action, subject, detail string) error {
	return l.change(ctx, func(b *batch) error { return b.audit(who, action, subject, detail) })
}

// AuditFilter says which rows a page shows: those that contain each text.
type AuditFilter struct{ Actor, Action, Subject string }

// auditLook bounds the rows that a filtered page looks at.
const auditLook = 20_000

// AuditPage returns at most limit rows older than before, the latest first, and from
// where the next page goes on; next 0 is the end. before 0 is the end of the trail. A
// page of a filter may be short, even empty, and have a next.
func (l *Ledger) AuditPage(ctx context.Context, f AuditFilter, before int64, limit int) (out []Entry, next int64, err error) {
	limit = min(limit, maxPage)
	if before <= 0 {
		if err := l.lists.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) + 1 FROM audit`).Scan(&before); err != nil {
			return nil, 0, fmt.Errorf("audit trail: %w", err)
		}
	}
	least := int64(0)
	if f != (AuditFilter{}) {
		least = max(0, before-auditLook)
	}
	rows, err := l.lists.QueryContext(ctx, entryColumns+` WHERE seq < ?1 AND seq >= ?9 AND (?2 = '' OR actor LIKE ?3 ESCAPE '!') AND (?4 = '' OR action LIKE ?5 ESCAPE '!')
		AND (?6 = '' OR subject LIKE ?7 ESCAPE '!') ORDER BY seq DESC LIMIT ?8`,
		before, f.Actor, contains(f.Actor), f.Action, contains(f.Action), f.Subject, contains(f.Subject), limit+1, least)
	if err != nil {
		return nil, 0, fmt.Errorf("audit trail: %w", err)
	}
	err = eachEntry(rows, func(e *Entry) error {
		out = append(out, *e)
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("audit trail: %w", err)
	}
	if len(out) > limit {
		return out[:limit], out[limit-1].Seq, nil
	}
	return out, least, nil
}

// contains is the pattern of LIKE ... ESCAPE '!' for a text that stands anywhere.
func contains(s string) string {
	return "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(s) + "%"
}

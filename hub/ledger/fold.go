package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"edged/hub"
)

// Fold is the receipts of a study, or of a part of it, that go into one file.
type Fold struct {
	Study   string
	Part    int    // from 1; a study that gets objects later gets another one. No number comes again
	Before  []byte // SHA-256 of the file of the part before; nil for the first
	Objects []FoldedObject

	before      int64 // receipts are older
	configured  names // destinations
	required    names // of them
	first, last int64 // objects, by seq
	receipts    int64
}

// FoldedObject is an archived object and everybody who was promised it.
type FoldedObject struct {
	ID                 hub.ID
	SOPClass           string
	SOPInstance        string
	Length             int64
	Received, Archived time.Time
	Destinations       []string // that have it
	Receipts           []FoldedReceipt

	seq int64
}

// FoldedReceipt is what one appliance was told, and when.
type FoldedReceipt struct {
	Device, Facility string
	At               time.Time
}

// ErrFoldChanged means that since FoldOf rows have come or another node was faster.
var ErrFoldChanged = errors.New("the receipts of the study have changed meanwhile")

// maxFolded bounds the objects of one file; a larger study gets several.
const maxFolded = 5000

// foldable selects the objects o of a study whose receipts may go into a file: they
// are archived for so long and no destination that is configured waits for them. Its names
// begin with a number.
func (f *Fold) foldable(first int) string {
	return `o.study = ?1 AND o.folded <> 1 AND o.archived_at IS NOT NULL AND o.archived_at <= ?2
	AND NOT EXISTS (SELECT 1 FROM jobs w WHERE w.object = o.seq AND w.state IN ('pending', 'leased', 'stored', 'held', 'unconfirmed') AND w.destination IN (` + f.configured.from(first) + `))`
}

// allNames are those of all destinations that are configured.
func (c *Config) allNames() (n names) {
	for _, d := range c.Destinations {
		n.args = append(n.args, d.Name)
	}
	return n
}

// from are numbered marks for them.
func (n names) from(first int) string {
	marks := "''"
	for i := range n.args {
		marks += fmt.Sprintf(", ?%d", first+i)
	}
	return marks
}

// FoldCursor is where a walk over what may be folded stands.
type FoldCursor struct{ at, seq int64 }

// Foldable returns studies with at least one object that has been archived since
// before a time, walking on from a cursor; the zero cursor begins. When it returns none
// the walk is over. A study may be named twice.
func (l *Ledger) Foldable(ctx context.Context, before time.Time, from FoldCursor, limit int) (studies []string, next FoldCursor, err error) {
	rows, err := l.read.QueryContext(ctx, `SELECT o.study, o.archived_at, o.seq FROM objects o
		WHERE o.archived_at IS NOT NULL AND o.folded <> 1 AND o.archived_at <= ?1 AND o.archived_at >= ?2
		AND (o.archived_at > ?2 OR o.seq > ?3) ORDER BY o.archived_at, o.seq LIMIT ?4`, before.UnixMilli(), from.at, from.seq, limit)
	if err != nil {
		return nil, from, fmt.Errorf("foldable studies: %w", err)
	}
	defer rows.Close()
	seen := map[string]bool{}
	for next = from; rows.Next(); {
		var study string
		if err := rows.Scan(&study, &next.at, &next.seq); err != nil {
			return nil, from, fmt.Errorf("foldable studies: %w", err)
		}
		if !seen[study] {
			seen[study] = true
			studies = append(studies, study)
		}
	}
	return studies, next, rows.Err()
}

// FoldOf reads what of a study can be folded now, nil when nothing can: something of
// it is on its way, or a receipt is younger than before. What came before that and is
// held, refused for good, or for no archive, hinders only its own receipts: a person may
// never decide. When it is archived after all it gets a part of its own. Objects of which
// nobody could read the study are folded one by one, so to say: for them only their own
// age counts.
func (l *Ledger) FoldOf(ctx context.Context, study string, before time.Time) (f *Fold, err error) {
	err = l.Reading(ctx, func(tx *sql.Tx) error {
		f = &Fold{Study: study, before: before.UnixMilli(), configured: l.config.allNames(), required: l.config.namesOf(true)}
		if there, failed := f.read(ctx, tx); !there || failed != nil {
			f, err = nil, failed
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("fold receipts: %w", err)
	}
	return f, nil
}

// read reports whether there is something to fold.
func (f *Fold) read(ctx context.Context, tx *sql.Tx) (bool, error) {
	if f.Study != "" {
		if moves, err := f.moves(ctx, tx); err != nil || moves {
			return false, err
		}
	}
	err := tx.QueryRowContext(ctx, `SELECT part, digest FROM folded WHERE study = ? ORDER BY part DESC LIMIT 1`, f.Study).Scan(&f.Part, &f.Before)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	f.Part++
	if err := f.objects(ctx, tx); err != nil || len(f.Objects) == 0 {
		return false, err
	}
	f.first, f.last = f.Objects[0].seq, f.Objects[len(f.Objects)-1].seq
	bySeq := make(map[int64]*FoldedObject, len(f.Objects))
	for i := range f.Objects {
		bySeq[f.Objects[i].seq] = &f.Objects[i]
	}
	if err := f.readReceipts(ctx, tx, bySeq); err != nil || f.receipts == 0 {
		return false, err
	}
	return true, f.destinations(ctx, tx, bySeq)
}

// moves is true while something of the study may still come about by itself: an object
// that is not archived and either young or stuck nowhere, a young receipt, or a
// destination that waits for an archived one.
func (f *Fold) moves(ctx context.Context, tx *sql.Tx) (moves bool, err error) {
	required, all := f.required.from(4), f.configured.from(4+len(f.required.args))
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM objects o WHERE o.study = ?1 AND o.archived_at IS NULL AND o.flags & ?3 = 0 AND (o.received_at > ?2
				OR o.unrouted = 0 AND NOT EXISTS (SELECT 1 FROM jobs s WHERE s.object = o.seq AND s.state IN ('held', 'permanent', 'unconfirmed') AND s.destination IN (`+required+`))))
			OR EXISTS (SELECT 1 FROM objects o JOIN receipts r ON r.id = o.id WHERE o.study = ?1 AND r.folded = 0 AND r.at > ?2)
			OR EXISTS (SELECT 1 FROM objects o JOIN jobs w ON w.object = o.seq WHERE o.study = ?1 AND o.archived_at IS NOT NULL
				AND w.state IN ('pending', 'leased', 'stored') AND w.destination IN (`+all+`)) AS moves`,
		slices.Concat([]any{f.Study, f.before, hub.FlagTest}, f.required.args, f.configured.args)...).Scan(&moves)
	return moves, err
}

func (f *Fold) objects(ctx context.Context, tx *sql.Tx) error {
	rows, err := tx.QueryContext(ctx, `SELECT o.seq, o.id, o.sop_class, o.sop_instance, o.length, o.received_at, o.archived_at FROM objects o
		WHERE `+f.foldable(4)+` ORDER BY o.seq LIMIT ?3`, append([]any{f.Study, f.before, maxFolded}, f.configured.args...)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var o FoldedObject
		var id []byte
		var received, archived int64
		if err := rows.Scan(&o.seq, &id, &o.SOPClass, &o.SOPInstance, &o.Length, &received, &archived); err != nil {
			return err
		}
		o.ID, o.Received, o.Archived = hub.ID(id), time.UnixMilli(received).UTC(), time.UnixMilli(archived).UTC()
		f.Objects = append(f.Objects, o)
	}
	return rows.Err()
}

// ofFold selects receipts r of the objects of a fold.
func (f *Fold) ofFold() string {
	return `r.folded = 0 AND r.at <= ?2 AND r.id IN (SELECT o.id FROM objects o WHERE ` + f.foldable(5) + ` AND o.seq >= ?3 AND o.seq <= ?4)`
}

func (f *Fold) args() []any {
	return append([]any{f.Study, f.before, f.first, f.last}, f.configured.args...)
}

func (f *Fold) readReceipts(ctx context.Context, tx *sql.Tx, bySeq map[int64]*FoldedObject) error {
	rows, err := tx.QueryContext(ctx, `SELECT p.seq, r.device, coalesce(d.facility, ''), r.at FROM receipts r JOIN objects p ON p.id = r.id
		LEFT JOIN devices d ON d.id = r.device WHERE `+f.ofFold()+` ORDER BY p.seq, r.at, r.device`, f.args()...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var r FoldedReceipt
		var seq, at int64
		if err := rows.Scan(&seq, &r.Device, &r.Facility, &at); err != nil {
			return err
		}
		r.At = time.UnixMilli(at).UTC()
		if o := bySeq[seq]; o != nil {
			o.Receipts = append(o.Receipts, r)
			f.receipts++
		}
	}
	return rows.Err()
}

func (f *Fold) destinations(ctx context.Context, tx *sql.Tx, bySeq map[int64]*FoldedObject) error {
	rows, err := tx.QueryContext(ctx, `SELECT j.object, j.destination FROM jobs j JOIN objects o ON o.seq = j.object
		WHERE o.study = ? AND o.seq >= ? AND o.seq <= ? AND j.state = 'done' ORDER BY j.object, j.destination`, f.Study, f.first, f.last)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var seq int64
		var name string
		if err := rows.Scan(&seq, &name); err != nil {
			return err
		}
		if o := bySeq[seq]; o != nil {
			o.Destinations = append(o.Destinations, name)
		}
	}
	return rows.Err()
}

// Folded records that the receipts of f are in a durable file of this name and
// digest, and only then lets them go, in one transaction. Who is told ErrFoldChanged
// has made the file for nothing: nothing else has changed, read it anew.
func (l *Ledger) Folded(ctx context.Context, f *Fold, name string, digest [32]byte) error {
	err := l.change(ctx, func(b *batch) error { return b.fold(f, name, digest) })
	if err != nil {
		return fmt.Errorf("fold receipts: %w", err)
	}
	return nil
}

func (b *batch) fold(f *Fold, name string, digest [32]byte) error {
	var part, receipts int64
	if err := b.row(`SELECT coalesce(max(part), 0) + 1 FROM folded WHERE study = ?`, f.Study).Scan(&part); err != nil {
		return err
	}
	if err := b.row(`SELECT count(*) FROM receipts r WHERE `+f.ofFold(), f.args()...).Scan(&receipts); err != nil {
		return err
	}
	if part != int64(f.Part) || receipts != f.receipts {
		return ErrFoldChanged // rows only come: as many are the same
	}
	if _, err := b.exec(`INSERT INTO folded (study, part, name, digest, objects, receipts, at) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		f.Study, f.Part, name, digest[:], len(f.Objects), receipts, b.now); err != nil {
		return err
	}
	if _, err := b.exec(`DELETE FROM folded WHERE study = ? AND part < ? AND name = ''`, f.Study, f.Part); err != nil {
		return err // its number and digest are in this part
	}
	if _, err := b.exec(`UPDATE receipts AS r SET folded = 1 WHERE `+f.ofFold(), f.args()...); err != nil {
		return err
	}
	// What its row of objects says too.
	if _, err := b.exec(`DELETE FROM receipts AS r WHERE r.folded = 1 AND r.device = (SELECT p.device FROM objects p WHERE p.id = r.id)
		AND r.id IN (SELECT o.id FROM objects o WHERE o.study = ?1 AND o.archived_at <= ?2 AND o.seq >= ?3 AND o.seq <= ?4)`, f.Study, f.before, f.first, f.last); err != nil {
		return err
	}
	_, err := b.exec(`UPDATE objects AS o SET folded = CASE WHEN EXISTS (SELECT 1 FROM receipts r WHERE r.id = o.id AND r.folded = 0) THEN 2 ELSE 1 END
		WHERE `+f.foldable(5)+` AND o.seq >= ?3 AND o.seq <= ?4`, f.args()...)
	return err
}

// FoldedFile is the row of one.
type FoldedFile struct {
	Study             string
	Part              int
	Name              string
	Digest            [32]byte
	Objects, Receipts int64
	At                time.Time
}

// FoldedOf are the files of a study, by part.
func (l *Ledger) FoldedOf(ctx context.Context, study string) ([]FoldedFile, error) {
	return l.foldedFiles(ctx, `WHERE study = ? AND name <> '' ORDER BY part`, study)
}

// FoldedBefore are at most limit files of before a time.
func (l *Ledger) FoldedBefore(ctx context.Context, before time.Time, limit int) ([]FoldedFile, error) {
	return l.foldedFiles(ctx, `WHERE at < ? AND name <> '' ORDER BY at LIMIT ?`, before.UnixMilli(), limit)
}

func (l *Ledger) foldedFiles(ctx context.Context, where string, args ...any) (out []FoldedFile, err error) {
	rows, err := l.read.QueryContext(ctx, `SELECT study, part, name, digest, objects, receipts, at FROM folded `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("folded receipts: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var f FoldedFile
		var digest []byte
		var at int64
		if err := rows.Scan(&f.Study, &f.Part, &f.Name, &digest, &f.Objects, &f.Receipts, &at); err != nil {
			return nil, fmt.Errorf("folded receipts: %w", err)
		}
		if len(digest) != len(f.Digest) {
			return nil, fmt.Errorf("folded receipts: a digest of %d bytes", len(digest))
		}
		f.Digest, f.At = [32]byte(digest), time.UnixMilli(at).UTC()
		out = append(out, f)
	}
	return out, rows.Err()
}

// FoldExpired records that files are gone for good; they went before. Of the last part
// of a study number and digest stay, for the part that may come after it.
func (l *Ledger) FoldExpired(ctx context.Context, files []FoldedFile, actor string) error {
	return l.change(ctx, func(b *batch) error {
		for _, f := range files {
			for _, query := range []string{
				`UPDATE folded SET name = '' WHERE study = ?1 AND part = ?2`,
				`DELETE FROM folded WHERE study = ?1 AND part = ?2 AND part < (SELECT max(g.part) FROM folded g WHERE g.study = ?1)`,
			} {
				if _, err := b.exec(query, f.Study, f.Part); err != nil {
					return fmt.Errorf("expired receipts: %w", err)
				}
			}
		}
		return b.audit(actor, "receipts expired", "receipts", fmt.Sprintf("%d files", len(files)))
	})
}

package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"edged/hub"
)

// findingWords are told of an object that a data finding holds, where the appliance
// has said nothing better.
const findingWords = "held: the appliance has reported a data finding; released by an administrator of the hub, or from the appliance"

// Bits of objects.hold.
const (
	holdConflict = 1 // P5
	holdFinding  = 2
)

const (
	// maxEarlyFindings is how many one device may have about objects that it has not
	// sent: an ID costs nothing to invent.
	maxEarlyFindings = 100_000
	// maxFindingWords bounds what is kept of the words, in bytes.
	maxFindingWords = 500
)

// ErrFindings means that a device has reported on too many objects that it has not sent.
var ErrFindings = errors.New("too many findings about objects that were not sent")

// Findings records what a device noticed in objects, before or after it sent them,
// durable on return. With hub.FlagHold their jobs wait until they are released: those
// that are not delivered yet, and those of an object that comes later. A device speaks
// about what it sends itself; repeating a finding changes nothing, also after a release.
//
// One transaction has a chunk of them, so that receipts of others do not wait for all.
func (l *Ledger) Findings(ctx context.Context, device string, list []hub.Finding) error {
	if err := l.fewEarly(ctx, device, len(list)); err != nil {
		return fmt.Errorf("record findings: %w", err)
	}
	for chunk := range slices.Chunk(list, maxMarks) {
		err := l.submit(ctx, &change{weight: len(chunk), do: func(b *batch) error { return b.findings(device, chunk) }})
		if err != nil {
			return fmt.Errorf("record findings: %w", err)
		}
	}
	return nil
}

// fewEarly refuses a device that reports on too many objects that it has not sent. Its
// connections are asked one by one, so there may be some frames more.
func (l *Ledger) fewEarly(ctx context.Context, device string, more int) error {
	var early int
	err := l.read.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 AS one FROM findings WHERE device = ? AND received = 0 LIMIT ?) AS early`, device, maxEarlyFindings).Scan(&early)
	if err == nil && early+more > maxEarlyFindings {
		err = fmt.Errorf("device %s: %w", device, ErrFindings)
	}
	return err
}

// findings keeps some and lets those hold whose objects the device has sent.
func (b *batch) findings(device string, list []hub.Finding) error {
	list = oncePerObject(list)
	if err := b.keepFindings(device, list); err != nil {
		return err
	}
	ids := make([]any, len(list))
	for i := range list {
		ids[i] = list[i].ID[:]
	}
	var sent []numbered
	err := b.each(fmt.Sprintf(`SELECT f.device, o.seq, o.id FROM receipts r JOIN objects o ON o.id = r.id JOIN findings f ON f.id = r.id AND f.device = r.device
		WHERE (f.received = 0 OR f.released = 0 AND f.flags & %d <> 0 AND (o.hold & %d = 0 OR EXISTS (SELECT 1 FROM jobs j WHERE j.object = o.seq AND j.state IN ('pending', 'leased'))))
		AND f.id IN `, hub.FlagHold, holdFinding), ids, func(scan func(...any) error) error {
		var from string
		var id []byte
		var n numbered
		if err := scan(&from, &n.seq, &id); err != nil || from != device {
			return err
		}
		n.id = hub.ID(id)
		sent = append(sent, n)
		return nil
	})
	for _, o := range sent {
		if err == nil {
			err = b.holdFound(device, o.id, o.seq)
		}
	}
	return err
}

// oncePerObject does to a list what one after the other would do to a row.
func oncePerObject(list []hub.Finding) (out []hub.Finding) {
	at := map[hub.ID]int{}
	for _, f := range list {
		i, ok := at[f.ID]
		if !ok {
			at[f.ID] = len(out)
			out = append(out, f)
			continue
		}
		out[i].Flags |= f.Flags
		out[i].Words = cmp.Or(f.Words, out[i].Words)
	}
	return out
}

// keepFindings has one row for each.
func (b *batch) keepFindings(device string, list []hub.Finding) error {
	var values []any
	for _, f := range list {
		text := strings.ToValidUTF8(strings.ReplaceAll(f.Words, "\x00", "?"), "?")
		if len(text) > maxFindingWords {
			text = strings.ToValidUTF8(text[:maxFindingWords], "")
		}
		values = append(values, device, f.ID[:], f.Flags, text, b.now)
	}
	_, err := b.insertRows(`INSERT INTO findings (device, id, flags, words, at) VALUES`, `
		ON CONFLICT (device, id) DO UPDATE SET flags = findings.flags | excluded.flags, words = CASE WHEN excluded.words = '' THEN findings.words ELSE excluded.words END`,
		5, values)
	return err
}

// holdFound lets a finding hold an object that its device has sent.
func (b *batch) holdFound(device string, id hub.ID, seq int64) error {
	if _, err := b.exec(`UPDATE findings SET received = 1 WHERE device = ? AND id = ? AND received = 0`, device, id[:]); err != nil {
		return err
	}
	text, err := b.findingHolds(device, id)
	if err != nil || text == "" {
		return err
	}
	if _, err := b.exec(`UPDATE objects SET hold = hold | ? WHERE seq = ?`, holdFinding, seq); err != nil {
		return err
	}
	// Who has leased one loses the lease. What it delivers all the same is a fact.
	n, err := b.exec(`UPDATE jobs SET state = 'held', words = ? WHERE object = ? AND state IN ('pending', 'leased')`, text, seq)
	if err != nil || n == 0 {
		return err
	}
	return b.tell(id, "", false, text)
}

// findingHolds is why a finding of this device holds an object, "" when none does.
func (b *batch) findingHolds(device string, id hub.ID) (text string, err error) {
	err = b.row(`SELECT coalesce((SELECT CASE WHEN words = '' THEN ? ELSE 'held: ' || words END FROM findings
		WHERE device = ? AND id = ? AND released = 0 AND flags & ? <> 0), '') AS words`, findingWords, device, id[:], hub.FlagHold).Scan(&text)
	return text, err
}

// ReleaseFrom lets go what findings of this device hold, in its name: of ids those
// that it has sent and that neither P5 nor a finding of another device holds. It
// returns how many objects were let go; the others are passed over.
func (l *Ledger) ReleaseFrom(ctx context.Context, device string, ids []hub.ID, reason string) (released int, err error) {
	ids, err = l.held(ctx, device, ids)
	for chunk := range slices.Chunk(ids, releasePage) {
		if err == nil {
			var n int
			n, err = l.releaseSome(ctx, device, chunk, oneLine(reason))
			released += n
		}
	}
	if err != nil {
		return released, fmt.Errorf("release from device %s: %w", device, err)
	}
	return released, nil
}

// releasePage is how many are released in one transaction: each is some statements.
const releasePage = 64

// held are those of ids that findings of this device hold. It is asked before, so that
// what there is nothing to do for costs nobody anything.
func (l *Ledger) held(ctx context.Context, device string, ids []hub.ID) (out []hub.ID, err error) {
	for chunk := range slices.Chunk(ids, maxMarks) {
		args := []any{device, hub.FlagHold}
		for i := range chunk {
			args = append(args, chunk[i][:])
		}
		rows, err := l.read.QueryContext(ctx, `SELECT id FROM findings WHERE device = ? AND released = 0 AND flags & ? <> 0 AND id IN `+marks(&args, 2), args...)
		if err != nil {
			return nil, err
		}
		raw, err := collect[[]byte](rows)
		if err != nil {
			return nil, err
		}
		for _, id := range raw {
			out = append(out, hub.ID(id))
		}
	}
	return out, nil
}

func (l *Ledger) releaseSome(ctx context.Context, device string, ids []hub.ID, reason string) (released int, err error) {
	err = l.submit(ctx, &change{weight: 8 * len(ids), do: func(b *batch) error {
		released = 0
		for _, id := range ids {
			done, err := b.releaseFrom(device, id, reason)
			if err != nil {
				return err
			}
			if done {
				released++
			}
		}
		return nil
	}})
	return released, err
}

func (b *batch) releaseFrom(device string, id hub.ID, reason string) (bool, error) {
	n, err := b.exec(`UPDATE findings SET released = ? WHERE device = ? AND id = ? AND released = 0 AND flags & ? <> 0`, b.now, device, id[:], hub.FlagHold)
	if err != nil || n == 0 {
		return false, err
	}
	if err := b.audit(device, "release finding", id.String(), reason); err != nil {
		return false, err
	}
	n, err = b.exec(`UPDATE objects SET hold = hold & ? WHERE id = ? AND hold & ? <> 0
		AND NOT EXISTS (SELECT 1 FROM findings f WHERE f.id = objects.id AND f.received = 1 AND f.released = 0 AND f.flags & ? <> 0)`,
		holdConflict, id[:], holdFinding, hub.FlagHold)
	if err != nil || n == 0 {
		return false, err
	}
	var held bool
	if err := b.row(`SELECT EXISTS (SELECT 1 FROM objects WHERE id = ? AND hold <> 0) AS held`, id[:]).Scan(&held); err != nil {
		return false, err
	}
	if held { // P5 holds it on, and its words are the ones that count now
		_, err := b.exec(`UPDATE jobs SET words = ? WHERE state = 'held' AND object = (SELECT o.seq FROM objects o WHERE o.id = ?)`, heldWords, id[:])
		return false, err
	}
	return true, b.letGo(id)
}

// letGo ends the hold of jobs, and whoever was not told yet need not be.
func (b *batch) letGo(id hub.ID) error {
	n, err := b.exec(`UPDATE jobs SET state = 'pending', next_at = 0, words = '' WHERE state = 'held' AND object = (SELECT o.seq FROM objects o WHERE o.id = ?)`, id[:])
	if err != nil {
		return err
	}
	b.jobsGrew = b.jobsGrew || n > 0
	return b.untell(id)
}

// untell takes back what nobody has heard yet about a hold.
func (b *batch) untell(id hub.ID) error {
	_, err := b.exec(`DELETE FROM troubles WHERE id = ? AND destination = '' AND permanent = 0`, id[:])
	return err
}

// HeldByConflict reports whether P5 holds an object: what who releases it must know.
func (l *Ledger) HeldByConflict(ctx context.Context, id hub.ID) (held bool, err error) {
	err = l.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM objects WHERE id = ? AND hold & ? <> 0) AS held`, id[:], holdConflict).Scan(&held)
	if err != nil {
		return false, fmt.Errorf("hold of %s: %w", id, err)
	}
	return held, nil
}

// endHold is a release of all that holds an object, by an administrator.
func (b *batch) endHold(id hub.ID) error {
	if _, err := b.exec(`UPDATE objects SET hold = 0 WHERE id = ? AND hold <> 0`, id[:]); err != nil {
		return err
	}
	if _, err := b.exec(`UPDATE findings SET released = ? WHERE id = ? AND released = 0 AND received = 1`, b.now, id[:]); err != nil {
		return err
	}
	return b.untell(id)
}

// oneLine keeps a peer's reason printable and short.
func oneLine(s string) string { return oneLineOf(s, maxFindingWords) }

func oneLineOf(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	return strings.ToValidUTF8(s[:min(len(s), most)], "")
}

// words is a number of things, for the audit trail.
func words(n int64, what string) string { return fmt.Sprintf("%d %s", n, what) }

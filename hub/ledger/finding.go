package ledger

import (
	"context"
	"errors"
	"fmt"
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
func (l *Ledger) Findings(ctx context.Context, device string, list []hub.Finding) error {
	err := l.change(ctx, func(b *batch) error {
		for _, f := range list {
			if err := b.finding(device, f); err != nil {
				return err
			}
		}
		var early int64
		if err := b.row(`SELECT count(*) FROM findings WHERE device = ? AND received = 0`, device).Scan(&early); err != nil {
			return err
		}
		if early > maxEarlyFindings {
			return fmt.Errorf("device %s: %w", device, ErrFindings)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("record findings: %w", err)
	}
	return nil
}

// finding keeps one and, if the device has sent the object, lets it hold.
func (b *batch) finding(device string, f hub.Finding) error {
	if err := b.keepFinding(device, f); err != nil {
		return err
	}
	var seq int64
	err := b.row(`SELECT coalesce((SELECT o.seq FROM receipts r JOIN objects o ON o.id = r.id WHERE r.device = ? AND r.id = ?), 0) AS seq`, device, f.ID[:]).Scan(&seq)
	if err != nil || seq == 0 {
		return err
	}
	return b.holdFound(device, f.ID, seq)
}

func (b *batch) keepFinding(device string, f hub.Finding) error {
	text := strings.ToValidUTF8(strings.ReplaceAll(f.Words, "\x00", "?"), "?")
	if len(text) > maxFindingWords {
		text = strings.ToValidUTF8(text[:maxFindingWords], "")
	}
	_, err := b.exec(`INSERT INTO findings (device, id, flags, words, at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (device, id) DO UPDATE SET flags = findings.flags | excluded.flags, words = CASE WHEN excluded.words = '' THEN findings.words ELSE excluded.words END`,
		device, f.ID[:], f.Flags, text, b.now)
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
	err = l.change(ctx, func(b *batch) error {
		released = 0
		for _, id := range ids {
			done, err := b.releaseFrom(device, id, oneLine(reason))
			if err != nil {
				return err
			}
			if done {
				released++
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("release from device %s: %w", device, err)
	}
	return released, nil
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
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	return strings.ToValidUTF8(s[:min(len(s), maxFindingWords)], "")
}

// words is a number of things, for the audit trail.
func words(n int64, what string) string { return fmt.Sprintf("%d %s", n, what) }

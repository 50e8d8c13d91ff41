package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"edged/hub"
	"edged/hub/receive"
)

var _ receive.Ledger = (*Ledger)(nil)

// maxPage bounds what one call returns, whatever is asked for.
const maxPage = 10_000

// Confirmations returns what this device has not acknowledged, in order.
func (l *Ledger) Confirmations(ctx context.Context, device string, after uint64, limit int) ([]receive.Confirmation, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT seq, id, length, at FROM confirmations WHERE device = ? AND seq > ? ORDER BY seq LIMIT ?`,
		device, int64(after), min(limit, maxPage))
	if err != nil {
		return nil, fmt.Errorf("confirmations: %w", err)
	}
	defer rows.Close()
	var out []receive.Confirmation
	for rows.Next() {
		var c receive.Confirmation
		var id []byte
		var at int64
		if err := rows.Scan(&c.Seq, &id, &c.Length, &at); err != nil {
			return nil, fmt.Errorf("confirmations: %w", err)
		}
		c.ID, c.At = hub.ID(id), time.UnixMilli(at)
		out = append(out, c)
	}
	return out, rows.Err()
}

// Troubles does the same for what destinations refused and what is held.
func (l *Ledger) Troubles(ctx context.Context, device string, after uint64, limit int) ([]receive.Trouble, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT seq, id, destination, permanent, words, lost FROM troubles WHERE device = ? AND seq > ? ORDER BY seq LIMIT ?`,
		device, int64(after), min(limit, maxPage))
	if err != nil {
		return nil, fmt.Errorf("troubles: %w", err)
	}
	defer rows.Close()
	var out []receive.Trouble
	for rows.Next() {
		var t receive.Trouble
		var id []byte
		if err := rows.Scan(&t.Seq, &id, &t.Destination, &t.Permanent, &t.Words, &t.Lost); err != nil {
			return nil, fmt.Errorf("troubles: %w", err)
		}
		t.ID = hub.ID(id)
		out = append(out, t)
	}
	return out, rows.Err()
}

// AcknowledgeConfirmations takes entries of this device out of its outbox.
func (l *Ledger) AcknowledgeConfirmations(ctx context.Context, device string, seqs []uint64) error {
	return l.acknowledge(ctx, `DELETE FROM confirmations WHERE device = ? AND seq IN `, device, seqs)
}

// AcknowledgeTroubles takes entries of this device out of its outbox.
func (l *Ledger) AcknowledgeTroubles(ctx context.Context, device string, seqs []uint64) error {
	return l.acknowledge(ctx, `DELETE FROM troubles WHERE device = ? AND seq IN `, device, seqs)
}

func (l *Ledger) acknowledge(ctx context.Context, query, device string, seqs []uint64) error {
	return l.change(ctx, func(b *batch) error {
		for chunk := range slices.Chunk(seqs, maxMarks) {
			args := []any{device}
			for _, seq := range chunk {
				args = append(args, int64(seq))
			}
			if _, err := b.exec(query+marks(&args, 1), args...); err != nil {
				return fmt.Errorf("acknowledge: %w", err)
			}
		}
		return nil
	})
}

// confirmAgain puts the confirmation of an archived object into the outbox of a
// device that has a receipt; it does nothing for what is not archived.
func (b *batch) confirmAgain(device string, id hub.ID) error {
	n, err := b.exec(`INSERT INTO confirmations (device, id, length, at)
		SELECT ?1, o.id, o.length, o.archived_at FROM objects o WHERE o.id = ?2 AND o.archived_at IS NOT NULL
		AND (o.folded > 0 AND o.device = ?1 OR EXISTS (SELECT 1 FROM receipts r WHERE r.device = ?1 AND r.id = o.id)) ON CONFLICT DO NOTHING`, device, id[:])
	if n > 0 {
		b.awake[device] = struct{}{}
	}
	return err
}

// trouble puts one into a device's outbox; a newer one about the same object
// and destination replaces it under a new number.
func (b *batch) trouble(device string, id hub.ID, destination string, permanent bool, words string) error {
	if _, err := b.exec(`DELETE FROM troubles WHERE device = ? AND id = ? AND destination = ?`, device, id[:], destination); err != nil {
		return err
	}
	_, err := b.exec(`INSERT INTO troubles (device, id, destination, permanent, words) VALUES (?, ?, ?, ?, ?)`, device, id[:], destination, permanent, words)
	b.awake[device] = struct{}{}
	return err
}

// troublesOf tells a device that came later with the same object what earlier
// ones were told.
func (b *batch) troublesOf(device string, object int64) error {
	const told = `CASE WHEN j.state IN ('held', 'unconfirmed') THEN '' ELSE j.destination END`
	if _, err := b.exec(`DELETE FROM troubles WHERE device = ?1 AND id = (SELECT o.id FROM objects o WHERE o.seq = ?2)
		AND destination IN (SELECT `+told+` FROM jobs j WHERE j.object = ?2 AND j.state IN ('held', 'permanent', 'unconfirmed'))`, device, object); err != nil {
		return err
	}
	n, err := b.exec(`INSERT INTO troubles (device, id, destination, permanent, words)
		SELECT ?1, o.id, `+told+`, max(CASE WHEN j.state = 'permanent' THEN 1 ELSE 0 END), max(j.words)
		FROM jobs j JOIN objects o ON o.seq = j.object
		WHERE j.object = ?2 AND j.state IN ('held', 'permanent', 'unconfirmed') GROUP BY o.id, `+told, device, object)
	if n > 0 {
		b.awake[device] = struct{}{}
	}
	return err
}

// devicesOf are the devices with a receipt for id.
func (b *batch) devicesOf(id hub.ID) ([]string, error) {
	s, err := b.stmt(`SELECT device FROM receipts WHERE id = ?1 UNION SELECT device FROM objects WHERE id = ?1 AND folded > 0`)
	if err != nil {
		return nil, err
	}
	rows, err := s.Query(id[:])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var d string
		if err := rows.Scan(&d); err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, rows.Err()
}

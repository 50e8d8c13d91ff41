package ledger

import (
	"context"
	"fmt"
	"strconv"

	"edged/hub"
)

// Words for jobs whose object the hub lost.
const (
	lostWords     = "the hub's copy is missing or damaged; the appliances that sent it were asked to send it again"
	lostForgotten = "the hub's copy is missing or damaged, and every required destination has the object: the appliances may have forgotten it"
)

// everyDestination stands in troubles for what concerns all; no destination has
// such a name.
const everyDestination = "*"

// Lost records that the hub's copy of a leased job's object is missing or
// damaged (P14), in one transaction: no receipt for it counts any more, every
// appliance that sent it is asked for it again, and the job stands as refused for
// good until one of them has (Receive). An archived object is not asked for:
// appliances may have forgotten it, and its receipts only say that it was here.
func (l *Ledger) Lost(ctx context.Context, j Job, detail string) error {
	return l.settleJob(ctx, "lose", j, func(b *batch) error {
		var archived bool
		if err := b.row(`SELECT EXISTS (SELECT 1 FROM objects WHERE id = ? AND archived_at IS NOT NULL) AS archived`, j.Object.ID[:]).Scan(&archived); err != nil {
			return err
		}
		words := lostWords
		if archived {
			words = lostForgotten
		}
		n, err := b.exec(`UPDATE jobs SET state = 'permanent', lost = 1, attempts = attempts + 1, words = ? WHERE seq = ? AND lease = ? AND state = 'leased'`+theSame,
			j.sameArgs(words+": "+detail, j.Seq, j.Lease)...)
		if err := lost(n, err); err != nil || archived {
			return err
		}
		return b.askAgain(j.Object.ID)
	})
}

// askAgain puts it into the outbox of everybody who sent it. Who was asked and
// has not acknowledged is not asked twice.
func (b *batch) askAgain(id hub.ID) error {
	if _, err := b.exec(`UPDATE objects SET lost = 1 WHERE id = ?`, id[:]); err != nil {
		return err
	}
	if _, err := b.exec(`UPDATE receipts SET lost = 1 WHERE id = ?`, id[:]); err != nil {
		return err
	}
	devices, err := b.devicesOf(id)
	if err != nil {
		return err
	}
	for _, d := range devices {
		if _, err := b.exec(`INSERT INTO troubles (device, id, destination, permanent, words, lost) VALUES (?, ?, ?, 0, ?, 1) ON CONFLICT DO NOTHING`,
			d, id[:], everyDestination, lostWords); err != nil {
			return err
		}
		b.awake[d] = struct{}{}
	}
	return nil
}

// found ends all that: the object is here again, whole, so what the hub had
// said about it to anybody holds again, and whoever was not asked yet need not be.
// The jobs wait also for an archived object, which is not marked itself.
func (b *batch) found(id hub.ID, seq int64) (bool, error) {
	n, err := b.exec(`UPDATE jobs SET state = 'pending', next_at = 0, words = '', lost = 0 WHERE object = ? AND lost = 1 AND state = 'permanent'`, seq)
	if err != nil {
		return false, err
	}
	b.jobsGrew = b.jobsGrew || n > 0
	if n, err = b.exec(`UPDATE objects SET lost = 0 WHERE seq = ? AND lost = 1`, seq); err != nil || n == 0 {
		return false, err
	}
	if _, err := b.exec(`UPDATE receipts SET lost = 0 WHERE id = ?`, id[:]); err != nil {
		return false, err
	}
	if _, err := b.exec(`DELETE FROM troubles WHERE id = ? AND lost = 1`, id[:]); err != nil {
		return false, err
	}
	return true, nil
}

// Restored raises the generation, in the name of actor: these rows came from a
// backup, and what was received after it is not in them. Every appliance that
// meets a new generation offers everything again that is not archived.
func (l *Ledger) Restored(ctx context.Context, actor string) (generation uint64, err error) {
	err = l.change(ctx, func(b *batch) error {
		if generation, err = b.nextGeneration(); err != nil {
			return err
		}
		return b.audit(actor, "restored", "ledger", fmt.Sprint("generation ", generation))
	})
	if err != nil {
		return 0, fmt.Errorf("restored ledger: %w", err)
	}
	return generation, nil
}

func (b *batch) nextGeneration() (uint64, error) {
	if err := b.note(restoredAt, strconv.FormatInt(b.now, 10)); err != nil {
		return 0, err
	}
	var text string
	if err := b.row(`UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'generation' RETURNING value`).Scan(&text); err != nil {
		return 0, err
	}
	return strconv.ParseUint(text, 10, 64)
}

package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"edged/hub"
	"edged/hub/receive"
)

// heldWords are told to the appliance of an object that P5 holds.
const heldWords = "held: other contents were received before under the same SOP Instance UID; an administrator of the hub decides"

// Known returns those of ids that have a receipt for this device. Who asks has
// perhaps lost what it was told: for what is archived, the confirmation is put
// into the outbox again.
func (l *Ledger) Known(ctx context.Context, device string, ids []hub.ID) (map[hub.ID]int64, error) {
	known := map[hub.ID]int64{}
	var archived []hub.ID
	for chunk := ids; len(chunk) > 0; {
		n := min(len(chunk), 500)
		more, err := l.known(ctx, device, chunk[:n], known)
		if err != nil {
			return nil, fmt.Errorf("known objects: %w", err)
		}
		archived, chunk = append(archived, more...), chunk[n:]
	}
	if len(archived) == 0 {
		return known, nil
	}
	return known, l.change(ctx, func(b *batch) error {
		for _, id := range archived {
			if err := b.confirmAgain(device, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// known fills known from one chunk and returns those that are archived and not
// in the outbox.
func (l *Ledger) known(ctx context.Context, device string, ids []hub.ID, known map[hub.ID]int64) ([]hub.ID, error) {
	args := []any{device}
	for i := range ids {
		args = append(args, ids[i][:])
	}
	// The receipt of the appliance that sent it first may be folded (schemafolded.go).
	rows, err := l.read.QueryContext(ctx, `SELECT o.id, o.length,
		CASE WHEN o.archived_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM confirmations c WHERE c.device = ?1 AND c.id = o.id) THEN 1 ELSE 0 END AS again
		FROM objects o LEFT JOIN receipts r ON r.id = o.id AND r.device = ?1
		WHERE o.lost = 0 AND (r.lost = 0 OR r.device IS NULL AND o.folded > 0 AND o.device = ?1) AND o.id IN (?`+strings.Repeat(",?", len(ids)-1)+`)`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var archived []hub.ID
	for rows.Next() {
		var raw []byte
		var length int64
		var again bool
		if err := rows.Scan(&raw, &length, &again); err != nil {
			return nil, err
		}
		id := hub.ID(raw)
		known[id] = length
		if again {
			archived = append(archived, id)
		}
	}
	return archived, rows.Err()
}

// Receive records receipt, object and jobs in one transaction, durable on
// return (SPOOL-19).
func (l *Ledger) Receive(ctx context.Context, objects []hub.Object) error {
	if len(objects) == 0 {
		return nil
	}
	if err := l.submit(ctx, &change{objects: objects}); err != nil {
		return fmt.Errorf("receive %d objects: %w", len(objects), err)
	}
	return nil
}

var errRevoked = errors.New("it was revoked")

// receive decides what one object is: new, known from another appliance, or
// known from this one.
func (b *batch) receive(o *hub.Object) error {
	seq, fresh, err := b.object(o) // refuses what is about to be removed
	if err != nil {
		return err
	}
	healed := false
	if !fresh {
		if healed, err = b.found(o.ID, seq); err != nil {
			return err
		}
		if _, err := b.exec(`UPDATE objects SET file = 0 WHERE seq = ? AND file = 2`, seq); err != nil {
			return err
		}
	}
	added, err := b.exec(`INSERT INTO receipts (device, id, length, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`, o.Device, o.ID[:], o.Length, b.now)
	if err != nil {
		return err
	}
	b.counts["receipts"] += added
	if fresh {
		return b.newObject(o, seq)
	}
	if added > 0 { // it goes into a further file
		if _, err := b.exec(`UPDATE objects SET folded = 2 WHERE seq = ? AND folded = 1`, seq); err != nil {
			return err
		}
	}
	if err := b.foundAgain(o, seq); err != nil {
		return err
	}
	if err := b.confirmAgain(o.Device, o.ID); err != nil || added == 0 && !healed {
		return err
	}
	return b.troublesOf(o.Device, seq)
}

// object inserts the row, or finds it and checks that it is the same.
func (b *batch) object(o *hub.Object) (seq int64, fresh bool, err error) {
	seq, fresh, err = b.insert(`INSERT INTO objects (id, transfer_syntax, sop_class, sop_instance, length, study, priority, flags, calling, device, modality, received_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
		o.ID[:], o.Names.TransferSyntax, o.Names.SOPClass, o.Names.SOPInstance, o.Length, o.Study, o.Priority, o.Flags, o.Calling, o.Device, o.Modality, b.now)
	if err != nil || fresh {
		return seq, fresh, err
	}
	var length int64
	var going bool
	if err := b.row(`SELECT seq, length, CASE WHEN file = 1 THEN 1 ELSE 0 END AS going FROM objects WHERE id = ?`, o.ID[:]).Scan(&seq, &length, &going); err != nil {
		return 0, false, err
	}
	if going {
		return 0, false, &receive.GoingError{ID: o.ID}
	}
	if length != o.Length {
		return 0, false, fmt.Errorf("object %s: %d bytes offered, %d are known: the ID covers all bytes, so one of them is wrong", o.ID, o.Length, length)
	}
	return seq, false, nil
}

// newObject makes the jobs for the destinations that it is for, held when another
// object has the same SOP Instance UID, or when a data finding says so. A self-test
// object has none.
func (b *batch) newObject(o *hub.Object, seq int64) error {
	if o.Flags&hub.FlagTest != 0 {
		b.counts["tests"]++
		return nil
	}
	b.counts["objects"]++
	b.counts["bytes"] += o.Length
	list, err := b.routed(o)
	if err != nil {
		return err
	}
	h, err := b.holdOf(o, seq)
	if err != nil {
		return err
	}
	if h.conflict || h.hold != 0 || !anyRequired(list) {
		if _, err := b.exec(`UPDATE objects SET conflict = ?, hold = ?, unrouted = ? WHERE seq = ?`, truth(h.conflict), h.hold, truth(!anyRequired(list)), seq); err != nil {
			return err
		}
	}
	for _, d := range list {
		if _, err := b.exec(`INSERT INTO jobs (object, destination, state, priority, words) VALUES (?, ?, ?, ?, ?)`, seq, d.Name, h.state(), o.Priority, h.words); err != nil {
			return err
		}
	}
	b.jobsGrew = true
	if h.hold != 0 {
		return b.trouble(o.Device, o.ID, "", false, h.words)
	}
	return nil
}

// holding is why a new object waits before the archive.
type holding struct {
	conflict bool // P5, also where Config says deliver
	hold     int  // bits of objects.hold
	words    string
}

func (h holding) state() string {
	if h.hold != 0 {
		return "held"
	}
	return "pending"
}

// holdOf looks for other contents under the UID of a new object, and for a finding.
func (b *batch) holdOf(o *hub.Object, seq int64) (h holding, err error) {
	if err := b.offeredFinding(o); err != nil {
		return h, err
	}
	var reported bool
	if err := b.row(`SELECT EXISTS (SELECT 1 FROM objects WHERE sop_instance = ? AND seq < ? AND flags & ? = 0) AS conflict,
		EXISTS (SELECT 1 FROM findings WHERE device = ? AND id = ?) AS reported`,
		o.Names.SOPInstance, seq, hub.FlagTest, o.Device, o.ID[:]).Scan(&h.conflict, &reported); err != nil {
		return h, err
	}
	if reported {
		if err := b.holdFound(o.Device, o.ID, seq); err != nil {
			return h, err
		}
		if h.words, err = b.findingHolds(o.Device, o.ID); err != nil {
			return h, err
		}
		if h.words != "" {
			h.hold |= holdFinding
		}
	}
	if h.conflict && !b.config.Deliver {
		h.hold, h.words = h.hold|holdConflict, heldWords
	}
	return h, nil
}

// offeredFinding keeps the finding that stood in the offer itself.
func (b *batch) offeredFinding(o *hub.Object) error {
	if o.Flags&hub.FlagHold == 0 || o.Flags&hub.FlagTest != 0 {
		return nil
	}
	return b.keepFindings(o.Device, []hub.Finding{{ID: o.ID, Flags: o.Flags}})
}

// foundAgain is what a further offer of a known object may add: a route, a hold.
func (b *batch) foundAgain(o *hub.Object, seq int64) error {
	if err := b.offeredFinding(o); err != nil {
		return err
	}
	if err := b.routeAgain(o, seq); err != nil {
		return err
	}
	return b.holdFound(o.Device, o.ID, seq)
}

// truth is how a bool is stored.
func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

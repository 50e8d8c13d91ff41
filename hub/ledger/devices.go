package ledger

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"edged/hub/enrol"
)

var _ enrol.Store = (*Ledger)(nil)

// AddCode records a claim code by the hash of its secret.
func (l *Ledger) AddCode(ctx context.Context, hash [32]byte, facility string, expires time.Time, actor string) error {
	return l.change(ctx, func(b *batch) error {
		if _, err := b.exec(`INSERT INTO codes (hash, facility, created_at, expires_at) VALUES (?, ?, ?, ?)`, hash[:], facility, b.now, expires.UnixMilli()); err != nil {
			return fmt.Errorf("add claim code: %w", err)
		}
		return b.audit(actor, "code new", facility, "code "+codeID(hash)+", valid until "+expires.UTC().Format(time.RFC3339))
	})
}

// Claim uses a code for the device with this key; see enrol.Store.
func (l *Ledger) Claim(ctx context.Context, hash, key [32]byte, newID, from string) (enrol.Device, error) {
	var d enrol.Device
	err := l.change(ctx, func(b *batch) (err error) {
		d, err = b.claim(hash, key, newID, from)
		return err
	})
	return d, err
}

func (b *batch) claim(hash, key [32]byte, newID, from string) (enrol.Device, error) {
	var d enrol.Device
	var stored, usedKey []byte
	var expires int64
	var device sql.NullString
	err := b.row(`SELECT hash, facility, expires_at, device, key_hash FROM codes WHERE hash = ?`, hash[:]).Scan(&stored, &d.Facility, &expires, &device, &usedKey)
	switch {
	case errors.Is(err, sql.ErrNoRows), err == nil && subtle.ConstantTimeCompare(stored, hash[:]) != 1:
		return d, enrol.ErrNoCode
	case err != nil:
		return d, fmt.Errorf("claim: %w", err)
	case expires <= b.now:
		return d, enrol.ErrExpired
	case device.Valid && subtle.ConstantTimeCompare(usedKey, key[:]) == 1:
		return b.device(device.String) // the answer was lost; it is the same appliance
	case device.Valid:
		return d, enrol.ErrUsed
	}
	d.ID, d.Approved = newID, true
	if _, err := b.exec(`INSERT INTO devices (id, facility, state, key_hash, created_at) VALUES (?, ?, 'approved', ?, ?)`, d.ID, d.Facility, key[:], b.now); err != nil {
		return d, fmt.Errorf("claim: %w", err)
	}
	if _, err := b.exec(`UPDATE codes SET used_at = ?, device = ?, key_hash = ? WHERE hash = ?`, b.now, d.ID, key[:], hash[:]); err != nil {
		return d, fmt.Errorf("claim: %w", err)
	}
	return d, b.audit(Who("claim code", from), "enrol", d.ID, "facility "+d.Facility+", code "+codeID(hash))
}

// codeID names a code in lists and in the trail, and opens nothing.
func codeID(hash [32]byte) string { return hex.EncodeToString(hash[:codeIDBytes]) }

func (b *batch) device(id string) (enrol.Device, error) {
	return scanDevice(b.row(deviceQuery, id))
}

const deviceQuery = `SELECT id, facility, state = 'approved', created_at FROM devices WHERE id = ?`

func scanDevice(r interface{ Scan(...any) error }) (enrol.Device, error) {
	var d enrol.Device
	var created int64
	err := r.Scan(&d.ID, &d.Facility, &d.Approved, &created)
	if errors.Is(err, sql.ErrNoRows) {
		return d, enrol.ErrNoDevice
	}
	if err != nil {
		return d, fmt.Errorf("device: %w", err)
	}
	d.Created = time.UnixMilli(created)
	return d, nil
}

// Device looks a device up; enrol.ErrNoDevice when there is none.
func (l *Ledger) Device(ctx context.Context, id string) (enrol.Device, error) {
	return scanDevice(l.read.QueryRowContext(ctx, deviceQuery, id))
}

// Devices are all, by id.
func (l *Ledger) Devices(ctx context.Context) ([]enrol.Device, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT id, facility, state = 'approved', created_at FROM devices ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("devices: %w", err)
	}
	defer rows.Close()
	var out []enrol.Device
	for rows.Next() {
		d, err := scanDevice(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, rows.Err()
}

// Revoked are the ids of the devices that are not approved. It has a connection of its
// own: who is sent away must not depend on how many others are asking something.
func (l *Ledger) Revoked(ctx context.Context) (ids []string, err error) {
	rows, err := l.watch.QueryContext(ctx, `SELECT id FROM devices WHERE state <> 'approved'`)
	if err != nil {
		return nil, fmt.Errorf("revoked devices: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("revoked devices: %w", err)
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// SetApproved approves or revokes a device in the name of actor. A revoked one
// completes no handshake any more.
func (l *Ledger) SetApproved(ctx context.Context, id string, approved bool, actor string) error {
	state, action := "revoked", "revoke"
	if approved {
		state, action = "approved", "approve"
	}
	return l.change(ctx, func(b *batch) error {
		n, err := b.exec(`UPDATE devices SET state = ? WHERE id = ?`, state, id)
		if err != nil {
			return fmt.Errorf("%s device: %w", action, err)
		}
		if n == 0 {
			return fmt.Errorf("%s device %s: %w", action, id, enrol.ErrNoDevice)
		}
		return b.audit(actor, action, id, "")
	})
}

// Renewed records that a device has a certificate for a new key; see enrol.Store.
func (l *Ledger) Renewed(ctx context.Context, id string, with, key [32]byte) error {
	return l.change(ctx, func(b *batch) error {
		n, err := b.exec(`UPDATE devices SET previous_key = ?1, key_hash = ?2 WHERE id = ?3 AND (key_hash = ?1 OR previous_key = ?1)`, with[:], key[:], id)
		if err != nil {
			return fmt.Errorf("renew device: %w", err)
		}
		if n == 0 {
			return fmt.Errorf("renew device %s: %w", id, enrol.ErrOldKey)
		}
		return b.audit(id, "renew", id, "")
	})
}

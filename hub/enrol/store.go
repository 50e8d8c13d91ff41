package enrol

import (
	"context"
	"errors"
	"time"
)

// Device is an appliance that has enrolled.
type Device struct {
	ID       string
	Facility string
	Approved bool
	Created  time.Time
}

// Why a claim fails. Nobody outside is told which of the first three it was.
var (
	ErrNoCode   = errors.New("no such claim code")
	ErrExpired  = errors.New("the claim code has expired")
	ErrUsed     = errors.New("the claim code was used by another appliance")
	ErrNoDevice = errors.New("no such device")
	ErrOldKey   = errors.New("its key is neither the device's present one nor the one before")
)

// Store are the rows behind enrolment.
type Store interface {
	// Claim uses the code with this hash for the key with this hash: it makes the
	// device newID, approved, durable on return. The key that used the code
	// before gets its device again. from is the address that it came from, for the
	// trail. Errors: ErrNoCode, ErrExpired, ErrUsed.
	Claim(ctx context.Context, hash, key [32]byte, newID, from string) (Device, error)

	// AddCode records a code by the hash of its secret.
	AddCode(ctx context.Context, hash [32]byte, facility string, expires time.Time, actor string) error

	// Device looks one up; ErrNoDevice when there is none.
	Device(ctx context.Context, id string) (Device, error)

	// Renewed records that a device that has proved the key with has a new key.
	// with must be its present key, or the one before: the answer with the
	// certificate of the present one may have been lost. Then it is the one
	// before. Errors: ErrOldKey.
	Renewed(ctx context.Context, id string, with, key [32]byte) error
}

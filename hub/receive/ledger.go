package receive

import (
	"context"
	"fmt"

	"edged/hub"
)

// Ledger is what a session needs of the hub's rows. All methods are called from
// many goroutines at once. An error ends the session that asked, nothing else:
// the appliance comes back and offers again.
type Ledger interface {
	// Identity names the ledger (at most 64 bytes) and its generation, which
	// rises when it was restored from a backup. Asked once for each connection, and once
	// for all every other second.
	Identity(ctx context.Context) (ledgerID string, generation uint64, err error)

	// Known returns those of ids that have a receipt for this device, with
	// their lengths. Another device's receipt does not count.
	Known(ctx context.Context, device string, ids []hub.ID) (map[hub.ID]int64, error)

	// Receive records receipt, object and forwarding jobs in one transaction,
	// durable on return (SPOOL-19). The objects are durable in the store
	// before. It is idempotent: a repeated object changes nothing. With a GoingError
	// nothing was recorded, because of one object that is to come later.
	Receive(ctx context.Context, objects []hub.Object) error

	Outbox
}

// GoingError is of an object whose file is about to be removed, here or at another node:
// a receipt now might be for a file that is gone in a moment (SPOOL-19).
type GoingError struct{ ID hub.ID }

func (e *GoingError) Error() string {
	return fmt.Sprintf("the hub is about to remove its file of object %s; it is to come again later", e.ID)
}

// Outbox is what waits to be told to an appliance. What is in it stays until
// it is acknowledged by its Seq.
type Outbox interface {
	// Confirmations returns at most limit unacknowledged confirmations of the
	// device with Seq > after, in order of Seq.
	Confirmations(ctx context.Context, device string, after uint64, limit int) ([]Confirmation, error)

	// Troubles does the same for what destinations refused and the hub lost.
	Troubles(ctx context.Context, device string, after uint64, limit int) ([]Trouble, error)

	// AcknowledgeConfirmations and AcknowledgeTroubles take entries out. Seqs of
	// another device or unknown ones are ignored.
	AcknowledgeConfirmations(ctx context.Context, device string, seqs []uint64) error
	AcknowledgeTroubles(ctx context.Context, device string, seqs []uint64) error

	// Changed returns a channel that is closed when something may have come
	// into the device's outbox after this call. Callers ask for the channel
	// first, then read the outbox, then wait.
	Changed(device string) <-chan struct{}
}

// Confirmation is an unacknowledged *archived* of one device.
type Confirmation struct {
	Seq uint64 // rises with each entry of the device, never 0
	hub.Confirmation
}

// Trouble is an unacknowledged refusal by a destination, or says that the hub
// lost its copy: then the appliance is to offer the object again.
type Trouble struct {
	Seq         uint64
	ID          hub.ID
	Destination string
	Permanent   bool
	Words       string // the archive's own
	Lost        bool
}

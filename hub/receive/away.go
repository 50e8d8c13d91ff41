package receive

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"

	"edged/hub"
)

// errAway: the database does not answer now. It says nothing about the appliance, whose
// connection ends nevertheless: it goes to another node, or comes back soon (code 6), where
// after an inner error of the hub it would pause.
var errAway = errors.New("the rows cannot be reached now")

// reached marks errors of rows that say that the database is away.
type reached struct{ Ledger }

var _ Ledger = reached{}

func (r reached) Known(ctx context.Context, device string, ids []hub.ID) (map[hub.ID]int64, error) {
	known, err := r.Ledger.Known(ctx, device, ids)
	return known, marked(err)
}

func (r reached) Receive(ctx context.Context, objects []hub.Object) error {
	return marked(r.Ledger.Receive(ctx, objects))
}

func (r reached) Confirmations(ctx context.Context, device string, after uint64, limit int) ([]Confirmation, error) {
	list, err := r.Ledger.Confirmations(ctx, device, after, limit)
	return list, marked(err)
}

func (r reached) Troubles(ctx context.Context, device string, after uint64, limit int) ([]Trouble, error) {
	list, err := r.Ledger.Troubles(ctx, device, after, limit)
	return list, marked(err)
}

func (r reached) AcknowledgeConfirmations(ctx context.Context, device string, seqs []uint64) error {
	return marked(r.Ledger.AcknowledgeConfirmations(ctx, device, seqs))
}

func (r reached) AcknowledgeTroubles(ctx context.Context, device string, seqs []uint64) error {
	return marked(r.Ledger.AcknowledgeTroubles(ctx, device, seqs))
}

// marked is for errors of rows alone: those of connections to appliances look the same.
func marked(err error) error {
	if err != nil && away(err) {
		return fmt.Errorf("%w: %w", errAway, err)
	}
	return err
}

// away reports whether an error comes from the way to the database, or says that the
// server ends, begins, has too many connections, or is a standby now.
func away(err error) bool {
	for _, lost := range []error{driver.ErrBadConn, sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, context.DeadlineExceeded} {
		if errors.Is(err, lost) {
			return true
		}
	}
	var network net.Error
	var said interface{ SQLState() string }
	if errors.As(err, &said) && len(said.SQLState()) == 5 {
		// https://www.postgresql.org/docs/current/errcodes-appendix.html
		switch state := said.SQLState(); state[:2] {
		case "08", "53":
			return true
		default:
			return state[:4] == "57P0" || state == "25006"
		}
	}
	return errors.As(err, &network)
}

package ledger

import "context"

// Pulse returns when the committer has been by with a transaction that changes
// nothing, or could not for a reason of the database's own. It is for a watchdog: where
// it does not return, nobody commits any more.
func (l *Ledger) Pulse(ctx context.Context) error {
	return l.change(ctx, func(*batch) error { return nil })
}

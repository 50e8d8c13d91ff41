package ledger

import (
	"database/sql"
	"testing"
)

// busyError is what SQLite says to a second writer that does not wait.
func busyError(w *world) error {
	w.Helper()
	other, err := sql.Open("sqlite", w.config.Path)
	w.must(err)
	defer other.Close()
	w.must(w.change(w.ctx, func(*batch) error { // holds the lock meanwhile
		_, err = other.ExecContext(w.ctx, `BEGIN IMMEDIATE`)
		return nil
	}))
	if !isBusy(err) {
		w.Fatalf("a second writer was told %v", err)
	}
	return err
}

// TestABusyDatabaseIsTriedAgain: rows are not given up, and the session of the
// appliance with them, because another process was writing; nor is it tried for ever.
func TestABusyDatabaseIsTriedAgain(t *testing.T) {
	onlySQLite(t)
	w := start(t, Config{})
	busy := busyError(w)
	for failures, want := range map[int]error{0: nil, 1: nil, busyTries - 1: nil, busyTries: busy, 1000: busy} {
		tried := 0
		o := object("one", 100+failures, "a")
		err := w.change(w.ctx, func(b *batch) error {
			if err := b.receive(&o); err != nil {
				return err
			}
			if tried++; tried <= failures {
				return busy
			}
			return nil
		})
		if err != want || tried != min(failures+1, busyTries) {
			t.Errorf("busy %d times: tried %d times, %v", failures, tried, err)
		}
		known, err := w.Known(w.ctx, "one", ids(o))
		if w.must(err); len(known) != map[bool]int{true: 1}[want == nil] {
			t.Errorf("busy %d times: %d receipts", failures, len(known))
		}
	}
}

package ledger

import (
	"context"
	"os"
	"sync"
	"testing"
)

// hubd run and hubd code new may both be the first to open a ledger.
func TestAnyNumberMayOpenANewLedgerAtOnce(t *testing.T) {
	rounds := 20
	if overPostgres() {
		rounds = 10
	}
	for range rounds {
		openAtOnce(t, place(t, Config{}))
	}
}

// All want to turn a new database to WAL, and some are answered SQLITE_BUSY at once. That
// falls between the first and the schema, which is there already: so more of them
// meet, and it takes less time.
func TestAnyNumberMayTurnALedgerToWALAtOnce(t *testing.T) {
	onlySQLite(t)
	path := notInWAL(t)
	for range 200 { // one in a hundred fails when BUSY is not asked again
		c := place(t, Config{})
		copyFile(t, path, c.Path)
		openAtOnce(t, c)
	}
}

func openAtOnce(t *testing.T, c Config) {
	t.Helper()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			l, err := Open(context.Background(), c)
			if err != nil {
				t.Error(err)
				return
			}
			l.Close()
		})
	}
	all.Wait()
}

// notInWAL is a ledger with its schema, as a new database that was not turned to WAL yet.
func notInWAL(t *testing.T) string {
	t.Helper()
	c := fresh(t, Config{})
	db := bare(t, c)
	defer db.Close()
	var mode string
	if err := db.QueryRow(`PRAGMA journal_mode = DELETE`).Scan(&mode); err != nil || mode != "delete" {
		t.Fatalf("journal mode %s, %v", mode, err)
	}
	return c.Path
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

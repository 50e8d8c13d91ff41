package ledger

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"edged/internal/pglab"
)

// Objects in files are read by one node alone: a second one is kept away for as long as
// the first lives, and not a moment longer.
func TestWhoMustBeAloneIs(t *testing.T) {
	server := pglab.New(t)
	url := server.Database(t)
	open := func() *Ledger {
		l, err := Open(t.Context(), Config{Database: url})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	first, second := open(), open()
	a, err := first.Alone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Alone(t.Context()); !errors.Is(err, ErrNotAlone) {
		t.Fatalf("a second one: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	held := make(chan error, 1)
	go func() { held <- a.Hold(ctx) }()
	server.Kill()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	alone := false
	for deadline := time.Now().Add(time.Minute); !alone && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		b, err := second.Alone(t.Context())
		if alone = errors.Is(err, ErrNotAlone); err == nil {
			b.Close() // the first comes back within a second
		}
	}
	if !alone {
		t.Error("after a restart of the database the place is free though its holder lives")
	}
	cancel()
	if err := <-held; err != nil {
		t.Error(err)
	}
	a.Close()
	b, err := second.Alone(t.Context())
	if err != nil {
		t.Errorf("it was given back: %v", err)
	}
	b.Close()
}

// With SQLite the lock of the data directory does it.
func TestAloneWithSQLite(t *testing.T) {
	l, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "ledger.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := l.Alone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Hold(ctx); err != nil {
		t.Error(err)
	}
}

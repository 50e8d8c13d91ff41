package ledger

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Objects in files are read by one node alone: a second one is kept away for as long as
// the first lives, and not a moment longer.
func TestWhoMustBeAloneIs(t *testing.T) {
	server := ownServer(t)
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

// Of two processes with the name of one node the second is told so, and where the first
// is; it frees nothing that the first has leased. The place is kept over a restart of the
// database, and free when its holder has gone.
func TestANameIsOfOneNode(t *testing.T) {
	server := ownServer(t)
	url := server.Database(t)
	open := func(name, address string) *Ledger {
		l, err := Open(t.Context(), Config{Database: url, Node: name, Address: address})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	first, second, other := open("n1", "hub-1.example.org:8443"), open("n1", "hub-2.example.org:8443"), open("n'2", "")
	a, err := first.Name(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = second.Name(t.Context())
	if !errors.Is(err, ErrNameTaken) || !strings.Contains(fmt.Sprint(err), "node n1") || !strings.Contains(fmt.Sprint(err), "at 127.0.0.1, where it listens on hub-1.example.org:8443") {
		t.Fatalf("a second one: %v", err)
	}
	b, err := other.Name(t.Context())
	if err != nil {
		t.Fatalf("another name: %v", err)
	}
	b.Close()
	if err := a.conn.Close(t.Context()); err != nil { // and somebody is faster than it
		t.Fatal(err)
	}
	b, err = second.Name(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Hold(t.Context()); !errors.Is(err, ErrNameTaken) {
		t.Errorf("who has lost it holds: %v", err)
	}
	b.Close()
	if a, err = first.Name(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	held := make(chan error, 1)
	go func() { held <- a.Hold(ctx) }()
	server.Kill()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	for n, deadline := 0, time.Now().Add(time.Minute); n == 0 && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		_ = second.read.QueryRow(`SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted`).Scan(&n)
	}
	if _, err := second.Name(t.Context()); !errors.Is(err, ErrNameTaken) {
		t.Errorf("after a restart of the database the name is free though its holder lives: %v", err)
	}
	cancel()
	if err := <-held; err != nil {
		t.Error(err)
	}
	a.Close()
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

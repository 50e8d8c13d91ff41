package pglab

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// What was confirmed is there after the server was killed: fsync is on, and the same
// data is served again.
func TestTheServerIsRealAndComesBack(t *testing.T) {
	s := New(t)
	if err := s.Exec("CREATE TABLE x AS SELECT 1 AS n"); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	if err := s.Exec("SELECT 1"); err == nil {
		t.Fatal("it answers after it was killed")
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if err := s.Exec("INSERT INTO x SELECT 1 / count(*) FROM x"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.dir); err != nil {
		t.Error(err)
	}
}

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	if a, b := Start(t), Start(t); a == b {
		t.Errorf("%s twice", a)
	}
}

func TestACopyHoldsWhatWasFilledOnce(t *testing.T) {
	n := 0
	fill := func(url string) error {
		n++
		c, err := pgx.Connect(t.Context(), url)
		if err != nil {
			return err
		}
		_, err = c.Exec(t.Context(), "CREATE TABLE x AS SELECT 7 AS n")
		return errors.Join(err, c.Close(t.Context()))
	}
	for range 2 {
		c, err := pgx.Connect(t.Context(), Copy(t, "filled", fill))
		if err != nil {
			t.Fatal(err)
		}
		var got int
		err = c.QueryRow(t.Context(), "UPDATE x SET n = n + 1 RETURNING n").Scan(&got)
		if err := errors.Join(err, c.Close(t.Context())); err != nil || got != 8 {
			t.Errorf("got %d, %v", got, err)
		}
	}
	if n != 1 {
		t.Errorf("filled %d times", n)
	}
}

// However many connect at the moment, a server that is killed can be started again: none
// of its children outlives it.
func TestAServerThatIsKilledUnderManyClientsComesBack(t *testing.T) {
	s := New(t)
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	defer clients.Wait()
	defer stop()
	for range 8 {
		clients.Go(func() {
			for ctx.Err() == nil {
				_ = s.exec(ctx, "SELECT 1") // it is killed
			}
		})
	}
	for range 3 {
		s.Restart(t)
	}
}

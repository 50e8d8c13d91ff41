package ledger

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"edged/internal/pglab"
)

// template is a ledger that was opened once in this process and never used: most tests
// begin with a copy of it, because to make the schema takes longer than what they tell.
// That it is made, at once by many and from every earlier version, is for
// firstopen_test.go and migrate_test.go.
var template = sync.OnceValues(func() (t struct {
	file []byte // SQLite's
	id   string
}, err error) {
	dir, err := os.MkdirTemp("", "ledger")
	if err != nil {
		return t, err
	}
	path := filepath.Join(dir, "ledger.db")
	t.id, err = opened(Config{Path: path})
	if err == nil {
		t.file, err = os.ReadFile(path) // Close has taken the log over
	}
	return t, errors.Join(err, os.RemoveAll(dir))
})

// opened makes a ledger and says which it is.
func opened(c Config) (string, error) {
	l, err := Open(context.Background(), c)
	if err != nil {
		return "", err
	}
	id, _, err := l.Identity(context.Background())
	return id, errors.Join(err, l.Close())
}

// fresh says where a ledger lies that nobody has used: a copy with an identity of its own.
func fresh(t testing.TB, c Config) Config {
	t.Helper()
	if overPostgres() {
		return freshPostgres(t, c)
	}
	made, err := template()
	if err != nil {
		t.Fatal(err)
	}
	c = place(t, c)
	if n := bytes.Count(made.file, []byte(made.id)); n != 1 {
		t.Fatalf("the identity of the template stands in it %d times", n)
	}
	if err := os.WriteFile(c.Path, bytes.Replace(made.file, []byte(made.id), []byte(newID()), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

func freshPostgres(t testing.TB, c Config) Config {
	t.Helper()
	c.Database = pglab.Copy(t, "ledger", func(url string) error {
		_, err := opened(Config{Database: url})
		return err
	})
	conn, err := pgx.Connect(t.Context(), c.Database)
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.Exec(t.Context(), `UPDATE meta SET value = $1 WHERE key = 'ledger_id'`, newID())
	if err := errors.Join(err, conn.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	return c
}

// Two tests have two ledgers, which are opened like new ones.
func TestEachFreshLedgerIsAnother(t *testing.T) {
	one, two := start(t, Config{}), start(t, Config{})
	a, generation, err := one.Identity(t.Context())
	one.must(err)
	b, _, err := two.Identity(t.Context())
	two.must(err)
	made, err := opened(place(t, Config{}))
	one.must(err)
	if a == b || len(a) != len(made) || generation != 1 {
		t.Errorf("identities %s and %s, generation %d; of one that was made %s", a, b, generation, made)
	}
}

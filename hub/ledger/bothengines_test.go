package ledger

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"edged/internal/pglab"
)

// engineEnv names the engine that the tests of this process run over: SQLite, unless it
// is "postgres".
const engineEnv = "LEDGER_ENGINE"

func overPostgres() bool { return os.Getenv(engineEnv) == "postgres" }

// place says where a new ledger lies; nothing is there yet.
func place(t testing.TB, c Config) Config {
	if overPostgres() {
		c.Database = pglab.Start(t)
	} else {
		c.Path = filepath.Join(t.TempDir(), "ledger.db")
	}
	return c
}

// onlySQLite skips what is about its files.
func onlySQLite(t *testing.T) {
	t.Helper()
	if overPostgres() {
		t.Skip("about SQLite's files")
	}
}

// Every test of this package that says nothing of its engine is one of the conformance
// suite: they are all run again, in a process of their own, against a real PostgreSQL.
func TestAllOfThisHoldsOverPostgreSQL(t *testing.T) {
	if overPostgres() {
		t.Skip("this is the second run")
	}
	if _, err := pglab.Programs(); err != nil {
		t.Skip(err)
	}
	t.Parallel()
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.count=1", "-test.shuffle=on", "-test.timeout=8m", "-test.v")
	again.Env = append(os.Environ(), engineEnv+"=postgres")
	out, err := again.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

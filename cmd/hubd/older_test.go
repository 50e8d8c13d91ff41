package main

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
)

// The program was replaced and its hub not restarted yet: a command leaves the rows to
// the older one that runs.
func TestACommandLeavesTheRowsOfAnOlderHub(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.do("code", "new", "--facility", "F1") // the first of all makes them
	db, err := sql.Open("sqlite", filepath.Join(s.dir, "data", "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	version := func() (n int) {
		if err := db.QueryRow(`PRAGMA user_version`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	was := version()
	if _, err := db.Exec(`PRAGMA user_version = 7`); err != nil || was <= 7 {
		t.Fatalf("version %d: %v", was, err)
	}
	for _, args := range [][]string{{"code", "new", "--facility", "F1"}, {"devices", "ls"}, {"audit", "export"}, {"receipts", "show", "--study", "1.2"}, {"kpi", "--from", "2026-01-01", "--to", "2026-01-02"}, {"token", "ls"}} {
		out, err := s.command(args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "start hubd run of this version first") {
			t.Errorf("%v: %v: %s", args, err, out)
		}
	}
	if version() != 7 {
		t.Errorf("a command has brought the rows to version %d", version())
	}
}

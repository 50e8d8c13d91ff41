package main

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edged/hub/ledger"
	"edged/internal/pglab"
	"edged/uplink"
	"edged/uplink/uplinktest"
)

// archiveGoes and archiveComes are what the disk of the archive does.
func (s *site) archiveGoes() {
	s.Helper()
	if err := os.Rename(s.archive, s.archive+".away"); err != nil {
		s.Fatal(err)
	}
}

func (s *site) archiveComes() {
	s.Helper()
	if err := os.Rename(s.archive+".away", s.archive); err != nil {
		s.Fatal(err)
	}
}

// The drill of docs/operations.md: a backup of the rows beside a running hub, more is
// received and archived, and then the hub's disk is gone with rows and objects. From
// the backup and the appliance everything ends archived, once and identical. Objects
// that the appliance has forgotten, because they were archived after the backup, it is
// not asked for: the archive has them.
func TestDrillADiskIsLostAfterTheBackup(t *testing.T) {
	for name, database := range map[string]func(*testing.T) string{
		"into SQLite":     func(*testing.T) string { return "" },
		"into PostgreSQL": func(t *testing.T) string { return "database: " + pglab.Start(t) + "\n" },
	} {
		t.Run(name, func(t *testing.T) { drill(t, database(t)) })
	}
}

func drill(t *testing.T, database string) {
	s := newSite(t)
	p := s.start()
	b := s.enrol()
	source := uplinktest.NewSource()
	next := uint64(0)
	send := func(state uplinktest.State) {
		t.Helper()
		want := source.Count(state) + 4
		for range 4 {
			next++
			source.Add(next, 40_000+int(next)*100, 1)
		}
		s.uplink(b, source, func(*uplink.Uplink) bool { return source.Count(state) == want })
	}
	send(uplinktest.Archived)
	s.archiveGoes()
	send(uplinktest.AtHub)
	ca, err := os.ReadFile(filepath.Join(s.dir, "data", "ca", "ca.pem")) // what a backup of the CA is
	if err != nil {
		t.Fatal(err)
	}
	dump := filepath.Join(t.TempDir(), "ledger.dump")
	if out := s.do("ledger", "backup", dump); !strings.Contains(out, "8 objects") {
		t.Errorf("backup says %q", out)
	}
	s.archiveComes()
	s.uplink(b, source, func(*uplink.Uplink) bool { return source.Count(uplinktest.Archived) == 8 })
	send(uplinktest.Archived)
	s.archiveGoes()
	send(uplinktest.AtHub)
	p.kill()

	if err := os.RemoveAll(filepath.Join(s.dir, "data")); err != nil {
		t.Fatal(err)
	}
	s.archiveComes()
	s.more = database
	s.configure()
	if err := os.MkdirAll(filepath.Join(s.dir, "data", "ca"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "data", "ca", "ca.pem"), ca, 0o600); err != nil {
		t.Fatal(err)
	}
	s.do("ledger", "verify", dump)
	if out := s.do("ledger", "restore", dump); !strings.Contains(out, "4 objects were not archived then; the bytes of 4 of them are not here") {
		t.Errorf("restore says %q", out)
	}
	s.do("audit", "verify")
	opens := source.Opens
	p = s.start()
	s.uplink(b, source, func(*uplink.Uplink) bool {
		return source.Count(uplinktest.Archived) == 16 && s.status(p).Counters.Archived == 12
	})
	if sent := source.Opens - opens; sent != 4 || source.Losses != 0 || len(source.Troubles) != 0 {
		t.Errorf("%d objects were sent again, %d asked for in vain, troubles %+v", sent, source.Losses, source.Troubles)
	}
	if st := s.status(p); st.Counters.Lost+st.Counters.Quarantined+st.Counters.Held != 0 || st.State != "ok" {
		t.Errorf("%s %+v", st.State, st.Counters)
	}
	source.Each(func(it *uplinktest.Item) {
		s.identical(filepath.Join(s.archive, it.Study, it.ID.String()+".dcm"), it.Data)
	})
	if kept, err := filepath.Glob(filepath.Join(s.archive, "*", "*.dcm")); err != nil || len(kept) != 16 {
		t.Errorf("the archive has %d files: %v", len(kept), err)
	}
}

func TestABackupIsWholeOrNotThereAndNeverWrittenOver(t *testing.T) {
	s := newSite(t)
	s.enrolled()
	name := filepath.Join(s.dir, "dump")
	s.do("ledger", "backup", name)
	first, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if out, err := s.command("ledger", "backup", name).CombinedOutput(); err == nil || !strings.Contains(string(out), "never written over") {
		t.Errorf("%v: %s", err, out)
	}
	if again, err := os.ReadFile(name); err != nil || string(again) != string(first) {
		t.Errorf("it has changed: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(s.dir, ".dump*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if out := s.do("ledger", "backup", "-"); !strings.HasPrefix(out, `{"format":"edged-hub-ledger"`) {
		t.Errorf("standard output begins with %.40q", out)
	}
	if err := os.WriteFile(name, first[:len(first)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"verify", "restore"} {
		if out, err := s.command("ledger", verb, name).CombinedOutput(); err == nil || !strings.Contains(string(out), "it was cut") {
			t.Errorf("%s of a cut one: %v: %s", verb, err, out)
		}
	}
}

// enrolled makes a ledger with something in it, without a running hub.
func (s *site) enrolled() {
	s.Helper()
	s.do("code", "new", "--facility", "F1")
}

// Beside a running hub, or over rows, nothing is restored.
func TestARestoreIsRefusedWhereAHubRunsOrHasRun(t *testing.T) {
	s := newSite(t)
	s.enrolled()
	dump := filepath.Join(s.dir, "dump")
	s.do("ledger", "backup", dump)
	if out, err := s.command("ledger", "restore", dump).CombinedOutput(); err == nil || !strings.Contains(string(out), ledger.ErrNotEmpty.Error()) {
		t.Errorf("over rows: %v: %s", err, out)
	}
	other := newSite(t)
	other.start()
	if out, err := other.command("ledger", "restore", dump).CombinedOutput(); err == nil || !strings.Contains(string(out), "is used by another hubd that runs") {
		t.Errorf("beside a hub: %v: %s", err, out)
	}
	if ls := other.do("devices", "ls"); strings.Count(ls, "\n") != 1 {
		t.Error(fmt.Sprint("restored all the same: ", ls))
	}
}

// Rows of an older version are refused before anything is done to them: other nodes may
// run over them.
func TestARestoreLeavesRowsOfAnOlderVersionAsTheyAre(t *testing.T) {
	s := newSite(t)
	s.enrolled()
	dump := filepath.Join(s.dir, "dump")
	s.do("ledger", "backup", dump)
	path := filepath.Join(s.dir, "data", "ledger.db")
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var before, after int
	if err := db.QueryRow(`PRAGMA user_version`).Scan(&before); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(fmt.Sprintf(`PRAGMA user_version = %d`, before-1)); err != nil {
		t.Fatal(err)
	}
	out, err := s.command("ledger", "restore", dump).CombinedOutput()
	if err == nil || !strings.Contains(string(out), ledger.ErrNotEmpty.Error()) || !strings.Contains(string(out), ledger.ErrOlder.Error()) {
		t.Errorf("%v: %s", err, out)
	}
	if err := db.QueryRow(`PRAGMA user_version`).Scan(&after); err != nil || after != before-1 {
		t.Errorf("version %d, then %d, %v", before-1, after, err)
	}
}

// Whoever takes all rows away stands in them, and in what he took.
func TestABackupIsInTheTrail(t *testing.T) {
	s := newSite(t)
	s.do("ledger", "backup", filepath.Join(s.dir, "dump"))
	want := fmt.Sprintf(`"action":"ledger backup","subject":%q`, filepath.Join(s.dir, "dump"))
	if trail := s.do("audit", "export"); !strings.Contains(trail, want) {
		t.Errorf("the trail:\n%s", trail)
	}
	if dump := s.do("ledger", "backup", "-"); strings.Count(dump, "ledger backup") != 2 {
		t.Error("the dump does not say who has taken it")
	}
}

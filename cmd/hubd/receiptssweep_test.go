package main

import (
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// files are those of receipts on the shelf.
func (s *site) files() []string {
	left, _ := filepath.Glob(filepath.Join(s.dir, "data", "objects", "docs", "receipts", "*", "*", "*", "*"))
	return left
}

// A hub that is killed between a file of receipts and its row leaves a file that nothing
// names. It goes some days later, and after two looks; what a row names stays, and what
// was written before the rows were restored, and what another ledger has signed.
func TestFilesOfReceiptsWithoutARowAreSwept(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(*testing.T, *site, *keeper)
		left   int
	}{
		{"it means nothing", func(*testing.T, *site, *keeper) {}, 1},
		{"the rows were restored since", func(t *testing.T, s *site, _ *keeper) {
			db, err := sql.Open("sqlite", "file:"+filepath.Join(s.dir, "data", "ledger.db")+"?_pragma=busy_timeout(10000)")
			if err == nil {
				_, err = db.Exec(`INSERT INTO meta (key, value) VALUES ('restored_at', ?)`, time.Now().AddDate(0, 0, 33).UnixMilli())
			}
			if err = errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
		}, 2},
		{"of another ledger", func(_ *testing.T, _ *site, k *keeper) { k.id = "another" }, 2},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := newSite(t)
			first := s.hubless()
			archive(t, first.ledger, instance("a", "1.2.3", 1))
			first.end()
			child := exec.Command(os.Args[0], "-test.run=^TestFoldChild$", "-test.v")
			child.Env = append(os.Environ(), killFold+"=after file", "TEST_HUBD_CONFIG="+s.config)
			_ = child.Run() // killed, see TestAKillAtAnyStepOfFoldingIsHarmless
			if n := len(s.files()); n != 1 {
				t.Fatalf("%d files after the kill", n)
			}
			k := s.keeper()
			k.now = func() time.Time { return time.Now().Add(31*24*time.Hour + 2*time.Second) } // another second is another file
			k.must(t, 1, 0)
			k.must(t, 0, 0)
			if n := len(s.files()); n != 2 {
				t.Fatalf("%d files of a day that has not ended", n)
			}
			k.now = func() time.Time { return time.Now().AddDate(0, 0, 34) }
			c.change(t, s, k)
			k.must(t, 0, 0)
			k.must(t, 0, 2-c.left)
			k.must(t, 0, 0)
			if n := len(s.files()); n != c.left {
				t.Errorf("%d files are left, want %d", n, c.left)
			}
			if c.left == 1 {
				k.file(t, "1.2.3")
			}
		})
	}
}

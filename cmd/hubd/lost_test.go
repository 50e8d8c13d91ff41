package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edged/internal/dicom"
	"edged/uplink"
	"edged/uplink/uplinktest"
)

// file is the hub's copy of an object.
func (s *site) file(id dicom.ID) string {
	s.Helper()
	found, err := filepath.Glob(filepath.Join(s.dir, "data", "objects", "objects", "*", id.String()+".dcm"))
	if err != nil || len(found) != 1 {
		s.Fatalf("%v %v", found, err)
	}
	return found[0]
}

// P14: while the archive is away the hub's disk loses one object and flips a bit
// in another. Both come again from the appliance, unaided, and arrive.
func TestWhatTheHubsDiskLosesComesAgainAndArrives(t *testing.T) {
	s := newSite(t)
	s.shadow = true
	s.configure()
	p := s.start()
	b := s.enrol()
	source := uplinktest.NewSource()
	for n := range 6 {
		source.Add(uint64(n), 50_000, 1)
	}
	s.uplink(b, source, func(*uplink.Uplink) bool { return source.Count(uplinktest.AtHub) == 6 })
	p.kill()
	var all []*uplinktest.Item
	source.Each(func(it *uplinktest.Item) { all = append(all, it) })
	if err := os.Remove(s.file(all[0].ID)); err != nil {
		t.Fatal(err)
	}
	flip(t, s.file(all[1].ID))
	s.shadow = false
	s.configure()
	p = s.start()
	s.uplink(b, source, func(*uplink.Uplink) bool { return source.Count(uplinktest.Archived) == 6 })
	for _, it := range all {
		s.identical(filepath.Join(s.archive, it.Study, it.ID.String()+".dcm"), it.Data)
	}
	if source.Losses < 2 {
		t.Errorf("%d were told to be lost", source.Losses)
	}
	if st := s.status(p); st.Counters.Lost+st.Counters.Quarantined != 0 || st.State != "ok" {
		t.Errorf("%+v", st.Counters)
	}
}

// copyLedger makes the rows in one directory those of the other.
func (s *site) copyLedger(to, from string) {
	s.Helper()
	for _, name := range []string{"ledger.db", "ledger.db-wal", "ledger.db-shm"} {
		os.Remove(filepath.Join(to, name))
	}
	for _, name := range []string{"ledger.db", "ledger.db-wal"} {
		data, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), data, 0o600)
		}
		if err != nil {
			s.Fatal(err)
		}
	}
}

func flip(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// The rows come from a backup that knows nothing of what the appliance sent
// since: after one word of the administrator it all comes again.
func TestAfterARestoreEverythingIsOfferedAgain(t *testing.T) {
	s := newSite(t)
	p := s.start()
	b := s.enrol()
	p.stop(t)
	backup := t.TempDir()
	s.copyLedger(backup, filepath.Join(s.dir, "data"))
	s.shadow = true
	s.configure()
	p = s.start()
	source := uplinktest.NewSource()
	source.Add(1, 50_000, 1)
	s.uplink(b, source, func(*uplink.Uplink) bool { return source.Count(uplinktest.AtHub) == 1 })
	p.kill()
	s.copyLedger(filepath.Join(s.dir, "data"), backup)
	if out := s.do("ledger", "restored"); !strings.Contains(out, "generation 2") {
		t.Errorf("says %q", out)
	}
	s.shadow = false
	s.configure()
	s.start()
	s.uplink(b, source, func(*uplink.Uplink) bool { return source.Count(uplinktest.Archived) == 1 })
}

package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"edged/uplink"
	"edged/uplink/uplinktest"
)

// After retain_archived the hub's copies go, and nothing else does: the counters,
// the archive, and the answer to an appliance that has forgotten that it sent them.
func TestArchivedCopiesGoAndStayKnown(t *testing.T) {
	s := newSite(t)
	p := s.start()
	b := s.enrol()
	source, again := uplinktest.NewSource(), uplinktest.NewSource()
	for n := range 3 {
		source.Add(uint64(n), 50_000, 1)
		again.Add(uint64(n), 50_000, 1)
	}
	archived := func(source *uplinktest.Source) func(*uplink.Uplink) bool {
		return func(*uplink.Uplink) bool { return source.Count(uplinktest.Archived) == 3 }
	}
	s.uplink(b, source, archived(source))
	source.Each(func(it *uplinktest.Item) { s.file(it.ID) }) // still there
	p.stop(t)
	s.more = "retain_archived: 0s\n"
	s.configure()
	p = s.start()
	copies := filepath.Join(s.dir, "data", "objects", "objects", "*", "*.dcm")
	for deadline := time.Now().Add(30 * time.Second); ; <-time.After(5 * time.Millisecond) {
		if left, err := filepath.Glob(copies); err == nil && len(left) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the copies are still there")
		}
	}
	s.uplink(b, again, archived(again))
	if again.Opens != 0 {
		t.Errorf("%d objects were sent again", again.Opens)
	}
	st := s.status(p)
	if st.Counters.Archived != 3 || st.Counters.Objects != 3 || st.State != "ok" || st.Disk.Full || st.Disk.FreeBytes <= 0 || st.Disk.ReserveBytes <= 0 {
		t.Errorf("%+v", st)
	}
	source.Each(func(it *uplinktest.Item) {
		if _, err := os.Stat(filepath.Join(s.archive, it.Study, it.ID.String()+".dcm")); err != nil {
			t.Error(err)
		}
	})
}

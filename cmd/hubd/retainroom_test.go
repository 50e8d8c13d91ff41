package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"edged/uplink"
	"edged/uplink/uplinktest"
)

// An archive that is not required and is away fills a small disk with what it has not got.
// The copies make room, it is said how many, and everything new goes to the required one (P6).
func TestAnArchiveThatIsNotRequiredStopsNobodyWhenTheDiskIsFull(t *testing.T) {
	s := newSite(t)
	data := filepath.Join(s.dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", data, "tmpfs", 0, "size=128m,mode=0700"); err != nil {
		t.Skip("needs root to mount a small disk:", err)
	}
	t.Cleanup(func() { syscall.Unmount(data, syscall.MNT_DETACH) })
	s.only = fmt.Sprintf("destinations:\n- {name: archive, type: dir, path: %s, create: true}\n- {name: copy, type: dir, path: %s/away, required: false}\n", s.archive, s.dir)
	s.more = "retain_archived: 0s\n"
	s.configure()
	p := s.start()
	b := s.enrol()
	source := uplinktest.NewSource()
	const all = 75
	for n := range uint64(all) {
		source.Add(n, 2<<20, 1)
	}
	s.uplink(b, source, func(*uplink.Uplink) bool { return source.Count(uplinktest.Archived) == all })
	// What is shown is a second old, and more may go meanwhile.
	await(t, "how many it has not got to be shown", func() bool {
		st := s.status(p)
		d, said := st.Destinations[1], strings.Join(st.Warnings, "\n")
		return d.Skipped > 0 && d.Skipped+d.BacklogObjects == all && strings.Contains(said, fmt.Sprintf("destination copy: it has not got %d objects", d.Skipped)) && !st.Disk.Full
	})
}

package receive_test

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"edged/internal/dicom"
	"edged/uplink"
	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

// TestAnObjectBeyond4GiB goes through in constant memory. It writes 4 GiB, so
// it runs only when UPLINK_LARGE is set.
func TestAnObjectBeyond4GiB(t *testing.T) {
	if os.Getenv("UPLINK_LARGE") == "" {
		t.Skip("writes 4 GiB: set UPLINK_LARGE=1")
	}
	const size = 4<<30 + 12345
	o, _ := uplinktest.MakeObject(1, 0, wire.Routine)
	o.Length = size
	dir := t.TempDir()
	o.ID = sparse(t, dir, o.Names, size)
	w := newWorld(t)
	w.start()
	source := uplinktest.NewSource()
	source.AddObject(o)
	_, stop := w.appliance("one", source, func(c *uplink.Config) { c.Source = fileSource{source, dir} })
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	eventually(t, "4 GiB to arrive", func() bool { return source.Count(uplinktest.Archived) == 1 })
	runtime.ReadMemStats(&after)
	stop()
	if grown := int64(after.Sys) - int64(before.Sys); grown > 64<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	} else {
		t.Logf("memory from the system grew by %d MiB", grown>>20)
	}
	stored, err := w.store.Open(o.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer stored.Close()
	if err := stored.Verify(); err != nil || stored.Length() != size {
		t.Errorf("%d bytes, %v", stored.Length(), err)
	}
}

// sparse makes a file of zeros with one byte at the end, named by its ID.
func sparse(t *testing.T, dir string, n dicom.Names, size int64) (id dicom.ID) {
	t.Helper()
	file, err := os.Create(filepath.Join(dir, "new"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteAt([]byte{1}, size-1); err != nil {
		t.Fatal(err)
	}
	h := n.NewHash()
	if _, err := io.Copy(h, io.NewSectionReader(file, 0, size)); err != nil {
		t.Fatal(err)
	}
	h.Sum(id[:0])
	if err := os.Rename(file.Name(), filepath.Join(dir, id.String())); err != nil {
		t.Fatal(err)
	}
	return id
}

package objects_test

import (
	"crypto/sha256"
	"errors"
	"log/slog"
	"testing"
	"time"

	"edged/hub/objects"
	"edged/internal/dicom"
)

// claimed claims an object of n bytes for a device and writes so many of them.
func claimed(t *testing.T, s *objects.Store, device, name string, n, written int) (*objects.Partial, error) {
	t.Helper()
	names := dicom.Names{TransferSyntax: "1.2.840.10008.1.2.1", SOPClass: "1.2.840.10008.5.1.4.1.1.2", SOPInstance: "1.2.3"}
	c, err := s.Claim(device, dicom.ID(sha256.Sum256([]byte(name))), names, int64(n))
	if err != nil {
		return nil, err
	}
	if _, err := c.Write(make([]byte, written)); err != nil {
		t.Fatal(err)
	}
	return c, nil
}

// On a disk that is short, what nobody has claimed for a while makes room for what
// comes, whosever it is, the longest unused first; what somebody sends now stays, and when
// only that is there the next one is told to come later, and nothing is lost.
func TestWhatNobodyClaimsMakesRoomForOthers(t *testing.T) {
	const mib = 1 << 20
	s, err := objects.Open(objects.Config{Dir: t.TempDir(), ReserveBytes: 10 * mib, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	devices := []string{"a", "b", "c", "d"}
	used := func() (n int64) {
		for _, d := range devices {
			n += s.PartialBytes(d)
		}
		return n
	}
	s.Disk(100*mib, used, 0) // of which 10 stay free
	for _, d := range []string{"a", "b"} {
		c, err := claimed(t, s, d, d, 40*mib, 30*mib)
		if err != nil {
			t.Fatal(err)
		}
		c.Release()
	}
	if _, err := claimed(t, s, "c", "c", 25*mib, 20*mib); err != nil {
		t.Fatal("30 MiB are free, and 25 are refused:", err)
	}
	if s.PartialBytes("a") == 0 || s.PartialBytes("b") == 0 {
		t.Fatal("there was room, and something was dropped")
	}
	s.Disk(100*mib, used, time.Hour)
	if _, err := claimed(t, s, "d", "d", 30*mib, 0); !errors.Is(err, objects.ErrFull) {
		t.Fatalf("%v: what was left a moment ago is dropped, or the disk's reserve", err)
	}
	s.Disk(100*mib, used, 0)
	if _, err := claimed(t, s, "d", "d", 30*mib, 30*mib); err != nil {
		t.Fatal("what nobody claims makes no room:", err)
	}
	if s.PartialBytes("a") != 0 || s.PartialBytes("b") == 0 || s.PartialBytes("c") == 0 {
		t.Errorf("left are %d, %d, %d bytes: want the first gone, the others there", s.PartialBytes("a"), s.PartialBytes("b"), s.PartialBytes("c"))
	}
	if _, err := claimed(t, s, "a", "a", 60*mib, 0); !errors.Is(err, objects.ErrFull) {
		t.Errorf("claimed beyond what there is: %v", err)
	}
	if s.PartialBytes("c") == 0 || s.PartialBytes("d") == 0 {
		t.Error("what is being sent was dropped")
	}
}

package objects_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"edged/hub/objects"
	"edged/internal/dicom"
)

// sealed has data sealed for a device, without a row.
func sealed(t *testing.T, s *objects.Store, device string, data []byte) {
	t.Helper()
	p := claim(t, s, device, data)
	write(t, p, data[p.Offset():])
	if err := errors.Join(s.Seal([]*objects.Partial{p})...); err != nil {
		t.Fatal(err)
	}
	p.Release()
}

// TestWhatIsSealedWithoutARowNeedsNoBytesAgain: its row could not be written, or the
// hub ended before it was. It is its appliance's alone, whoever else asks.
func TestWhatIsSealedWithoutARowNeedsNoBytesAgain(t *testing.T) {
	onBoth(t, whatIsSealedWithoutARowNeedsNoBytesAgain)
}

func whatIsSealedWithoutARowNeedsNoBytesAgain(t *testing.T) {
	for name, between := range map[string]func(*objects.Store, string) *objects.Store{
		"the same life": func(s *objects.Store, _ string) *objects.Store { return s },
		"the next one":  func(s *objects.Store, dir string) *objects.Store { s.Close(); return open(t, dir, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, data := t.TempDir(), bytesOf(1, 100_000)
			s := open(t, dir, 0)
			for range 3 {
				sealed(t, s, "one", data)
				s = between(s, dir)
				if p := claim(t, s, "two", data); p.Offset() != 0 {
					t.Fatal("it answers for another appliance")
				} else {
					p.Release()
				}
				p := claim(t, s, "one", data)
				if p.Offset() != int64(len(data)) || !p.Complete() {
					t.Fatalf("goes on at %d", p.Offset())
				}
				p.Release()
			}
			if err := seal(s, claim(t, s, "one", data)); err != nil {
				t.Fatal(err)
			}
			check(t, s, names, data)
			nothingLeft(t, s, dir)
		})
	}
}

// TestARowEndsWhatAnEarlierLifeLeft: the hub ended between the row and the end of
// the partial object; the appliance offers it again and is answered from the row.
func TestARowEndsWhatAnEarlierLifeLeft(t *testing.T) { onBoth(t, aRowEndsWhatAnEarlierLifeLeft) }

func aRowEndsWhatAnEarlierLifeLeft(t *testing.T) {
	dir, data := t.TempDir(), bytesOf(1, 1000)
	s := open(t, dir, 0)
	sealed(t, s, "one", data)
	s.Close()
	s = open(t, dir, 0)
	s.Recorded("two", idOf(names, data))
	busy := claim(t, s, "one", data)
	s.Recorded("one", idOf(names, data))
	if busy.Release(); s.PartialBytes("one") == 0 {
		t.Fatal("it was taken away from who is at it, or by another")
	}
	s.Recorded("one", idOf(names, data))
	if left := files(t, filepath.Join(dir, "partial")); len(left) > 0 || s.PartialBytes("one") != 0 {
		t.Errorf("left: %v, %d bytes", left, s.PartialBytes("one"))
	}
	check(t, s, names, data)
}

// TestNobodyWritesToAnObject: who announces another length, or other names, for an ID
// that is sealed without a row begins a file of its own (P3).
func TestNobodyWritesToAnObject(t *testing.T) { onBoth(t, nobodyWritesToAnObject) }

func nobodyWritesToAnObject(t *testing.T) {
	other := names
	other.SOPInstance = "2.25.2"
	for name, lie := range map[string]struct {
		names dicom.Names
		more  int
	}{"longer": {names, 500}, "shorter": {names, -500}, "other names": {other, 0}, "other names, longer": {other, 500}} {
		for _, restart := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				dir, data := t.TempDir(), bytesOf(1, 1000)
				s := open(t, dir, 0)
				sealed(t, s, "one", data)
				if restart {
					s.Close()
					s = open(t, dir, 0)
				}
				p, err := s.Claim("one", idOf(names, data), lie.names, int64(len(data)+lie.more))
				if err != nil {
					t.Fatal(err)
				}
				if p.Offset() != 0 && bucketOf(t, dir) == nil { // where the file is the object's, too
					t.Fatalf("goes on at %d", p.Offset())
				}
				write(t, p, bytesOf(2, len(data)+lie.more)[p.Offset():])
				if err := seal(s, p); !errors.Is(err, objects.ErrDigest) {
					t.Fatalf("sealed: %v", err)
				}
				check(t, s, names, data)
			})
		}
	}
}

// TestTwoAppliancesOneRowlessObject: the second one's copy takes the name; both can
// be recorded without bytes.
func TestTwoAppliancesOneRowlessObject(t *testing.T) { onBoth(t, twoAppliancesOneRowlessObject) }

func twoAppliancesOneRowlessObject(t *testing.T) {
	dir, data := t.TempDir(), bytesOf(1, 1000)
	s := open(t, dir, 0)
	sealed(t, s, "one", data)
	sealed(t, s, "two", data)
	s.Close()
	s = open(t, dir, 0)
	for _, device := range []string{"one", "two"} {
		p := claim(t, s, device, data)
		if !p.Complete() {
			t.Errorf("%s: goes on at %d", device, p.Offset())
		}
		if err := seal(s, p); err != nil {
			t.Error(err)
		}
	}
	check(t, s, names, data)
}

// TestAFileLeftBehindIsNotTruncated: what could not be removed may be an object's.
func TestAFileLeftBehindIsNotTruncated(t *testing.T) {
	dir, data := t.TempDir(), bytesOf(1, 1000)
	s := open(t, dir, 0)
	sealed(t, s, "one", data)
	left := files(t, filepath.Join(dir, "partial"))[0]
	claim(t, s, "one", data).Recorded()
	if err := os.Link(files(t, filepath.Join(dir, "objects"))[0], left); err != nil {
		t.Fatal(err)
	}
	p := claim(t, s, "one", data)
	write(t, p, data)
	check(t, s, names, data)
	if err := seal(s, p); err != nil {
		t.Fatal(err)
	}
	check(t, s, names, data)
}

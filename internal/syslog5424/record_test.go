package syslog5424

import (
	"bytes"
	"fmt"
	"testing"
)

// sample is a segment with messages, and where each record ends.
func sample(number uint64, bodies ...string) (b []byte, ends []int) {
	b = []byte(magic)
	for _, body := range bodies {
		b = record{kindMessage, []byte(body)}.encode(b, number)
		ends = append(ends, len(b))
	}
	return b, ends
}

func TestRecordsAreReadAsTheyWereWritten(t *testing.T) {
	b, _ := sample(7, "one", "two")
	b = lost(5, moment).encode(b, 7)
	all, valid := records(b, 7)
	if valid != len(b) || len(all) != 3 || string(all[0].body) != "one" || string(all[1].body) != "two" {
		t.Fatalf("%d of %d bytes: %q", valid, len(b), all)
	}
	if n, at := all[2].lost(); n != 5 || at.UnixMicro() != moment.UnixMicro() {
		t.Errorf("lost %d at %v", n, at)
	}
	if all, _ := records(b, 8); len(all) != 0 {
		t.Errorf("%d records of another segment were taken", len(all))
	}
}

// Drawn in doc.go, byte by byte.
func TestASegmentIsAsDrawn(t *testing.T) {
	b, _ := sample(1, "hi")
	got := fmt.Sprintf("%x", b)
	if want := "45444753" + "59534c31" + "00000002" + "01" + "6869" + "04e8b6d8"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestNoFlippedBitIsTakenForAMessage(t *testing.T) {
	b, _ := sample(7, "one", "two")
	for i := len(magic) * 8; i < len(b)*8; i++ {
		bad := bytes.Clone(b)
		bad[i/8] ^= 1 << (i % 8)
		all, _ := records(bad, 7)
		for j, r := range all {
			if string(r.body) != []string{"one", "two"}[j] {
				t.Fatalf("bit %d: record %d became %q", i, j, r.body)
			}
		}
		if len(all) == 2 {
			t.Fatalf("bit %d was not seen", i)
		}
	}
}

// Whatever stands in a file: what is read is a beginning of it, record by record, and
// writing it again gives the same bytes.
func FuzzSegment(f *testing.F) {
	b, ends := sample(7, "one", "two")
	f.Add(b, uint64(7))
	f.Add(lost(3, moment).encode(bytes.Clone(b), 7), uint64(7))
	f.Add(b[:ends[0]+3], uint64(7))
	f.Add([]byte(magic+"\xff\xff\xff\xff\x01"), uint64(1))
	f.Add([]byte{}, uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, number uint64) {
		all, valid := records(b, number)
		if valid > len(b) || valid == 0 && len(all) > 0 {
			t.Fatalf("%d of %d bytes", valid, len(b))
		}
		again := []byte(magic)
		for _, r := range all {
			if len(r.body) > MaxMessage {
				t.Fatalf("%d bytes in a message", len(r.body))
			}
			if n, _ := r.lost(); n < 0 {
				t.Fatalf("%d lost", n)
			}
			again = r.encode(again, number)
		}
		if valid > 0 && !bytes.Equal(again, b[:valid]) {
			t.Fatalf("read %x, wrote %x", b[:valid], again)
		}
	})
}

package spool

import (
	"errors"
	"strings"
	"syscall"
	"testing"
)

// noNames is a full disk on which the journal's directory has no room for a name,
// the first n times that one is to be put there.
func noNames(n int) func(kind, name string) error {
	return func(kind, name string) error {
		if kind == "rename" && strings.HasPrefix(name, journalDir+"/") && n > 0 {
			n--
			return syscall.ENOSPC
		}
		return nil
	}
}

// P7: no room for the name of a segment is a full disk, and nothing worse: the
// ballast makes room, and without it a start sends, and receipts wait.
func TestNoRoomForTheNameOfASegmentIsAFullDisk(t *testing.T) {
	fs := newMemFS()
	cfg := memConfig(fs)
	s := open(t, cfg)
	o, _ := put(t, s, newSample(1), sample(1, 500))
	s.Close()
	last := lastSegment(t, fs)
	fs.fault = noNames(1)
	s = open(t, cfg)
	if gen := lastSegment(t, fs); gen != last+1 {
		t.Errorf("segment %d, want %d: the ballast made no room", gen, last+1)
	}
	s.Close()
	last = lastSegment(t, fs)
	fs.fault = noNames(1 << 20)
	s = open(t, cfg)
	wantContent(t, s, o.ID, sample(1, 500))
	if err := s.AtHub(t.Context(), receipt(o)); !errors.Is(err, ErrFull) || s.Err() != nil {
		t.Errorf("receipt: %v, want ErrFull; the spool: %v", err, s.Err())
	}
	if _, err := fs.walk(journalDir + "/next.tmp"); err == nil || lastSegment(t, fs) != last {
		t.Error("a temporary segment stays, or an older one went")
	}
	fs.fault = nil
	if err := s.AtHub(t.Context(), receipt(o)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open(t, cfg)
	wantState(t, s, o.ID, AtHub)
}

// P7: the same while it runs: the old segment goes on growing.
func TestNoRoomForTheNameOfTheNextSegmentEndsNothing(t *testing.T) {
	fs := newMemFS()
	cfg := memConfig(fs)
	cfg.JournalBytes = 512
	s := open(t, cfg)
	fs.fault = noNames(1 << 20)
	var last Object
	for i := range 40 {
		last, _ = put(t, s, newSample(i), sample(i, 100))
		if err := s.AtHub(t.Context(), receipt(last)); err != nil {
			t.Fatal(err)
		}
	}
	if s.journal.size < 2048 {
		t.Errorf("the segment has %d bytes: no other one was tried", s.journal.size)
	}
	s.Close()
	fs.fault = nil
	s = open(t, cfg)
	wantState(t, s, last.ID, AtHub)
}

package spool

import (
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// P14: a file that vanished is damage, and needs no other object to be read first:
// here it is the last one.
func TestScrubFindsAVanishedFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newMemFS()
		s := open(t, memConfig(fs))
		var last Object
		for i := range 3 {
			last, _ = put(t, s, newSample(i), sample(i, 1000))
		}
		if err := fs.Remove(objectName(last.Seq)); err != nil {
			t.Fatal(err)
		}
		scrubFor(t, s, time.Minute)
		o, err := s.Object(last.ID)
		if err != nil || !o.Damaged || o.State != Quarantined || !strings.Contains(o.Reason, "its file is gone") {
			t.Fatalf("%+v, %v; want it damaged, because its file is gone", o, err)
		}
		if st := s.Stats(); st.Damaged != 1 || st.Scrub.Damaged != 1 {
			t.Fatalf("%+v; want one damaged", st)
		}
	})
}

// failsFirst cannot be read before it has failed often enough.
type failsFirst struct {
	File
	left *atomic.Int64
}

func (f failsFirst) ReadAt(p []byte, off int64) (int, error) {
	if f.left.Add(-1) >= 0 {
		return 0, syscall.EIO
	}
	return f.File.ReadAt(p, off)
}

// A loose cable: what the second open reads is not damaged, although all behind it
// can be read. Only what two opens cannot read is.
func TestScrubOpensTwiceBeforeItCondemns(t *testing.T) {
	for failures, want := range map[int64]int64{1: 0, 2: 1} {
		synctest.Test(t, func(t *testing.T) {
			fs := &betweenFS{memFS: newMemFS()}
			s := open(t, memConfig(fs))
			for i := range 3 {
				put(t, s, newSample(i), sample(i, 1000))
			}
			var left atomic.Int64
			left.Store(failures)
			fs.opened = func(name string, f File) (File, error) {
				if name == objectName(2) {
					return failsFirst{f, &left}, nil
				}
				return f, nil
			}
			scrubFor(t, s, time.Minute)
			if left.Load() > 0 {
				t.Fatal("nothing was read: nothing failed")
			}
			if st := s.Stats(); st.Damaged != want || st.Scrub.Damaged != want || st.Scrub.Objects != 3 {
				t.Fatalf("%d reads failed: %+v; want %d damaged", failures, st, want)
			}
		})
	}
}

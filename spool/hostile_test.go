package spool

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// P6: an object whose inode the file system cannot read (EUCLEAN, EBADMSG on XFS and
// ext4 with checksums) keeps the whole spool from opening; it should be told as lost,
// its file left where it is, and everything else go on.
// (b == nil), Reader.object.
type badInodeFS struct {
	*memFS
	name string
}

func (f badInodeFS) Open(name string) (File, error) {
	if name == f.name {
		return nil, &os.PathError{Op: "open", Path: name, Err: syscall.EUCLEAN}
	}
	return f.memFS.Open(name)
}

func TestOneBadInodeHoldsNothingUp(t *testing.T) {
	fs := newMemFS()
	s := open(t, memConfig(fs))
	for n := range 3 {
		put(t, s, routineSample(n), sample(n, 100))
	}
	s.Close()
	s, err := Open(context.Background(), memConfig(badInodeFS{fs, objectName(2)}))
	if err != nil {
		t.Fatalf("one bad inode: %v", err)
	}
	s.Close()
}

// A read error that passes (a loose cable) while the spool starts: the file goes to
// quarantine, is whole there, and no start ever looks again; the object is never
// sent.
// whole goes back, and its facts lose "damaged".
type flakyFS struct {
	*memFS
	name string
	bad  *bool
}

type flakyFile struct {
	File
	bad *bool
}

func (f flakyFS) Open(name string) (File, error) {
	file, err := f.memFS.Open(name)
	if err == nil && strings.HasSuffix(name, filepath.Base(f.name)) {
		return flakyFile{file, f.bad}, nil
	}
	return file, err
}

func (f flakyFile) ReadAt(p []byte, off int64) (int, error) {
	if *f.bad {
		return 0, syscall.EIO
	}
	return f.File.ReadAt(p, off)
}

func TestAReadErrorThatPassesLosesNothing(t *testing.T) {
	fs := newMemFS()
	s := open(t, memConfig(fs))
	o, _ := put(t, s, routineSample(1), sample(1, 100))
	s.Close()
	bad := true
	cfg := memConfig(flakyFS{fs, objectName(o.Seq), &bad})
	s = open(t, cfg)
	s.Close()
	bad = false
	s = open(t, cfg)
	if got, err := s.Object(o.ID); err != nil || got.State != Received {
		t.Fatalf("%+v, %v; its bytes are whole", got, err)
	}
	c, err := s.Open(o.ID)
	if err == nil {
		_, err = io.ReadAll(c.Checked(0))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// P1: an acknowledged object of which no receipt came yet, and whose name the disk
// lost: nobody is told. But the index knew it: rows are written behind the commit,
// so a row that has neither a file nor a tombstone is an object that vanished.
// index.compare deletes these rows without a word.
func TestAnObjectThatVanishedIsTold(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	var last Object
	for n := range 3 {
		last, _ = put(t, s, newSample(n), sample(n, 100))
	}
	if err := s.Sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := os.Remove(filepath.Join(cfg.Dir, objectName(last.Seq-1))); err != nil {
		t.Fatal(err)
	}
	s = open(t, cfg)
	if st := s.Stats(); st.Missing != 1 {
		t.Fatalf("%+v; want one missing", st)
	}
}

// P14: an object of which nothing could be read, not even which it was, and that can
// be read again, is no good one for that: its bytes have to say so.
func TestABadInodeThatCanBeReadAgainProvesNothing(t *testing.T) {
	for _, damaged := range []bool{false, true} {
		fs := newMemFS()
		s := open(t, memConfig(fs))
		o, _ := put(t, s, routineSample(1), sample(1, 100))
		s.Close()
		s = open(t, memConfig(badInodeFS{fs, objectName(o.Seq)}))
		wantLost(t, s, 0, 1)
		s.Close()
		if damaged {
			n, err := fs.walk(objectName(o.Seq))
			if err != nil {
				t.Fatal(err)
			}
			n.data[len(n.data)-sealSize-1] ^= 1
		}
		for range 2 {
			s = open(t, memConfig(fs))
			want := Received
			if damaged {
				want = Quarantined
			}
			wantState(t, s, o.ID, want)
			if c := s.Counters(); c[CountReceived] != 1 {
				t.Fatalf("%v", c)
			}
			s.Close()
		}
	}
}

package spool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// setAsideByAReadError leaves a disk on which one whole object, that is at the
// hub, lies in the quarantine folder, because a start could not read it.
func setAsideByAReadError(t *testing.T, clean bool, body []byte) *memFS {
	t.Helper()
	fs := newMemFS()
	s := open(t, memConfig(fs))
	o, _ := put(t, s, newSample(1), body)
	put(t, s, newSample(2), sample(2, 700))
	if clean {
		if err := s.AtHub(context.Background(), receipt(o)); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	fs = fs.kill()
	s = open(t, memConfig(unreadFS{fs, objectName(o.Seq)}))
	if st := s.Stats(); st.SetAside != 1 {
		t.Fatalf("%+v; want one set aside", st)
	}
	s.Close()
	return fs.kill()
}

// P1, SPOOL-15: a file that lies in quarantine and proves whole is the object again
// after the next start, wherever that start is cut, and counted once.
func TestWhatProvesWholeComesBackHoweverThePowerFails(t *testing.T) {
	body := sample(1, 3000)
	for _, clean := range []bool{true, false} {
		for seed, keep := range []int{-1, 0, 50, 100, 50, 50, 50, 50, 50, 50} {
			for crash := 0; crash <= 40; crash++ {
				fs := setAsideByAReadError(t, clean, body)
				fs.crashAt = crash
				if s, err := Open(context.Background(), memConfig(fs)); err == nil {
					s.Close()
				}
				if keep < 0 {
					fs = fs.kill()
				} else {
					fs = fs.powerCut(keep, rand.New(rand.NewPCG(uint64(crash), uint64(seed))))
				}
				wantBack(t, fs, clean, body, fmt.Sprintf("clean %v, crash after %d, %d %% kept", clean, crash, keep))
			}
		}
	}
}

func wantBack(t *testing.T, fs *memFS, atHub bool, body []byte, what string) {
	t.Helper()
	for range 2 {
		s := open(t, memConfig(fs))
		id := idOf(testSeed, body)
		if _, result := put(t, s, newSample(1), body); result != Duplicate {
			t.Fatalf("%s: it did not come back", what)
		}
		wantContent(t, s, id, body)
		wantLost(t, s, 0, 0)
		if o, _ := s.Object(id); atHub != (o.State == AtHub) || o.Damaged || o.Reason != "" {
			t.Fatalf("%s: %+v", what, o)
		}
		if st := s.Stats(); st.Objects != 2 {
			t.Fatalf("%s: %+v", what, st)
		}
		if c := s.Counters(); atHub && c[CountReceived] != 2 {
			t.Fatalf("%s: %v; want 2 received", what, c)
		}
		if names, _ := fs.ReadDir(quarantineDir); len(names) != 0 {
			t.Fatalf("%s: left behind: %v", what, names)
		}
		s.Close()
	}
}

// A mark of damage that the bytes do not bear out is taken back by the next start;
// one that they do stays.
func TestAMarkOfDamageIsTakenBackByProofOnly(t *testing.T) {
	fs := newMemFS()
	s := open(t, memConfig(fs))
	whole, _ := put(t, s, newSample(1), sample(1, 500))
	bad, _ := put(t, s, newSample(2), sample(2, 500))
	for _, o := range []Object{whole, bad} {
		if err := s.markDamaged(o.ID, o.Seq, syscall.EIO); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	n, err := fs.walk(objectName(bad.Seq))
	if err != nil {
		t.Fatal(err)
	}
	n.data[len(n.data)-sealSize-1] ^= 1
	for range 2 {
		s = open(t, memConfig(fs))
		wantState(t, s, whole.ID, Received)
		wantState(t, s, bad.ID, Quarantined)
		wantContent(t, s, whole.ID, sample(1, 500))
		s.Close()
	}
}

// Nothing in its place is ever replaced by what lies in quarantine.
func TestWhatIsInItsPlaceStays(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	a, _ := put(t, s, newSample(1), sample(1, 500))
	s.Close()
	was, err := os.Stat(filepath.Join(cfg.Dir, objectName(a.Seq)))
	if err != nil {
		t.Fatal(err)
	}
	other := t.TempDir() // another spool's object of the same number
	s = open(t, Config{Dir: other})
	put(t, s, newSample(2), sample(2, 500))
	s.Close()
	copyOver(t, filepath.Join(other, objectName(1)), filepath.Join(cfg.Dir, asideName(1)))
	s = open(t, cfg)
	wantContent(t, s, a.ID, sample(1, 500))
	is, err := os.Stat(filepath.Join(cfg.Dir, objectName(a.Seq)))
	if err != nil || !os.SameFile(was, is) {
		t.Fatalf("the file was replaced: %v", err)
	}
	if _, err := os.Stat(filepath.Join(cfg.Dir, asideName(1))); err != nil {
		t.Fatalf("another object's file is gone: %v", err)
	}
}

func copyOver(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = errors.Join(os.MkdirAll(filepath.Dir(to), 0o700), os.WriteFile(to, b, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// P1: the disk altered a name, of the file or of its directory. The seal says which
// object it is, and it comes back to its place; damaged, it is told by its ID.
func TestAFileUnderAWrongNameIsItsObject(t *testing.T) {
	body := sample(1, 5000)
	for _, c := range []struct{ what, file string }{
		{"another number", shardName(1) + "/0000000000000801.obj"},
		{"no number", shardName(1) + "/000000000000000q.obj"},
		{"another directory", shardName(1<<40) + "/0000000000000001.obj"},
		{"no directory of ours", objectsDir + "/00000000q0000/0000000000000001.obj"},
		{"a number that none has", shardName(1) + "/f000000000000001.obj"},
	} {
		for _, damaged := range []bool{false, true} {
			what := fmt.Sprintf("%s, damaged %v", c.what, damaged)
			cfg := Config{Dir: t.TempDir()}
			s := open(t, cfg)
			o, _ := put(t, s, newSample(1), body)
			put(t, s, newSample(2), sample(2, 500))
			s.Close()
			name := filepath.Join(cfg.Dir, objectName(o.Seq))
			if damaged {
				flip(t, name, sealSize+1)
			}
			copyOver(t, name, filepath.Join(cfg.Dir, c.file))
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				s = open(t, cfg)
				got, err := s.Object(o.ID)
				switch {
				case err != nil || got.Lost != damaged:
					t.Fatalf("%s: %+v, %v", what, got, err)
				case damaged:
					wantLost(t, s, 1, 0)
				default:
					wantLost(t, s, 0, 0)
					wantContent(t, s, o.ID, body)
					if got.Seq != o.Seq || s.Stats().Objects != 2 || s.Counters()[CountReceived] != 2 {
						t.Fatalf("%s: %+v %+v", what, got, s.Counters())
					}
				}
				s.Close()
			}
		}
	}
}

// A name with the highest number there is does not make the next one zero, and
// what is no object's stays where it is.
func TestANameOfTheHighestNumberChangesNothing(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	put(t, s, newSample(1), sample(1, 100))
	s.Close()
	dir := filepath.Join(cfg.Dir, objectsDir, "fffffffffffff")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "ffffffffffffffff.obj"), []byte("?"), 0o600)); err != nil {
		t.Fatal(err)
	}
	s = open(t, cfg)
	if o, _ := put(t, s, newSample(2), sample(2, 100)); o.Seq != 2 {
		t.Fatalf("number %d", o.Seq)
	}
	if rep := s.Recovery(); rep.Foreign != 1 {
		t.Fatalf("%+v; want one foreign file", rep)
	}
}

// P6: what cannot be removed from tmp holds nothing up, and its name is not used.
func TestAStubbornNameInTmpHoldsNothingUp(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	open(t, cfg).Close()
	if err := os.MkdirAll(filepath.Join(cfg.Dir, tmpDir, "0000000000000001", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := open(t, cfg)
	put(t, s, newSample(1), sample(1, 100))
}

// badDirFS cannot read one directory.
type badDirFS struct {
	*memFS
	dir string
}

func (f badDirFS) ReadDir(name string) ([]string, error) {
	if name == f.dir {
		return nil, syscall.EIO
	}
	return f.memFS.ReadDir(name)
}

// P6: nor does a directory that cannot be read: what the journal knows of it is told,
// nothing new is put there, and it all comes back when it can be read again.
func TestABadDirectoryHoldsNothingUp(t *testing.T) {
	fs := newMemFS()
	s := open(t, memConfig(fs))
	o, _ := put(t, s, newSample(1), sample(1, 100))
	silent, _ := put(t, s, newSample(2), sample(2, 100))
	if err := s.AtHub(context.Background(), receipt(o)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open(t, memConfig(badDirFS{fs, shardName(1)}))
	wantLost(t, s, 0, 1)
	if o, _ := put(t, s, newSample(3), sample(3, 100)); shardName(o.Seq) == shardName(1) {
		t.Fatalf("%d was put into the bad directory", o.Seq)
	}
	s.Close()
	s = open(t, memConfig(fs))
	wantLost(t, s, 0, 0)
	wantState(t, s, o.ID, AtHub)
	wantState(t, s, silent.ID, Received)
	if st := s.Stats(); st.Objects != 3 {
		t.Fatalf("%+v", st)
	}
}

// onceFS gives other bytes of one file from its n-th opening on.
type onceFS struct {
	*memFS
	name  string
	opens *int
}

type otherBytes struct{ File }

func (f otherBytes) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	for i := range p[:n] {
		if off+int64(i) == 900 {
			p[i] ^= 1
		}
	}
	return n, err
}

func (f onceFS) Open(name string) (File, error) {
	file, err := f.memFS.Open(name)
	if err == nil && path.Base(name) == path.Base(f.name) {
		if *f.opens++; *f.opens > 1 {
			return otherBytes{file}, nil
		}
	}
	return file, err
}

// P14, D-S6: after a failed sync an object is copied. If the copy is not what the
// source was a moment ago, nothing is replaced.
func TestACopyThatDoesNotProveReplacesNothing(t *testing.T) {
	fs := newMemFS()
	s := open(t, memConfig(fs))
	o, _ := put(t, s, newSample(1), sample(1, 5000))
	markSuspect(fs)
	fs = fs.kill() // no clean end: it is above the mark
	opens := 0
	s = open(t, memConfig(onceFS{fs, objectName(o.Seq), &opens}))
	wantLost(t, s, 1, 0)
	s.Close()
	s = open(t, memConfig(fs))
	wantLost(t, s, 0, 0)
	wantContent(t, s, o.ID, sample(1, 5000))
}

// The lock is free when it is given back, whoever has a copy of its descriptor: a
// child that is being started has one until its exec.
func TestTheLockIsFreeAtOnce(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	fd, err := unix.Dup(int(s.lock.(fileLock).f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	s.Close()
	open(t, cfg)
}

// indexed is a closed spool whose index knows all of its n objects.
func indexed(t *testing.T, cfg Config, n int) (all []Object) {
	t.Helper()
	s := open(t, cfg)
	for i := range n {
		o, _ := put(t, s, newSample(i), sample(i, 100))
		all = append(all, o)
	}
	if err := s.Sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	s.Close()
	return all
}

// P14: the index says whose file it was, where the file does not any more; and with
// its row gone too, the journal still does.
func TestTheIndexNamesWhatLostItsName(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	o := indexed(t, cfg, 3)[1]
	if err := os.Truncate(filepath.Join(cfg.Dir, objectName(o.Seq)), 100); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s := open(t, cfg)
		wantLost(t, s, 1, 0)
		if got, err := s.Object(o.ID); err != nil || got.Seq != o.Seq {
			t.Fatalf("%+v, %v", got, err)
		}
		s.Close()
		if err := os.Remove(filepath.Join(cfg.Dir, indexName)); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, cfg)
	put(t, s, newSample(1), sample(1, 100))
	if err := s.Sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	wantLost(t, s, 0, 0)
}

// An index that is older than the journal alarms nobody: what was forgotten or
// discarded did not vanish, also when it was so much that the journal has dropped
// its rows, and when there is no journal that could tell.
func TestAnIndexOfThePastAlarmsNobody(t *testing.T) {
	ctx := context.Background()
	for _, journal := range []string{"whole", "gone", "damaged"} {
		cfg := Config{Dir: t.TempDir(), BallastBytes: -1, RetainArchived: -1, MaxTombstones: 5}
		all := indexed(t, cfg, 30)
		name := filepath.Join(cfg.Dir, indexName)
		old, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s := open(t, cfg)
		for _, o := range all[:20] {
			err = errors.Join(err, s.archivedOutright(ctx, receipt(o)))
		}
		err = errors.Join(err, s.Sweep(ctx), s.Discard(ctx, Discard{Seq: all[25].Seq, ID: all[25].ID, By: "somebody", Reason: "a test"}))
		s.Close()
		open(t, cfg).Close() // its segment begins with all that is remembered
		if err = errors.Join(err, os.WriteFile(name, old, 0o600)); err != nil {
			t.Fatal(err)
		}
		harmJournal(t, cfg.Dir, journal)
		s = open(t, cfg)
		if st := s.Stats(); st.Missing != 0 || st.SetAside != 0 || st.Objects != 9 {
			t.Fatalf("journal %s: %+v; want nine objects and no alarm", journal, st)
		}
		s.Close()
	}
}

func harmJournal(t *testing.T, dir, how string) {
	t.Helper()
	names, err := os.ReadDir(filepath.Join(dir, journalDir))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		name := filepath.Join(dir, journalDir, n.Name())
		b, err := os.ReadFile(name)
		if err != nil || !strings.HasSuffix(name, ".log") {
			t.Fatal(name, err)
		}
		switch how {
		case "gone":
			err = os.Remove(name)
		case "damaged":
			b[segmentHeader+recordHeader+1] ^= 1
			err = os.WriteFile(name, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

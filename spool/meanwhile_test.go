package spool

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
)

// meanwhileFS lets something happen while a writer waits for the disk, outside of
// memFS's lock.
type meanwhileFS struct {
	*memFS
	beforeSync   func(name string)
	afterSyncDir func(name string)
}

func (m *meanwhileFS) Create(name string) (File, error) {
	f, err := m.memFS.Create(name)
	if err != nil {
		return nil, err
	}
	return meanwhileFile{f, m, name}, nil
}

func (m *meanwhileFS) SyncDir(name string) error {
	err := m.memFS.SyncDir(name)
	if err == nil && m.afterSyncDir != nil {
		m.afterSyncDir(name)
	}
	return err
}

type meanwhileFile struct {
	File
	m    *meanwhileFS
	name string
}

func (f meanwhileFile) Sync() error {
	if f.m.beforeSync != nil {
		f.m.beforeSync(f.name)
	}
	return f.File.Sync()
}

// P8, SPOOL-5: an object's own syncs were good, and the journal's failed before
// it could be answered: the disk is suspect, so no success goes out.
func TestNoSuccessAfterSomebodyElsesSyncFailed(t *testing.T) {
	fs := &meanwhileFS{memFS: newMemFS()}
	s := open(t, memConfig(fs))
	first, _ := put(t, s, newSample(1), sample(1, 100))
	var failed error
	fs.afterSyncDir = func(name string) {
		if !strings.HasPrefix(name, objectsDir+"/") || failed != nil {
			return
		}
		fs.fault = failNth(1, isSync, syscall.EIO)
		failed = s.AtHub(context.Background(), receipt(first))
	}
	o, _, err := tryPut(s, newSample(2), sample(2, 100))
	if !errors.Is(failed, syscall.EIO) {
		t.Fatalf("the receipt met %v: nothing failed meanwhile", failed)
	}
	if !errors.Is(err, ErrFailed) {
		t.Fatalf("object %d was answered with %v after a failed sync; want ErrFailed", o.Seq, err)
	}
	if n := len(s.Objects(0, 10)); n != 1 {
		t.Fatalf("%d objects are shown; want the one that was answered before", n)
	}
}

// P3, SPOOL-6: the mark stands below what is still on its way to the disk, also
// when a later object was done first. So recovery proves what a power cut left of
// the slow one, and lists no torn bytes; and it alarms nobody, since nobody was
// told of it.
func TestTheMarkWaitsForTheSlowestWriter(t *testing.T) {
	fs := &meanwhileFS{memFS: newMemFS()}
	s := open(t, memConfig(fs))
	waiting, goOn, slowDone := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	fs.beforeSync = func(name string) {
		if strings.HasPrefix(name, tmpDir+"/") {
			fs.beforeSync = nil // the next writer begins after waiting was closed
			close(waiting)
			<-goOn
		}
	}
	slow, fast := sample(1, 3000), sample(2, 3000)
	go func() {
		_, _, err := tryPut(s, newSample(1), slow)
		slowDone <- err
	}()
	<-waiting
	o, _ := put(t, s, newSample(2), fast)
	if err := s.Sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	torn := 0
	for seed := range uint64(60) {
		for _, keep := range []int{0, 50, 100} {
			disk := fs.powerCut(keep, rand.New(rand.NewPCG(seed, uint64(keep))))
			torn += mustListOnlyWhole(t, disk, o, keep)
		}
	}
	close(goOn)
	if err := <-slowDone; err != nil {
		t.Fatal(err)
	}
	if torn < 60 {
		t.Fatalf("only %d cuts tore the slow object: this proves little", torn)
	}
}

// mustListOnlyWhole opens what a power cut left; 1 when it found the slow object torn.
func mustListOnlyWhole(t *testing.T, disk *memFS, fast Object, keep int) (torn int) {
	t.Helper()
	s := open(t, memConfig(disk))
	defer s.Close()
	wantContent(t, s, fast.ID, sample(2, 3000))
	for _, o := range s.Objects(0, 10) {
		if o.Lost {
			torn++
		} else if _, err := content(s, o.ID); err != nil {
			t.Fatalf("%d %% kept: object %d is listed as good, and reads as %v", keep, o.Seq, err)
		}
	}
	if keep == 0 && (s.Stats().Unfinished != 1 || s.Stats().SetAside+s.Stats().Missing > 0) {
		t.Fatalf("nothing of the slow object was kept: %+v; want it told as unfinished, not as lost", s.Stats())
	}
	if keep == 100 && torn > 0 {
		t.Fatal("all was kept, and it is not listed")
	}
	return torn
}

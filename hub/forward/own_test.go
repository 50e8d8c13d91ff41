package forward

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"edged/hub"
)

// remove deletes an object's file behind the hub's back.
func (b *bench) remove(id hub.ID) {
	b.Helper()
	found, err := filepath.Glob(filepath.Join(b.dir, "objects", "objects", "*", id.String()+".dcm"))
	if err != nil || len(found) != 1 {
		b.Fatalf("%v %v", found, err)
	}
	if err := os.Remove(found[0]); err != nil {
		b.Fatal(err)
	}
}

// P14: whatever happened to the hub's copy, it is not delivered, the appliance is
// asked for it, and the job goes on when it has come.
func TestAMissingOrDamagedCopyIsAskedForAndThenDelivered(t *testing.T) {
	for name, harm := range map[string]func(b *bench, id hub.ID){
		"deleted":      (*bench).remove,
		"flipped bit":  func(b *bench, id hub.ID) { damage(b.T, filepath.Join(b.dir, "objects"), id) },
		"cut to 3":     func(b *bench, id hub.ID) { b.cut(id, 3) },
		"cut to 300":   func(b *bench, id hub.ID) { b.cut(id, 300) },
		"cut to empty": func(b *bench, id hub.ID) { b.cut(id, 0) },
	} {
		for _, kind := range []string{"dir", "cstore", "stow"} {
			t.Run(name+" "+kind, func(t *testing.T) {
				b := newBench(t, "vna")
				all := small()[:3]
				b.receive(all...)
				victim := b.first
				harm(b, victim)
				var kept received
				addr, _ := (&archive{store: kept.keep}).serve(t, "127.0.0.1:0")
				destination := Destination(cstore(addr))
				switch kind {
				case "dir":
					destination = newDir(t, t.TempDir())
				case "stow":
					destination = stow(t, StowConfig{URL: (&vna{T: t}).serve()})
				}
				b.run(func() bool { s := b.stats(); return s.Archived == 2 && s.Lost == 1 }, destination)
				troubles, err := b.ledger.Troubles(t.Context(), "d", 0, 9)
				if err != nil || len(troubles) != 1 || !troubles[0].Lost || troubles[0].ID != victim {
					t.Errorf("troubles %+v %v", troubles, err)
				}
				b.receive(all[0])
				b.run(b.archived(3), destination)
				kept.check(b)
			})
		}
	}
}

func (b *bench) cut(id hub.ID, size int64) {
	b.Helper()
	found, err := filepath.Glob(filepath.Join(b.dir, "objects", "objects", "*", id.String()+".dcm"))
	if err != nil || len(found) != 1 {
		b.Fatalf("%v %v", found, err)
	}
	if err := os.Truncate(found[0], size); err != nil {
		b.Fatal(err)
	}
}

// Other bytes in the archive's place of an object are only "other" when ours are right.
func TestADamagedCopyDoesNotAccuseTheArchive(t *testing.T) {
	b := newBench(t, "one", "two")
	b.receive(small()[0])
	path := t.TempDir()
	one, two := newDir(t, path), newDir(t, path)
	one.c.Name, two.c.Name = "one", "two"
	b.run(func() bool { return b.stats().Backlog["one"].Objects == 0 }, one)
	damage(t, filepath.Join(b.dir, "objects"), b.first)
	b.run(func() bool { return b.stats().Lost == 1 }, two)
}

// Too many open files says nothing about any object: the destination waits.
func TestALackOfDescriptorsJudgesNoObject(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM} {
		b := newBench(t, "vna")
		b.receive(small()[:3]...)
		var calls atomic.Int32
		b.open = func(id hub.ID) (Object, error) {
			if calls.Add(1) <= 5 {
				return nil, &os.PathError{Op: "openat", Path: id.String(), Err: errno}
			}
			return b.store.Open(id)
		}
		b.run(b.archived(3), newDir(t, t.TempDir()))
		if s := b.stats(); s.Lost != 0 || s.Backlog["vna"].Quarantined != 0 || calls.Load() <= 5 {
			t.Errorf("%v: %+v", errno, s)
		}
	}
}

// P6: a sector that cannot be read delays its object, is no refusal, and is
// tried again.
func TestADiskThatDoesNotAnswerDelaysOneObject(t *testing.T) {
	b := newBench(t, "vna")
	b.receive(small()...)
	var mended atomic.Bool
	b.open = func(id hub.ID) (Object, error) {
		if id == b.first && !mended.Load() {
			return nil, fmt.Errorf("object: %w", syscall.EIO)
		}
		return b.store.Open(id)
	}
	var kept received
	addr, _ := (&archive{store: kept.keep}).serve(t, "127.0.0.1:0")
	f := b.run(b.archived(len(b.data)-1), cstore(addr))
	if s := b.stats(); s.Lost != 0 || s.Backlog["vna"].Objects != 1 || s.Backlog["vna"].Quarantined != 0 || f.Status()[0].Error != "" {
		t.Errorf("%+v %+v", s, f.Status())
	}
	mended.Store(true)
	b.run(b.archived(len(b.data)), cstore(addr))
	kept.check(b)
}

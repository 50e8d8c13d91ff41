package spool

import (
	"context"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
)

// tornDisk holds three objects; the second one's file is cut short.
func tornDisk(t *testing.T) (*memFS, []Object) {
	t.Helper()
	fs := newMemFS()
	s := open(t, memConfig(fs))
	var all []Object
	for i := range 3 {
		o, _ := put(t, s, newSample(i), sample(i, 5000))
		all = append(all, o)
	}
	s.Close()
	n, err := fs.walk(objectName(all[1].Seq))
	if err != nil {
		t.Fatal(err)
	}
	n.data = n.data[:len(n.data)-1]
	n.synced = n.data
	return fs, all
}

// P6, P7: a quarantine folder that needs a block on a full disk holds nothing up.
// The damaged file stays where it is, is told, answers for nothing, and is moved
// by the next start that has room; a number is never given away twice.
func TestAStartWithoutRoomToSetAsideSends(t *testing.T) {
	for _, why := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		fs, all := tornDisk(t)
		fs.fault = func(kind, name string) error {
			if kind == "rename" && strings.HasPrefix(name, quarantineDir) {
				return why
			}
			return nil
		}
		for range 2 {
			s := open(t, memConfig(fs))
			wantContent(t, s, all[0].ID, sample(0, 5000))
			wantContent(t, s, all[2].ID, sample(2, 5000))
			if st := s.Stats(); st.Missing != 1 {
				t.Fatalf("%v: %+v, want one that is not here whole", why, st)
			}
			if _, err := content(s, all[1].ID); err == nil {
				t.Fatal("the damaged file passes for the object")
			}
			s.Close()
			fs = fs.powerCut(50, rand.New(rand.NewPCG(1, 1)))
			fs.fault = func(kind, name string) error {
				if kind == "rename" && strings.HasPrefix(name, quarantineDir) {
					return why
				}
				return nil
			}
		}
		fs.fault = nil
		s := open(t, memConfig(fs))
		if r := s.Recovery(); len(r.Quarantined) != 1 || s.Stats().SetAside != 1 || s.Stats().Missing != 0 {
			t.Fatalf("with room: %+v, %+v", r, s.Stats())
		}
		if o, result := put(t, s, newSample(1), sample(1, 5000)); result != Fresh || o.Seq <= all[2].Seq {
			t.Fatalf("sent again: %+v, %v", o, result)
		}
		wantContent(t, s, all[1].ID, sample(1, 5000))
	}
}

// P7: before it gives up, a start takes what unfinished objects and the ballast hold.
func TestAStartMakesRoomToSetAside(t *testing.T) {
	for _, holder := range []string{tmpDir + "/7", ballastName} {
		fs, _ := tornDisk(t)
		if f, err := fs.Create(tmpDir + "/7"); err != nil {
			t.Fatal(err)
		} else if _, err = f.Write(make([]byte, 4096)); err != nil {
			t.Fatal(err)
		}
		fs.fault = func(kind, name string) error {
			if _, err := fs.walk(holder); err == nil && kind == "rename" && strings.HasPrefix(name, quarantineDir) {
				return syscall.ENOSPC
			}
			return nil
		}
		s := open(t, memConfig(fs))
		if r := s.Recovery(); len(r.Quarantined) != 1 {
			t.Fatalf("%s held the room: %+v", holder, r)
		}
	}
}

// SPOOL-6: what a power cut left and no room was to set aside alarms nobody, here
// as in quarantine.
func TestUnfinishedWithoutRoomToSetAsideIsNoAlarm(t *testing.T) {
	fs := newMemFS()
	cfg := memConfig(fs)
	s := open(t, cfg)
	o, _ := put(t, s, newSample(1), sample(1, 5000))
	disk := fs.kill() // nothing moved the mark
	n, err := disk.walk(objectName(o.Seq))
	if err != nil {
		t.Fatal(err)
	}
	n.data = n.data[:len(n.data)-1000]
	disk.fault = func(kind, name string) error {
		if kind == "rename" && strings.HasPrefix(name, quarantineDir) {
			return syscall.ENOSPC
		}
		return nil
	}
	cfg.FS = disk
	s, err = Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if r := s.Recovery(); r.Unfinished != 1 || r.Missing != 0 {
		t.Fatalf("without room: %+v", r)
	}
	s.Close()
	disk.fault = nil
	if r := open(t, cfg).Recovery(); r.Unfinished != 1 || r.Missing+r.SetAside != 0 {
		t.Fatalf("with room: %+v", r)
	}
}

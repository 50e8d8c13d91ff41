package spool

import (
	"context"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// looseDisk is a spool of five objects, and a switch that has the third one unreadable.
func looseDisk(t *testing.T) (s *Spool, third Object, loose *bool) {
	t.Helper()
	loose = new(bool)
	fs := eioFS{newMemFS(), func(name string) error {
		if *loose && name == objectName(3) {
			return syscall.EIO
		}
		return nil
	}}
	s = open(t, memConfig(fs))
	for i := range 5 {
		o, _ := put(t, s, newSample(i), sample(i, 1000))
		if o.Seq == 3 {
			third = o
		}
	}
	return s, third, loose
}

// P6, P14: a cable that was loose for a moment condemns nothing for ever. What
// proves whole, to a pass of Scrub or to Verify, is offered again, also after a start.
func TestWhatProvesWholeIsOfferedAgain(t *testing.T) {
	for what, prove := range map[string]func(*testing.T, *Spool, ID) error{
		"scrub":  func(t *testing.T, s *Spool, _ ID) error { scrubFor(t, s, time.Minute); return nil },
		"verify": func(t *testing.T, s *Spool, id ID) error { return s.Verify(context.Background(), id) },
	} {
		synctest.Test(t, func(t *testing.T) {
			s, o, loose := looseDisk(t)
			*loose = true
			scrubFor(t, s, 3*time.Hour)
			wantState(t, s, o.ID, Quarantined)
			if d := s.Stats().Scrub.Damaged; d != 1 {
				t.Fatalf("%s: found %d times", what, d)
			}
			*loose = false
			if err := prove(t, s, o.ID); err != nil {
				t.Fatal(err)
			}
			wantState(t, s, o.ID, Received)
			if st := s.Stats(); st.Damaged != 0 || st.BacklogObjects != 5 {
				t.Fatalf("%s: %d damaged, %d wait; want 0 and 5", what, st.Damaged, st.BacklogObjects)
			}
			offered := false
			for range 5 {
				l, ok, err := s.TryLease("lane")
				if !ok || err != nil {
					t.Fatal(ok, err)
				}
				offered = offered || l.ID == o.ID
			}
			if !offered {
				t.Fatalf("%s: not offered", what)
			}
			s.Close()
			s = open(t, s.cfg)
			wantState(t, s, o.ID, Received)
		})
	}
}

// P14: what is damaged stays so, however often it is read.
func TestADigestThatIsWrongStaysDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newMemFS()
		s := open(t, memConfig(fs))
		o, _ := put(t, s, newSample(1), sample(1, 1000))
		put(t, s, newSample(2), sample(2, 1000))
		rot(t, fs, o)
		for range 2 {
			scrubFor(t, s, 3*time.Hour)
			if err := s.Verify(context.Background(), o.ID); err == nil {
				t.Fatal("verified")
			}
			wantState(t, s, o.ID, Quarantined)
		}
		if st := s.Stats(); st.Damaged != 1 || st.Scrub.Damaged != 1 || s.Counters()[CountQuarantined] != 1 {
			t.Fatalf("%+v, %v; want it counted once", st, s.Counters())
		}
	})
}

// P4: the old copy proves whole while a good one is on its way: one object.
func TestWhatProvesWholeDuringAResendStaysOneObject(t *testing.T) {
	b := &betweenFS{memFS: newMemFS()}
	s := open(t, memConfig(b))
	o, _ := put(t, s, newSample(1), sample(1, 1000))
	if err := s.markDamaged(o.ID, o.Seq, syscall.EIO); err != nil {
		t.Fatal(err)
	}
	verified := false
	b.beforeRename = func(name string) {
		if name == objectName(o.Seq+1) && !verified {
			verified = true
			if err := s.Verify(context.Background(), o.ID); err != nil {
				t.Error(err)
			}
		}
	}
	put(t, s, newSample(1), sample(1, 1000))
	if err := s.Sweep(context.Background()); err != nil || !verified {
		t.Fatal(verified, err)
	}
	if all := s.Objects(0, 10); len(all) != 1 || all[0].State != Received {
		t.Fatalf("%+v; want one object, received", all)
	}
	if n := s.Counters()[CountReceived]; n != 1 {
		t.Fatalf("received %d", n)
	}
}

package spool

import (
	"context"
	"testing"
)

// What only the end of the content told is as durable as the object: it is there at once,
// after a start, and for who reads the directory alone; and it is sealed.
func TestWhatTheEndToldIsSealed(t *testing.T) {
	inBothWays(t, func(t *testing.T, key []byte) {
		cfg := Config{Dir: t.TempDir(), BallastBytes: -1, Key: key}
		s := open(t, cfg)
		w, err := s.Create(New{Group: "study", Seed: testSeed, Flags: 1})
		if err != nil {
			t.Fatal(err)
		}
		w.Write(sample(1, 200_000))
		end := End{Flags: 1 << 8, Note: [NoteSize]byte{1, 23: 9}}
		w.End(end)
		o, _, err := w.Commit(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		check := func(s *Spool, when string) {
			t.Helper()
			o, err := s.Object(o.ID)
			if err != nil || o.Flags != 1|1<<8 {
				t.Errorf("%s: flags %b, %v", when, o.Flags, err)
			}
			c, err := s.Open(o.ID)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if c.End() != end {
				t.Errorf("%s: %+v", when, c.End())
			}
		}
		check(s, "at once")
		if out := s.Outline(0, 10); len(out) != 1 || out[0].Flags != o.Flags {
			t.Errorf("outline: %+v", out)
		}
		s.Close()
		s = open(t, cfg)
		check(s, "after a start")
		s.Close()
	})
	s := seal{seq: 1, end: End{Flags: 2, Note: [NoteSize]byte{3}}}
	b := s.encode()
	if back, err := decodeSeal(b); err != nil || back != s {
		t.Errorf("%+v, %v", back, err)
	}
	for _, at := range []int{96, 100, 123} {
		b[at] ^= 1
		if _, err := decodeSeal(b); err == nil {
			t.Errorf("byte %d was altered, and the seal says nothing", at)
		}
		b[at] ^= 1
	}
}

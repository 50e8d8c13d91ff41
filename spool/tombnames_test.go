package spool

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// forgetAll has everything that is here archived and forgotten.
func forgetAll(t *testing.T, s *Spool) {
	t.Helper()
	ctx := context.Background()
	for _, o := range s.Objects(0, 1000) {
		if err := s.archivedOutright(ctx, receipt(o)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sweep(ctx); err != nil || s.Stats().Objects != 0 {
		t.Fatalf("%d objects are left, %v", s.Stats().Objects, err)
	}
}

// P5: other contents under a name are in conflict also when the first ones have been
// forgotten, over every start, as long as that is remembered; the same contents are not.
func TestForgottenNameOtherContentsIsTold(t *testing.T) {
	inBoth(t, func(t *testing.T, key []byte) {
		cfg := Config{Dir: t.TempDir(), Key: key, RetainArchived: -1, MaxTombstones: 4, AllowUnsafeFilesystem: true}
		s := open(t, cfg)
		first, _ := put(t, s, called(1, "1.2.3"), sample(1, 500))
		forgetAll(t, s)
		for range 2 {
			if got := s.ForgottenNamed("1.2.3"); len(got) != 1 || got[0].ID != first.ID || got[0].ArchivedAt.IsZero() {
				t.Fatalf("forgotten of that name: %+v", got)
			}
			if len(s.Named("1.2.3")) != 0 || len(s.ForgottenNamed("")) != 0 || len(s.Named("")) != 0 {
				t.Fatal("named, and nothing is here")
			}
			s.Close()
			s = open(t, cfg)
		}
		again, _ := put(t, s, called(1, "1.2.3"), sample(1, 500))
		if again.Conflict {
			t.Fatal("the same contents again are in conflict")
		}
		other, _ := put(t, s, called(2, "1.2.3"), sample(2, 600))
		forgetAll(t, s)
		for _, n := range []int{1, 2, 3} { // the first two came before, the third never
			o, _ := put(t, s, called(n, "1.2.3"), sample(n, 400+n*100))
			if !o.Conflict {
				t.Fatalf("object %d after two forgotten ones of its name: not in conflict", n)
			}
		}
		s.Close()
		r, err := OpenReadOnly(cfg.Dir, key)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		err = r.Each(func(o Object) error {
			if !o.Conflict {
				t.Errorf("read from outside: object %d is not in conflict", o.Seq)
			}
			return nil
		})
		if err = errors.Join(err, r.Close()); err != nil {
			t.Fatal(err)
		}
		s = open(t, cfg)
		conflicting(t, s, s.Objects(0, 100)...)
		got := s.Named("1.2.3")
		if len(got) != 3 || !slices.IsSortedFunc(got, func(a, b Object) int { return int(a.Seq) - int(b.Seq) }) || !got[0].Conflict || got[0].State != Received {
			t.Fatalf("named: %+v", got)
		}
		if f := s.ForgottenNamed("1.2.3"); len(f) != 3 || f[0].ID != other.ID || f[1].ID != first.ID || f[2].ID != first.ID {
			t.Fatalf("forgotten of that name, newest first: %+v", f)
		}
	})
}

// P5: what an administrator discarded before the hub heard of it is nowhere, and clashes
// with nothing. What the hub has, or may have, does.
func TestDiscardedNameClashesIfTheHubHeardOfIt(t *testing.T) {
	ctx := context.Background()
	for _, tc := range []struct {
		what string
		do   func(s *Spool, o Object) error
		want bool
	}{
		{"never left", func(*Spool, Object) error { return nil }, false},
		{"at the hub", func(s *Spool, o Object) error { return s.AtHub(ctx, receipt(o)) }, true},
		{"the hub lost it", func(s *Spool, o Object) error { return errors.Join(s.AtHub(ctx, receipt(o)), s.Reoffer(ctx)) }, true},
		{"on its way", func(s *Spool, o Object) error { _, err := s.Lease(ctx, "lane"); return err }, true},
	} {
		cfg := memConfig(newMemFS())
		s := open(t, cfg)
		o, _ := put(t, s, called(1, "1.2.3"), sample(1, 500))
		if err := errors.Join(tc.do(s, o), s.Discard(ctx, Discard{ID: o.ID, By: "anna", Reason: "wrong patient"})); err != nil {
			t.Fatal(tc.what, err)
		}
		s.Close()
		s = open(t, cfg)
		if got := s.ForgottenNamed("1.2.3"); len(got) != 1 || !got[0].Discarded || got[0].By != "anna" {
			t.Fatalf("%s: %+v", tc.what, got)
		}
		if n, _ := put(t, s, called(2, "1.2.3"), sample(2, 500)); n.Conflict != tc.want {
			t.Errorf("discarded, %s, then other contents: conflict %v, want %v", tc.what, n.Conflict, tc.want)
		}
	}
}

// What is kept of names is what a look at every tombstone would find, however they come
// and go.
func TestTombNamesAreTheTombstones(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 5))
	for _, limit := range []int{0, 1, 2, 7} {
		var tb tombs
		for range 3000 {
			o := op{kind: opForgot, id: ID{byte(rnd.IntN(3))}, name: nameSum{byte(rnd.IntN(3))}, discard: rnd.IntN(2) == 0, outside: rnd.IntN(2) == 0}
			tb.add(o, limit)
			for n := range 4 {
				name := nameSum{byte(n)}
				var want []op
				clash := map[ID]bool{}
				for _, o := range tb.list() {
					if o.name == name && name != (nameSum{}) {
						want = append(want, o)
						clash[o.id] = clash[o.id] || o.heard()
					}
				}
				if got := tb.named(name); !slices.Equal(got, want) {
					t.Fatalf("limit %d: %d tombstones of a name, want %d", limit, len(got), len(want))
				}
				for id := range 4 {
					other := false
					for have, heard := range clash {
						other = other || heard && have != ID{byte(id)}
					}
					if got := tb.clashes(name, ID{byte(id)}); got != other {
						t.Fatalf("limit %d: clashes %v, want %v", limit, got, other)
					}
				}
			}
		}
		if len(tb.names) > limit {
			t.Fatalf("%d names of %d tombstones", len(tb.names), limit)
		}
	}
}

// Rows of the version before, which had no names, are read as they were.
func TestForgottenRowsWithoutNamesAreRead(t *testing.T) {
	for _, o := range []op{
		{kind: opForgot, seq: 3, id: ID{3}, length: 5, at: 7, group: "g", part: "p", test: true},
		{kind: opForgot, seq: 9, length: 1, at: 8, group: "g", part: "p", lost: true, discard: true, by: "who", reason: "why"},
	} {
		b := o.encode(nil)
		got, ok := decodeOp(kind(b[0]), b[5:])
		if !ok || got != o {
			t.Errorf("got %+v, want %+v", got, o)
		}
		o.name = nameSum{1}
		b = o.encode(nil)
		if got, ok = decodeOp(kind(b[0]), b[5:len(b)-len(o.name)]); ok {
			t.Errorf("a name that was cut off passes: %+v", got)
		}
	}
}

// P9: whoever has one name forgotten again and again pays no more for each.
func TestManyTombstonesOfOneNameAreCheap(t *testing.T) {
	var tb tombs
	started := time.Now()
	for n := range 400_000 {
		tb.add(op{kind: opForgot, id: ID{byte(n / 100_000)}, name: nameSum{1}}, 100_000)
		tb.clashes(nameSum{1}, ID{1})
	}
	if n := len(tb.names[nameSum{1}].at); n != 100_000 {
		t.Fatalf("%d tombstones", n)
	}
	t.Log(time.Since(started))
}

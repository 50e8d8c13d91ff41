package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// inBothWays runs a test with and without encryption.
func inBothWays(t *testing.T, f func(t *testing.T, key []byte)) {
	t.Run("plain", func(t *testing.T) { t.Parallel(); f(t, nil) })
	t.Run("encrypted", func(t *testing.T) { t.Parallel(); f(t, testKey) })
}

// abandon is the end of a process: nothing is written any more.
func abandon(s *Spool) {
	s.index.close()
	s.lock.Close()
}

// damageSize spreads contents over nothing, parts of a chunk and several chunks.
func damageSize(n int) int { return (n * 1237) % 40_000 }

// spoilFile damages a file the i-th way: one flipped bit, nine times of ten in a
// region of its own (the header, what stands before the content, the seal), a
// cut, some bytes too many, or a sector of zeros.
func spoilFile(t *testing.T, name string, rnd *rand.Rand, i int) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	at := rnd.IntN(len(b))
	switch i % 10 {
	case 0:
		b = b[:at]
	case 1:
		b = b[:max(0, len(b)-1-rnd.IntN(sealSize))]
	case 2:
		b = append(b, make([]byte, 1+rnd.IntN(1000))...)
	case 3:
		at = at / 512 * 512
		zero := b[at:min(at+512, len(b))]
		if bytes.Count(zero, []byte{0}) == len(zero) {
			zero[0] = 1
		} else {
			clear(zero)
		}
	case 4, 5:
		b[rnd.IntN(headerSize)] ^= 1 << rnd.IntN(8)
	case 6:
		b[headerSize+rnd.IntN(min(100, len(b)-headerSize))] ^= 1 << rnd.IntN(8)
	case 7:
		b[len(b)-1-rnd.IntN(sealSize)] ^= 1 << rnd.IntN(8)
	default:
		b[at] ^= 1 << rnd.IntN(8)
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// damagedSpool holds objects of which all but every fifth are damaged.
type damagedSpool struct {
	cfg     Config
	s       *Spool
	objects []Object
	bodies  [][]byte
	rnd     *rand.Rand
}

func newDamagedSpool(t *testing.T, key []byte, objects int) *damagedSpool {
	t.Helper()
	d := &damagedSpool{cfg: Config{Dir: t.TempDir(), Key: key, ScrubRate: 1 << 30}, rnd: rand.New(rand.NewPCG(14, uint64(len(key))))}
	d.s = open(t, d.cfg)
	for n := range objects {
		body := sample(n, damageSize(n))
		o, _ := put(t, d.s, newSample(n), body)
		d.objects, d.bodies = append(d.objects, o), append(d.bodies, body)
	}
	return d
}

func (d *damagedSpool) whole(n int) bool { return n%5 == 0 }

func (d *damagedSpool) damaged() (n int) {
	for i := range d.objects {
		if !d.whole(i) {
			n++
		}
	}
	return n
}

func (d *damagedSpool) spoil(t *testing.T) {
	t.Helper()
	for n, o := range d.objects {
		if !d.whole(n) {
			spoilFile(t, filepath.Join(d.cfg.Dir, objectName(o.Seq)), d.rnd, n)
		}
	}
}

// each damaged object must be withheld, told and set apart; each whole one must
// be as it was.
func (d *damagedSpool) check(t *testing.T, s *Spool) {
	t.Helper()
	list := map[uint64]Object{}
	for _, o := range s.Objects(0, len(d.objects)+1) {
		list[o.Seq] = o
	}
	for n, was := range d.objects {
		if d.whole(n) {
			wantContent(t, s, was.ID, d.bodies[n])
			wantState(t, s, was.ID, Received)
			continue
		}
		if o := list[was.Seq]; o.State != Quarantined || !o.Damaged || o.Reason == "" {
			t.Fatalf("damaged object %d is shown as %+v", n, o)
		}
	}
	for {
		o, more, err := s.TryLease("lane")
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return
		}
		if !d.whole(int(o.Seq) - 1) {
			t.Fatalf("damaged object %d is offered to senders", o.Seq)
		}
	}
}

// R9, P14: bits that flipped and files that were cut while the daemon runs. None
// of these objects ever leaves as a whole, from whatever offset a sender goes on.
func TestDamageIsWithheldAndTold(t *testing.T) {
	inBothWays(t, func(t *testing.T, key []byte) {
		d := newDamagedSpool(t, key, 315)
		d.spoil(t)
		for n, o := range d.objects {
			if !d.whole(n) {
				d.mustWithhold(t, n, o)
			}
		}
		if got := d.s.Stats().Damaged; got != int64(d.damaged()) {
			t.Errorf("%d are told as damaged, want %d", got, d.damaged())
		}
		if got := d.s.Counters()[CountQuarantined]; got != uint64(d.damaged()) {
			t.Errorf("%d are counted, want %d", got, d.damaged())
		}
		d.check(t, d.s)
	})
}

func (d *damagedSpool) mustWithhold(t *testing.T, n int, o Object) {
	t.Helper()
	if n%3 == 0 {
		if err := d.s.Verify(context.Background(), o.ID); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("verify of damaged object %d: %v", n, err)
		}
		return
	}
	c, err := d.s.Open(o.ID)
	if err == nil {
		defer c.Close()
		from := d.rnd.IntN(len(d.bodies[n]) + 1)
		var got []byte
		got, err = io.ReadAll(c.Checked(int64(from)))
		if rest := len(d.bodies[n]) - from; len(got) >= rest && rest > 0 {
			t.Fatalf("all %d bytes of damaged object %d came out", len(got), n)
		}
	}
	if !errors.Is(err, ErrCorrupt) {
		t.Fatalf("damaged object %d: %v, want ErrCorrupt", n, err)
	}
}

// R9: the same in the time in which the daemon was down: what an unclean end left
// above the mark is read as a whole by the next start.
func TestDamageAboveTheMarkIsFoundByTheStart(t *testing.T) {
	inBothWays(t, func(t *testing.T, key []byte) {
		d := newDamagedSpool(t, key, 200)
		abandon(d.s)
		d.spoil(t)
		s := open(t, d.cfg)
		if rep := s.Recovery(); len(rep.Quarantined) != d.damaged() || rep.Proved < len(d.objects)-d.damaged() {
			t.Errorf("%d files set aside, %d proved; want %d and the rest", len(rep.Quarantined), rep.Proved, d.damaged())
		}
		d.check(t, s)
	})
}

// R9: below the mark the start proves what stands around the content; the content
// itself when it leaves, or by Verify.
func TestDamageBelowTheMarkIsFound(t *testing.T) {
	inBothWays(t, func(t *testing.T, key []byte) {
		d := newDamagedSpool(t, key, 115)
		d.s.Close()
		d.spoil(t)
		s := open(t, d.cfg)
		if rep := s.Recovery(); rep.Proved > 0 {
			t.Fatalf("%d contents were read: this is not below the mark", rep.Proved)
		}
		for n, o := range d.objects {
			if err := s.Verify(context.Background(), o.ID); (err == nil) != d.whole(n) {
				t.Errorf("object %d, whole %v: %v", n, d.whole(n), err)
			}
		}
		d.check(t, s)
	})
}

// R9: the background check finds all of it by itself, and nothing else.
func TestScrubFindsDamage(t *testing.T) {
	inBothWays(t, func(t *testing.T, key []byte) {
		d := newDamagedSpool(t, key, 100)
		d.spoil(t)
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- d.s.Scrub(ctx) }()
		for ctx.Err() == nil && d.s.Stats().Damaged < int64(d.damaged()) {
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
		<-done
		if got := d.s.Stats().Damaged; got != int64(d.damaged()) {
			t.Fatalf("%d damaged objects found, want %d", got, d.damaged())
		}
		d.check(t, d.s)
	})
}

// One damaged file changes nothing for the objects before and behind it, whatever
// the kind of damage: also when nothing of the file can be opened or read.
func TestOneBadFileHoldsNothingUp(t *testing.T) {
	for _, c := range []struct {
		what string
		do   func(name string) error
	}{
		{"empty", func(name string) error { return os.Truncate(name, 0) }},
		{"gone", os.Remove},
		{"a directory", func(name string) error { return errors.Join(os.Remove(name), os.Mkdir(name, 0o700)) }},
		{"a giant with holes", func(name string) error { return os.Truncate(name, 1<<40) }},
	} {
		for _, clean := range []bool{true, false} {
			t.Run(fmt.Sprint(c.what, ", clean ", clean), func(t *testing.T) { oneBadFile(t, c.do, clean) })
		}
	}
}

func oneBadFile(t *testing.T, do func(string) error, clean bool) {
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	var all []Object
	for n := range 3 {
		o, _ := put(t, s, newSample(n), sample(n, 2000))
		all = append(all, o)
	}
	bad := all[1]
	if err := s.AtHub(context.Background(), receipt(bad)); err != nil {
		t.Fatal(err)
	}
	if clean {
		s.Close()
	} else {
		abandon(s)
	}
	if err := do(filepath.Join(cfg.Dir, objectName(bad.Seq))); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s = open(t, cfg)
		wantContent(t, s, all[0].ID, sample(0, 2000))
		wantContent(t, s, all[2].ID, sample(2, 2000))
		if o, err := s.Object(bad.ID); err != nil || !o.Damaged || o.Reason == "" {
			t.Fatalf("the bad one: %+v, %v; want it told", o, err)
		}
		s.Close()
	}
}

package uplink

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"edged/internal/dicom"
	"edged/uplink/wire"
)

// disk lends objects whose bytes are the first byte of their ID; a read of a
// stuck one hangs until it is freed.
type disk struct {
	endless
	stuck map[byte]chan struct{}
	open  atomic.Int64 // readers now
	most  atomic.Int64
	bytes atomic.Int64 // read so far
}

func (d *disk) Open(_ context.Context, o Object, offset int64) (io.ReadCloser, error) {
	if n := d.open.Add(1); n > d.most.Load() {
		d.most.Store(n)
	}
	return &diskFile{d: d, first: o.ID[0], left: o.Length - offset}, nil
}

type diskFile struct {
	d     *disk
	first byte
	left  int64
}

func (f *diskFile) Read(b []byte) (int, error) {
	if c := f.d.stuck[f.first]; c != nil {
		<-c
	}
	if f.left == 0 {
		return 0, io.EOF
	}
	n := copy(b, bytes.Repeat([]byte{f.first}, int(min(int64(len(b)), f.left))))
	f.left -= int64(n)
	f.d.bytes.Add(int64(n))
	return n, nil
}

func (f *diskFile) Close() error { f.d.open.Add(-1); return nil }

// tape is a carrier that keeps what is put, in order; hold stops it.
type tape struct {
	mu   sync.Mutex
	puts []put
	hold chan struct{}
}

type put struct {
	number uint64
	offset int64
	body   []byte
	at     time.Time
}

func (t *tape) Name() string                              { return carrierQUIC }
func (t *tape) Control() io.Reader                        { return bytes.NewReader(nil) }
func (t *tape) Say([]byte) error                          { return nil }
func (t *tape) Open(context.Context, uint8) (puts, error) { return t, nil }
func (t *tape) Close(uint64, string)                      {}
func (t *tape) Stats() LineStats                          { return LineStats{} }
func (t *tape) Put(frame []byte) error {
	if t.hold != nil {
		<-t.hold
	}
	f, err := wire.NewReader(bytes.NewReader(frame)).Next()
	if err != nil {
		return err
	}
	p := f.(*wire.PutFrame)
	body, err := io.ReadAll(p)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.puts = append(t.puts, put{p.Number, p.Offset, body, time.Now()})
	return nil
}

// all is what came so far.
func (t *tape) all() []put {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.puts)
}

// of returns the bodies of one offer behind each other, and when the first came.
func (t *tape) of(test *testing.T, number uint64) (body []byte, first time.Time) {
	test.Helper()
	for _, p := range t.all() {
		if p.number != number {
			continue
		}
		if p.offset != int64(len(body)) {
			test.Fatalf("object %d: a put at %d, want %d", number, p.offset, len(body))
		}
		if len(body) == 0 {
			first = p.at
		}
		body = append(body, p.body...)
	}
	return body, first
}

// reading is a lane with one sender for each class of what is wanted.
func reading(t *testing.T, d *disk, c *tape, list ...Object) (l *lane, stop func() error) {
	t.Helper()
	u, err := New(Config{Source: d, Keeper: d, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	l = newLane(u, "hub", c)
	l.mu.Lock()
	for i, o := range list {
		f := &flight{Object: o, number: uint64(i + 1)} // offered and answered
		l.flights[o.ID], l.numbers[f.number] = f, f
		l.queue(f, wanted)
	}
	l.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	for class := range uint8(wire.Classes) {
		go func() { done <- l.sendClass(ctx, class) }()
	}
	return l, func() (err error) {
		cancel()
		for range wire.Classes {
			err = errors.Join(err, <-done)
		}
		return err
	}
}

func objects(class uint8, length int64, firsts ...byte) (list []Object) {
	for _, b := range firsts {
		list = append(list, Object{ID: dicom.ID{b}, Length: length, Priority: class})
	}
	return list
}

// An object that the disk is slow with lets the others of its class pass after a
// second, and the other class at once; it arrives whole when the disk has it.
func TestASlowObjectHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		d, c := &disk{stuck: map[byte]chan struct{}{1: make(chan struct{})}}, &tape{}
		const length = wire.MaxBody + 5
		all := append(objects(wire.Routine, length, 1, 2, 3, 4), objects(wire.Backfill, length, 5)...)
		_, stop := reading(t, d, c, all...)
		time.Sleep(2 * time.Second)
		for n := uint64(2); n <= 5; n++ {
			body, first := c.of(t, n)
			if !bytes.Equal(body, bytes.Repeat([]byte{byte(n)}, length)) {
				t.Errorf("object %d: %d bytes", n, len(body))
			}
			if n == 5 && first.Sub(began) > 2*patience || first.Sub(began) > slowRead+2*patience {
				t.Errorf("object %d came after %v", n, first.Sub(began))
			}
		}
		if body, _ := c.of(t, 1); len(body) > 0 {
			t.Error("the stuck one was sent")
		}
		close(d.stuck[1])
		synctest.Wait()
		if body, _ := c.of(t, 1); len(body) != length {
			t.Errorf("the slow one: %d bytes", len(body))
		}
		if n := d.open.Load(); n != 0 {
			t.Errorf("%d readers are left", n)
		}
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// However many objects hang, few readers do, and what waits behind them goes back; a
// lane that ends waits for none of them, but Run does.
func TestADiskThatHangsHoldsFewReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		d, c := &disk{stuck: map[byte]chan struct{}{}}, &tape{}
		var firsts []byte
		for i := range byte(40) {
			firsts, d.stuck[i] = append(firsts, i), gate
		}
		l, stop := reading(t, d, c, objects(wire.Urgent, 10, firsts...)...)
		time.Sleep(time.Minute)
		if d.most.Load() != maxStuck+maxReaders || len(c.all()) != 0 {
			t.Errorf("%d readers, %d puts", d.most.Load(), len(c.all()))
		}
		if n := d.left.Load(); n != int64(len(firsts)-maxReaders) {
			t.Errorf("%d of %d were given back", n, len(firsts))
		}
		stop() // returns while they hang
		close(gate)
		l.u.readers.Wait()
		if d.open.Load() != 0 {
			t.Error("readers are left")
		}
	})
}

// When the disk is well again soon the queue goes on.
func TestADiskThatIsWellAgainGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		d, c := &disk{stuck: map[byte]chan struct{}{}}, &tape{}
		var firsts []byte
		for i := range byte(20) {
			firsts, d.stuck[i] = append(firsts, i), gate
		}
		_, stop := reading(t, d, c, objects(wire.Routine, 10, firsts...)...)
		time.Sleep(stuckRead - slowRead)
		close(gate)
		time.Sleep(2 * slowRead)
		if len(c.all()) != len(firsts) {
			t.Errorf("%d of %d puts", len(c.all()), len(firsts))
		}
		stop()
	})
}

// While the line takes nothing, what is read ahead is bounded, and it is read.
func TestReadingAheadIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, c := &disk{}, &tape{hold: make(chan struct{})}
		_, stop := reading(t, d, c, objects(wire.Routine, 100*wire.MaxBody, 1)...)
		time.Sleep(time.Hour)
		if n := d.bytes.Load(); n != 3*wire.MaxBody { // being sent, ready, read
			t.Errorf("%d chunks were read", n/wire.MaxBody)
		}
		if d.most.Load() != 1 {
			t.Errorf("%d readers, though the line was slow and not the disk", d.most.Load())
		}
		close(c.hold)
		synctest.Wait()
		if body, _ := c.of(t, 1); len(body) != 100*wire.MaxBody {
			t.Errorf("%d bytes came", len(body))
		}
		stop()
	})
}

// What the hub no longer wants is read no further, and the next one comes.
func TestWhatIsNoLongerWantedIsReadNoFurther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, c := &disk{}, &tape{hold: make(chan struct{})}
		l, stop := reading(t, d, c, objects(wire.Routine, 100*wire.MaxBody, 1, 2)...)
		synctest.Wait()
		l.giveBack(l.numbers[1], ErrBusy)
		close(c.hold)
		synctest.Wait()
		numbers := []uint64{}
		for _, p := range c.all() {
			numbers = append(numbers, p.number)
		}
		if slices.Contains(numbers[1:], 1) || len(numbers) != 101 || d.bytes.Load() > 105*wire.MaxBody {
			t.Errorf("%d puts, %d chunks read", len(numbers), d.bytes.Load()/wire.MaxBody)
		}
		stop()
	})
}

// TestObjectsThatHangHoldUpOnlyThemselves: four files that the disk hangs with are as
// many as a class of a lane has readers; what comes behind them goes all the same. They
// are tried ever more rarely, one read at a time, and go when the disk answers.
func TestObjectsThatHangHoldUpOnlyThemselves(t *testing.T) {
	w := &wires{carries: map[string]func(int) float64{carrierQUIC: full(100e6, 100e6), carrierTCP: full(10e6, 10e6)}}
	const hanging, healthy = maxReaders + 2, 200
	s := newShelf()
	var hang chan struct{}
	var opened, hung atomic.Int64
	s.open = func(o Object) {
		if o.ID[7] <= hanging {
			opened.Add(1)
			hung.Add(1)
			<-hang
			hung.Add(-1)
		}
	}
	onShelf(t, w, Config{Transport: carrierQUIC, LanesMax: 2}, s, func(u *Uplink) {
		hang = make(chan struct{})
		for range hanging {
			s.add(wire.Routine, 64<<10)
		}
		var ids []dicom.ID
		for range healthy {
			ids = append(ids, s.add(wire.Routine, 64<<10))
		}
		time.Sleep(time.Minute)
		for _, id := range ids {
			if s.took(id) < 0 {
				t.Fatalf("after a minute healthy objects wait behind those that hang: %d at the hub", u.Status().AtHub)
			}
		}
		time.Sleep(time.Hour)
		if n := hung.Load(); n > hanging || opened.Load() != n {
			t.Errorf("%d reads of %d objects hang, of %d that were begun", n, hanging, opened.Load())
		}
		s.mu.Lock()
		back := s.back
		s.mu.Unlock()
		if back > hanging*30 {
			t.Errorf("%d objects that hang were given back %d times in an hour", hanging, back)
		}
		close(hang)
		time.Sleep(2 * longestRest)
		if n := u.Status().AtHub; n != hanging+healthy {
			t.Errorf("%d at the hub since the disk answers", n)
		}
	})
}

package uplink

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"edged/internal/dicom"
	"edged/uplink/wire"
)

// endless lends objects of one size as long as there are some.
type endless struct {
	size  int64
	left  atomic.Int64
	lent  atomic.Uint64
	atHub atomic.Int64
	wake  chan struct{}
}

func (e *endless) Lease(ctx context.Context, worst uint8) (Object, error) {
	for worst < wire.Routine || e.left.Add(-1) < 0 {
		if worst >= wire.Routine {
			e.left.Add(1)
		}
		select {
		case <-ctx.Done():
			return Object{}, ctx.Err()
		case <-e.wake:
		}
	}
	var id dicom.ID
	binary.BigEndian.PutUint64(id[:], e.lent.Add(1))
	return Object{ID: id, Length: e.size, Priority: wire.Routine}, nil
}

func (e *endless) Open(_ context.Context, o Object, offset int64) (io.ReadCloser, error) {
	return io.NopCloser(io.LimitReader(zeros{}, o.Length-offset)), nil
}

func (e *endless) Return(Object, error) { e.left.Add(1); poke(e.wake) }

func (e *endless) Meet(context.Context, Ledger, bool) error { return nil }
func (e *endless) AtHub(_ context.Context, r []Receipt) error {
	e.atHub.Add(int64(len(r)))
	return nil
}
func (e *endless) Archived(context.Context, []Confirmation) error { return nil }
func (e *endless) Trouble(context.Context, []Trouble) error       { return nil }
func (e *endless) Lost(context.Context, []dicom.ID) error         { return nil }

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// wires is a line in simulated time: what the lanes of each carrier get, together.
type wires struct {
	mu      sync.Mutex
	carries map[string]func(lanes int) float64 // bits a second
	blocked map[string]bool                    // dials hang, and what is connected hears nothing more
	open    map[string]int
	most    map[string]int
	dials   map[string]int
	mute    map[string]bool // dials work, and Puts get no answer
	few     int             // offers of a lane that the hub has room for; 0: no bound
	all     []*wiredLane
}

func (w *wires) dial(ctx context.Context, name, _ string) (carrier, error) {
	w.mu.Lock()
	w.dials[name]++
	blocked := w.blocked[name]
	w.mu.Unlock()
	if blocked {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	select {
	case <-time.After(20 * time.Millisecond):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	w.count(name, 1)
	r, out := io.Pipe()
	c := &wiredLane{w: w, name: name, control: r, out: out, closed: make(chan struct{}), says: make(chan wire.Frame, 8192), offers: map[uint64]wire.Object{}}
	go c.speak()
	w.set(func() { w.all = append(w.all, c) })
	return c, nil
}

func (w *wires) count(name string, by int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[name] += by
	w.most[name] = max(w.most[name], w.open[name])
}

// share is how long n bytes take on one of the lanes.
func (w *wires) share(name string, n int) (d time.Duration, blocked bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lanes := w.open[name]
	return time.Duration(float64(n) * 8 / (w.carries[name](lanes) / float64(lanes)) * 1e9), w.blocked[name] || w.mute[name]
}

// wiredLane is a connection with a hub at its other end that believes everything.
type wiredLane struct {
	w           *wires
	name        string
	control     *io.PipeReader
	out         *io.PipeWriter
	closed      chan struct{}
	once        sync.Once
	says        chan wire.Frame
	sent, heard atomic.Uint64
	dead        atomic.Bool // nothing gets through this lane any more

	mu     sync.Mutex // guards offers
	offers map[uint64]wire.Object

	done atomic.Uint64 // bytes that came through
}

// division is how long a lane's share of the line lasts before it is divided anew.
const division = 100 * time.Millisecond

// pass lets n bytes go their way, at what the line gives each of its lanes meanwhile.
func (c *wiredLane) pass(n int) error {
	for left := float64(n); left > 0; {
		all, blocked := c.w.share(c.name, int(left)+1)
		wait := min(all, division)
		if blocked || c.dead.Load() {
			wait = 300 * time.Millisecond
		}
		select {
		case <-time.After(wait):
		case <-c.closed:
			return io.ErrClosedPipe
		}
		if blocked || c.dead.Load() { // probes are sent (RFC 9002 §6.2), and nothing answers
			c.sent.Add(1)
			continue
		}
		moved := left * float64(wait) / float64(all)
		left -= moved
		c.done.Add(uint64(moved) + 1)
		if wait >= all {
			return nil
		}
	}
	return nil
}

func (c *wiredLane) Name() string       { return c.name }
func (c *wiredLane) Control() io.Reader { return c.control }
func (c *wiredLane) Stats() LineStats {
	return LineStats{RTT: 20 * time.Millisecond, Sent: c.sent.Load(), Heard: c.heard.Load(), Delivered: c.done.Load() + 1}
}
func (c *wiredLane) Open(context.Context, uint8) (puts, error) { return c, nil }
func (c *wiredLane) Close(uint64, string) {
	c.once.Do(func() {
		close(c.closed)
		c.control.CloseWithError(io.ErrClosedPipe)
		c.out.CloseWithError(io.ErrClosedPipe)
		c.w.count(c.name, -1)
	})
}

func (c *wiredLane) speak() {
	for {
		select {
		case <-c.closed:
			return
		case f := <-c.says:
			b, err := wire.Append(nil, f)
			if err != nil {
				panic(err)
			}
			if _, err := c.out.Write(b); err != nil {
				return
			}
			c.heard.Add(1)
		}
	}
}

func (c *wiredLane) Say(b []byte) error {
	c.sent.Add(1)
	if c.dead.Load() {
		return nil
	}
	frames := wire.NewReader(bytes.NewReader(b))
	for {
		f, err := frames.Next()
		if err != nil {
			return nil
		}
		switch f := f.(type) {
		case *wire.Hello:
			c.says <- &wire.Welcome{Version: 1, Ledger: "l", MaxObjects: 512, MaxBytes: 256 << 20}
		case *wire.Offer:
			have, short := &wire.Have{}, &wire.Again{Reason: wire.AgainShort, AfterMillis: 5000}
			c.mu.Lock()
			for _, o := range f.Objects {
				if c.w.few > 0 && len(c.offers) >= c.w.few {
					short.IDs = append(short.IDs, o.ID)
					continue
				}
				c.offers[o.Number] = o
				have.Answers = append(have.Answers, wire.Answer{Number: o.Number, ID: o.ID})
			}
			c.mu.Unlock()
			c.says <- have
			if len(short.IDs) > 0 {
				c.says <- short
			}
		}
	}
}

func (c *wiredLane) Put(b []byte) error {
	c.sent.Add(1)
	if err := c.pass(len(b)); err != nil {
		return err
	}
	c.heard.Add(1)
	f, err := wire.NewReader(bytes.NewReader(b)).Next()
	if err != nil {
		return err
	}
	put := f.(*wire.PutFrame)
	c.mu.Lock()
	o := c.offers[put.Number]
	c.mu.Unlock()
	if put.Offset+int64(put.Length) == o.Length {
		c.mu.Lock()
		delete(c.offers, put.Number)
		c.mu.Unlock()
		c.says <- &wire.Receipt{Receipts: []wire.Received{{ID: o.ID, Length: o.Length}}}
	}
	return nil
}

// onWires runs an uplink over w for a while in simulated time.
func onWires(t *testing.T, w *wires, c Config, objects int64, during func(*Uplink, *endless)) {
	e := &endless{size: 1 << 20}
	e.left.Store(objects)
	onWiresFrom(t, w, c, e, e, func(u *Uplink) { during(u, e) })
}

// onWiresFrom is onWires with the objects of a source.
func onWiresFrom(t *testing.T, w *wires, c Config, from Source, keeper Keeper, during func(*Uplink)) {
	synctest.Test(t, func(t *testing.T) {
		if e, ok := from.(*endless); ok {
			e.wake = make(chan struct{}, 1)
		}
		if s, ok := from.(*shelf); ok {
			s.changed = make(chan struct{})
		}
		c.Hubs, c.Source, c.Keeper = []string{"hub"}, from, keeper
		c.Logger = slog.New(slog.DiscardHandler)
		c.BootID, c.DataDirID, c.TLS = []byte("b"), []byte("d"), &tls.Config{RootCAs: x509.NewCertPool()}
		u, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		w.open, w.most, w.dials = map[string]int{}, map[string]int{}, map[string]int{}
		if w.blocked == nil {
			w.blocked = map[string]bool{}
		}
		u.dialer = w.dial
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := u.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		during(u)
		cancel()
		wg.Wait()
		if len(w.open) > 0 && w.open[carrierQUIC]+w.open[carrierTCP] != 0 {
			t.Errorf("connections left: %v", w.open)
		}
	})
}

// seen returns how often a carrier was dialled, how many of its lanes are open,
// and how many were at most.
func (w *wires) seen(name string) (dials, open, most int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dials[name], w.open[name], w.most[name]
}

func (w *wires) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// TestTheLineIsFilledByWhatCarriesMore, within seconds, and stays so.
func TestTheLineIsFilledByWhatCarriesMore(t *testing.T) {
	cases := map[string]struct {
		quic, tcp func(int) float64
		carrier   string
		lanes     [2]int  // twice as many while they are tried
		least     float64 // bits a second over the first minute
	}{
		"a lossy line":                       {full(26e6, 1e6), full(80e6, 80e6), carrierTCP, [2]int{1, 2}, 0.9 * 80e6},
		"QUIC needs many lanes, TCP is slow": {full(96e6, 3e6), full(6e6, 3e6), carrierQUIC, [2]int{30, 32}, 0.65 * 96e6},
		"a small line":                       {full(20e6, 20e6), full(20e6, 20e6), carrierQUIC, [2]int{1, 2}, 0.9 * 20e6},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := &wires{carries: map[string]func(int) float64{carrierQUIC: c.quic, carrierTCP: c.tcp}}
			onWires(t, w, Config{}, 1<<40, func(u *Uplink, _ *endless) {
				time.Sleep(time.Minute)
				s := u.Status()
				got := float64(s.BytesSent) * 8 / 60
				if s.Transport != c.carrier || s.Lanes < c.lanes[0] || s.Lanes > c.lanes[1] || got < c.least || s.Switches > 1 {
					t.Errorf("%s (%s), %d lanes, %.0f Mbit/s, %d switches", s.Transport, s.Why, s.Lanes, got/1e6, s.Switches)
				}
				t.Logf("%s (%s), %d lanes, %.0f Mbit/s", s.Transport, s.Why, s.Lanes, got/1e6)
			})
		})
	}
}

// TestACapIsNoReasonToTryAnything: what the cap allows is carried, and nothing is
// dialled but the first connection.
func TestACapIsNoReasonToTryAnything(t *testing.T) {
	w := &wires{carries: map[string]func(int) float64{carrierQUIC: full(60e6, 60e6), carrierTCP: full(90e6, 90e6)}}
	onWires(t, w, Config{Shape: Shape{Rate: 10e6}}, 1<<40, func(u *Uplink, _ *endless) {
		time.Sleep(time.Minute)
		byQUIC, _, _ := w.seen(carrierQUIC)
		byTCP, _, _ := w.seen(carrierTCP)
		if s := u.Status(); s.Transport != carrierQUIC || byQUIC != 1 || byTCP != 0 {
			t.Errorf("%s, %d and %d dials", s.Transport, byQUIC, byTCP)
		}
	})
}

// TestUDPThatNeverGetsThrough: TCP is dialled after one second and carries.
func TestUDPThatNeverGetsThrough(t *testing.T) {
	w := &wires{blocked: map[string]bool{carrierQUIC: true}, carries: map[string]func(int) float64{carrierQUIC: full(8e6, 8e6), carrierTCP: full(4e6, 4e6)}}
	onWires(t, w, Config{}, 1<<40, func(u *Uplink, e *endless) {
		time.Sleep(4 * time.Second) // a megabyte takes two
		if s := u.Status(); s.Transport != carrierTCP || e.atHub.Load() == 0 {
			t.Errorf("after 4 s: %s, %d receipts", s.Transport, e.atHub.Load())
		}
		time.Sleep(time.Hour)
		s := u.Status()
		dials, _, _ := w.seen(carrierQUIC)
		if got := float64(s.BytesSent) * 8 / 3602; s.WhyCode != WhyUDPBlocked || s.UDPOpen == nil || *s.UDPOpen || got < 0.97*4e6 || dials > 12 {
			t.Errorf("after an hour: %s, %.2f Mbit/s, %d dials, UDP open: %v", s.WhyCode, got/1e6, dials, s.UDPOpen)
		}
		w.set(func() { w.blocked[carrierQUIC] = false })
		time.Sleep(15 * time.Minute)
		if s := u.Status(); s.Transport != carrierQUIC || s.WhyCode != WhyFaster {
			t.Errorf("a quarter of an hour after UDP was opened: %s, %s", s.Transport, s.WhyCode)
		}
	})
}

// TestUDPThatIsCutInMidTransfer: within five seconds bytes arrive again.
func TestUDPThatIsCutInMidTransfer(t *testing.T) {
	w := &wires{carries: map[string]func(int) float64{carrierQUIC: full(90e6, 90e6), carrierTCP: full(50e6, 50e6)}}
	onWires(t, w, Config{}, 1<<40, func(u *Uplink, e *endless) {
		time.Sleep(30 * time.Second)
		if s := u.Status(); s.Transport != carrierQUIC {
			t.Fatalf("before: %s", s.Transport)
		}
		w.set(func() { w.blocked[carrierQUIC] = true })
		time.Sleep(100 * time.Millisecond) // what was let out before
		before := e.atHub.Load()
		time.Sleep(4900 * time.Millisecond)
		if s := u.Status(); s.Transport != carrierTCP || e.atHub.Load() < before+10 || s.WhyCode != WhyUDPBlocked {
			t.Errorf("five seconds after the cut: %s (%s), %d receipts more", s.Transport, s.Why, e.atHub.Load()-before)
		}
	})
}

// TestAnIdleApplianceHoldsOneConnection, whatever it needed under load.
func TestAnIdleApplianceHoldsOneConnection(t *testing.T) {
	w := &wires{carries: map[string]func(int) float64{carrierQUIC: full(180e6, 20e6), carrierTCP: full(10e6, 10e6)}}
	onWires(t, w, Config{}, 1000, func(u *Uplink, e *endless) {
		time.Sleep(3 * time.Minute)
		_, open, most := w.seen(carrierQUIC)
		_, openTCP, _ := w.seen(carrierTCP)
		if s := u.Status(); e.atHub.Load() != 1000 || most < 4 || s.Lanes != 1 || open+openTCP != 1 {
			t.Errorf("%d receipts, %d lanes, %d and %d open, at most %d", e.atHub.Load(), s.Lanes, open, openTCP, most)
		}
	})
}

// TestNothingGetsThrough: attempts are bounded by the back-off.
func TestNothingGetsThrough(t *testing.T) {
	w := &wires{blocked: map[string]bool{carrierQUIC: true, carrierTCP: true}, carries: map[string]func(int) float64{}}
	onWires(t, w, Config{}, 10, func(u *Uplink, e *endless) {
		time.Sleep(time.Hour)
		byQUIC, _, _ := w.seen(carrierQUIC)
		byTCP, _, _ := w.seen(carrierTCP)
		if n := byQUIC + byTCP; n > 2*3600/20+20 || u.Status().LastError == "" {
			t.Errorf("%d dials in an hour, %q", n, u.Status().LastError)
		}
	})
}

// TestANodeThatLiesIsLeftByAllLanes at once.
func TestANodeThatLiesIsLeftByAllLanes(t *testing.T) {
	team := newTeam(&Uplink{c: Config{Transport: "auto", LanesMin: 1, LanesMax: 4}.withDefaults()}, "hub")
	m := &member{carrier: carrierQUIC}
	team.members = []*member{m}
	if err := team.hear(event{m: m, over: true, err: errNotBelieved}, time.Now()); !errors.Is(err, errNotBelieved) {
		t.Errorf("the team goes on: %v", err)
	}
}

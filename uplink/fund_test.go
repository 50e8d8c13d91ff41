package uplink

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edged/uplink/wire"
)

// knowing is a line to a hub that has everything already: what it is offered it wants
// no byte of. It notes what was said to it, and when.
type knowing struct {
	mu    sync.Mutex // guards what follows
	heard []letOut
	rate  int64
	other int // offers of objects that are not urgent

	control *io.PipeReader
	out     *io.PipeWriter
	says    chan wire.Frame
	closed  chan struct{}
	once    sync.Once
}

func (k *knowing) dial(context.Context, string, string) (carrier, error) {
	k.control, k.out = io.Pipe()
	k.says, k.closed = make(chan wire.Frame, 1<<14), make(chan struct{})
	go func() {
		for {
			select {
			case <-k.closed:
				return
			case f := <-k.says:
				if b, err := wire.Append(nil, f); err == nil {
					k.out.Write(b)
				}
			}
		}
	}()
	return k, nil
}

func (k *knowing) Name() string                              { return carrierTCP }
func (k *knowing) Control() io.Reader                        { return k.control }
func (k *knowing) Stats() LineStats                          { return LineStats{RTT: time.Millisecond} }
func (k *knowing) Open(context.Context, uint8) (puts, error) { return k, nil }
func (k *knowing) Put([]byte) error                          { return io.ErrClosedPipe }
func (k *knowing) Close(uint64, string) {
	k.once.Do(func() { close(k.closed); k.control.Close(); k.out.Close() })
}

func (k *knowing) Say(b []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.heard = append(k.heard, letOut{time.Now(), int64(len(b)), k.rate})
	for frames := wire.NewReader(bytes.NewReader(b)); ; {
		f, err := frames.Next()
		if err != nil {
			return nil
		}
		switch f := f.(type) {
		case *wire.Hello:
			k.says <- &wire.Welcome{Version: 1, Ledger: "l", MaxObjects: 512, MaxBytes: 256 << 20}
		case *wire.Offer:
			have, receipt := &wire.Have{}, &wire.Receipt{}
			for _, o := range f.Objects {
				have.Answers = append(have.Answers, wire.Answer{Number: o.Number, ID: o.ID, All: true})
				receipt.Receipts = append(receipt.Receipts, wire.Received{ID: o.ID, Length: o.Length})
				if o.Priority != wire.Urgent {
					k.other++
				}
			}
			k.says <- have
			k.says <- receipt
		}
	}
}

func (k *knowing) offered() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.other
}

func (k *knowing) since(t time.Time) (log []letOut) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range k.heard {
		if l.at.After(t) {
			log = append(log, l)
		}
	}
	return log
}

// onKnowing runs an uplink to a hub that has everything, in simulated time.
func onKnowing(t *testing.T, shape Shape, objects int, during func(*Uplink, *knowing, *shelf)) {
	synctest.Test(t, func(t *testing.T) {
		k, s := &knowing{rate: shape.Rate / 8}, newShelf()
		u, err := New(Config{Transport: carrierTCP, LanesMax: 1, Shape: shape, Hubs: []string{"hub"}, Source: s, Keeper: s,
			BootID: []byte("b"), DataDirID: []byte("d"), TLS: &tls.Config{RootCAs: x509.NewCertPool()}, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		u.dialer = k.dial
		for range objects {
			s.add(wire.Routine, 600)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { u.Run(ctx) })
		during(u, k, s)
		cancel()
		wg.Wait()
	})
}

// TestOffersAreWithinTheCap: a hub that has thousands of objects already is told of them
// no faster than the cap allows.
func TestOffersAreWithinTheCap(t *testing.T) {
	for _, bits := range []int64{256e3, 512e3} {
		onKnowing(t, Shape{Rate: bits}, int(bits/40), func(u *Uplink, k *knowing, _ *shelf) {
			time.Sleep(time.Second)
			began, before := time.Now(), u.Status().WireBytes
			time.Sleep(10 * time.Second)
			after := u.Status().WireBytes
			said := k.since(began)
			if len(said) == 0 || said[len(said)-1].at.Sub(began) < 9*time.Second {
				t.Errorf("%d offers, more than the cap allows in 11 s, or they stand still: %d writes in the last ten", k.offered(), len(said))
				return
			}
			share, counted := float64(sumOf(said)*8)/10/float64(bits), float64((after-before)*8)/10/float64(bits)
			t.Logf("%d bit/s: said %.3f, counted %.3f in %d writes, %d offers", bits, share, counted, len(said), k.offered())
			if counted > 1.02 || counted < 0.9 || share > 1.02 || share < 0.4 { // a short frame is half headers
				t.Errorf("%d bit/s: said %.3f, counted %.3f", bits, share, counted)
			}
		})
	}
}

// TestAPauseOffersNothing but what is urgent, and what waits goes on by itself.
func TestAPauseOffersNothing(t *testing.T) {
	for _, rate := range []int64{0, 1e6} {
		for _, ends := range []bool{true, false} {
			t.Run(fmt.Sprint(rate, " ends by itself: ", ends), func(t *testing.T) {
				onKnowing(t, Shape{Rate: rate}, 100, func(u *Uplink, k *knowing, s *shelf) {
					time.Sleep(5 * time.Second)
					u.Pause(time.Now().Add(time.Hour))
					time.Sleep(time.Second)
					before := k.offered()
					for range 100 {
						s.add(wire.Routine, 600)
						s.add(wire.Backfill, 600)
					}
					urgent := s.add(wire.Urgent, 600)
					time.Sleep(time.Minute)
					if n := k.offered() - before; n != 0 || before != 100 {
						t.Errorf("%d were offered before the pause, %d in it", before, n)
					}
					if took := s.took(urgent); took < 0 || took > time.Second {
						t.Errorf("an urgent object that the hub has was confirmed after %s", took)
					}
					if ends {
						time.Sleep(time.Hour)
					} else {
						u.Pause(time.Time{})
						time.Sleep(10 * time.Second)
					}
					if n := k.offered(); n != 300 {
						t.Errorf("after the pause %d of 300 were offered", n)
					}
				})
			})
		}
	}
}

// TestTheRateHoldsWithControlFrames that wait for nothing, while they are few.
func TestTheRateHoldsWithControlFrames(t *testing.T) {
	for _, bits := range []int64{50e6, 200e6, 1e9} {
		synctest.Test(t, func(t *testing.T) {
			b, log := traced(Shape{Rate: bits})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			var all sync.WaitGroup
			all.Go(func() {
				for ctx.Err() == nil {
					b.debit(bits / 8 / 1000 / 50) // a 50th of the line
					time.Sleep(time.Millisecond)
				}
			})
			demand(ctx, b, 8, 1)
			all.Wait()
			accurate(t, *log, bits, 10*time.Second)
		})
	}
}

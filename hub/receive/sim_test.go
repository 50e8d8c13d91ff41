package receive_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"

	"edged/uplink"
	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

// air is the simulated network between hub and appliances: delay, loss from a
// seed, and times in which nothing passes. The one place that knows simnet, whose
// API is not promised stable.
type air struct {
	simnet.PerfectRouter
	net  *simnet.Simnet
	next byte

	mu     sync.Mutex // guards random
	random *rand.Rand
	loss   float64
	outage func(now time.Time) bool
}

func newAir(seed uint64, loss float64, outage func(time.Time) bool) *air {
	a := &air{random: rand.New(rand.NewPCG(seed, 7)), loss: loss, outage: outage}
	a.net = &simnet.Simnet{Router: a}
	return a
}

// SendPacket implements simnet.Router.
func (a *air) SendPacket(p simnet.Packet) error {
	a.mu.Lock()
	lost := a.random.Float64() < a.loss || a.outage(time.Now())
	a.mu.Unlock()
	if lost {
		return nil
	}
	return a.PerfectRouter.SendPacket(p)
}

// socket is one end, 10 ms away from the middle.
func (a *air) socket() *simnet.SimConn {
	a.next++
	at := &net.UDPAddr{IP: net.IPv4(10, 0, 0, a.next), Port: 1000}
	return a.net.NewEndpoint(at, simnet.NodeBiDiLinkSettings{Latency: 10 * time.Millisecond})
}

// TestLossAndOutagesInVirtualTime carries 60 objects, some of several chunks,
// over a line with 20 ms, loss, and two outages of minutes, at a limited rate. All
// arrive once and identical, whatever the seed.
func TestLossAndOutagesInVirtualTime(t *testing.T) {
	for seed, loss := range []float64{0, 0.01, 0.05} {
		t.Run(fmt.Sprintf("loss %g", loss), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { simulate(t, uint64(seed), loss) })
		})
	}
}

func simulate(t *testing.T, seed uint64, loss float64) {
	began := time.Now()
	within := func(from, to time.Duration) bool {
		d := time.Since(began)
		return d > from && d < to
	}
	sky := newAir(seed, loss, func(time.Time) bool {
		return within(2*time.Second, 5*time.Minute) || within(5*time.Minute+3*time.Second, 12*time.Minute)
	})
	w := newWorld(t)
	hub := sky.socket()
	lanes := []*simnet.SimConn{}
	for range 60 { // simnet wants its nodes before it starts: one socket for each connection
		lanes = append(lanes, sky.socket())
	}
	if err := sky.net.Start(); err != nil {
		t.Fatal(err)
	}
	defer sky.net.Close()
	w.addr = "hub"
	w.serve(hub)
	defer w.stop()
	source := uplinktest.NewSource()
	for i := range 60 {
		source.Add(uint64(i), []int{0, 1000, 40_000, 300_000}[i%4], uint8(i%wire.Classes))
	}
	_, stop := w.appliance("one", source, func(c *uplink.Config) {
		c.Shape.Rate = 8e6
		c.RetryMin, c.RetryMax = time.Second, time.Minute
		c.Packets = func(context.Context, string) (net.PacketConn, net.Addr, error) {
			if len(lanes) == 0 {
				return nil, nil, fmt.Errorf("no more sockets in this test")
			}
			pc := lanes[0]
			lanes = lanes[1:]
			return pc, hub.LocalAddr(), nil
		}
	})
	defer stop()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
	defer cancel()
	if err := source.Wait(ctx, func() bool { return all(source, uplinktest.Archived) }); err != nil {
		t.Fatalf("after three virtual hours: %v", err)
	}
	t.Logf("%s of virtual time, %d connections", time.Since(began).Round(time.Second), 60-len(lanes))
	w.identical(source)
	if err := w.ledger.once(); err != nil {
		t.Error(err)
	}
}

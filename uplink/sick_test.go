package uplink_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edged/uplink"
	"edged/uplink/uplinktest"
	scripted "edged/uplink/uplinktest/liar"
	"edged/uplink/uplinktest/sim"
	"edged/uplink/wire"
)

const (
	sickFor     = 30 * time.Minute
	mendsWithin = 15 * time.Minute // StallAfter, the longest pause, and then it has to be sent
)

// sickness is how a hub is unwell. script runs on each connection; nil: it does not
// listen at all.
type sickness struct {
	name   string
	script func(*scripted.Conn)
	back   int                             // how often it may give an object back. If zero, as often as it likes.
	ca     func(testing.TB) *uplinktest.CA // of a hub with other papers
}

func sicknesses() []sickness {
	welcomed := func(f func(*scripted.Conn)) func(*scripted.Conn) { return func(c *scripted.Conn) { c.Welcome(); f(c) } }
	silent := func(c *scripted.Conn) { <-c.Done() } // and reads nothing
	return []sickness{
		{name: "does not listen"},
		{name: "has a certificate of somebody else", script: silent, ca: uplinktest.NewCA},
		{name: "never says welcome", script: func(c *scripted.Conn) { c.Drain() }},
		{name: "says welcome a byte a minute", script: trickle},
		{name: "hangs up at once, busy", script: func(c *scripted.Conn) { c.HangUp(wire.ByeBusy) }},
		{name: "hangs up after welcome", script: welcomed(func(c *scripted.Conn) { c.HangUp(wire.ByeInternal) })},
		{name: "says garbage", script: func(c *scripted.Conn) { c.SayBytes([]byte("SSH-2.0-OpenSSH_9.2p1 Debian\r\n")); c.Drain() }},
		{name: "says garbage after welcome", script: welcomed(func(c *scripted.Conn) { c.SayBytes(make([]byte, 1000)); c.Drain() })},
		{name: "never answers an offer", script: welcomed((*scripted.Conn).Drain)},
		{name: "stops reading", script: welcomed(silent)},
		{name: "stops reading in mid-object", script: welcomed(func(c *scripted.Conn) { want(c); silent(c) })},
		{name: "never gives a receipt", script: welcomed(func(c *scripted.Conn) { want(c); c.Drain() })},
		{name: "is busy for ever", script: welcomed(busyForEver)},
		{name: "asks for everything again and again", script: welcomed(func(c *scripted.Conn) {
			for range 2000 {
				c.Again(wire.AgainLost, 0)
			}
			c.Drain()
		})},
		{name: "confirms 20,000 strangers", script: welcomed(strangers)},
		{name: "refuses every offer", script: welcomed(refuseAll), back: 15},
		{name: "damages every object", script: welcomed(damageAll), back: 15},
	}
}

func want(c *scripted.Conn) {
	for _, o := range c.Offers(sickObjects) {
		c.Want(o)
	}
}

// trickle never gets to the end of a frame.
func trickle(c *scripted.Conn) {
	for {
		select {
		case <-c.Done():
			return
		case <-time.After(time.Minute):
			c.SayBytes([]byte{0})
		}
	}
}

func busyForEver(c *scripted.Conn) {
	for n := 0; ; {
		o := c.Offers(n + 1)
		if len(o) == n {
			return
		}
		c.Again(wire.AgainBusy, 30_000)
		c.Again(wire.AgainBusy, 30_000, o[n:]...)
		n = len(o)
	}
}

// refuseAll, damageAll: each time with the words that are for it.
func refuseAll(c *scripted.Conn) {
	for n := 0; len(c.Offers(n+1)) > n; n++ {
		c.Trouble(wire.ProblemOffer, c.Offered[n].ID, 0)
	}
}

func damageAll(c *scripted.Conn) {
	for n := 0; len(c.Offers(n+1)) > n && c.Take(c.Offered[n]); n++ {
		c.Trouble(wire.ProblemDigest, c.Offered[n].ID, 0)
	}
}

func strangers(c *scripted.Conn) {
	page := make([]wire.Object, wire.MaxItems)
	for n := range 5 {
		for i := range page {
			page[i].ID = wire.ID{byte(i), byte(i >> 8), byte(n)}
		}
		c.Archived(page...)
	}
	c.Drain()
}

// well is what a hub does.
func well(c *scripted.Conn) {
	c.Welcome()
	for n := 0; ; n++ {
		o := c.Offers(n + 1)
		if len(o) == n || !c.Take(o[n]) {
			return
		}
		c.Receipt(o[n])
	}
}

const sickObjects = 12

// TestASickHubIsBorne: for half an hour the hub is unwell. The appliance takes
// little memory for it, comes seldom and ever more seldom, believes nothing, and
// when the hub is well everything goes there without anybody's help. One carrier for
// each sickness, in turns, is enough here; SICK_ALL=1 has them all.
func TestASickHubIsBorne(t *testing.T) {
	carriers := []string{"auto", "tcp", "quic"}
	for i, s := range sicknesses() {
		for j, carrier := range carriers {
			if j != i%len(carriers) && os.Getenv("SICK_ALL") == "" {
				continue
			}
			t.Run(carrier+": "+s.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { bear(t, carrier, s) })
			})
		}
	}
}

func bear(t *testing.T, carrier string, s sickness) {
	sky := sim.New(1, sim.Line{Delay: 5 * time.Millisecond, Rate: 100e6}, 20*time.Second)
	hub := sky.Hub("hub")
	ca, source := uplinktest.NewCA(t), uplinktest.NewSource()
	for i := range sickObjects {
		source.Add(uint64(i), 200_000, uint8(i%wire.Classes))
	}
	recover := fallSick(t, hub, ca, s)
	before := heap()
	u, stop := sickAppliance(t, ca, source, carrier, sky)
	time.Sleep(sickFor)
	if grown := heap() - before; grown > 12<<20 {
		t.Errorf("%d bytes of memory", grown)
	}
	seldom(t, sky.Counts().Opened)
	if n := source.Count(uplinktest.AtHub) + source.Count(uplinktest.Archived) + source.Count(uplinktest.Quarantined); n > 0 {
		t.Errorf("%d objects count as stored, or as damaged", n)
	}
	source.With(func(all *uplinktest.Source) {
		rests := 0
		for _, why := range all.Returned {
			if _, ok := errors.AsType[*uplink.RestError](why); ok {
				rests++
			}
		}
		if s.back > 0 && (rests == 0 || rests > s.back*sickObjects) {
			t.Errorf("%d objects were given back %d times in %s", sickObjects, rests, sickFor)
		}
	})
	recover()
	_, shut := liarOn(t, hub, ca, well)
	ctx, cancel := context.WithTimeout(t.Context(), mendsWithin)
	defer cancel()
	if err := source.Wait(ctx, func() bool { return source.Count(uplinktest.AtHub) == sickObjects }); err != nil {
		t.Errorf("%s after it is well, %d objects are there: %+v", mendsWithin, source.Count(uplinktest.AtHub), u.Status())
	}
	stop()
	hub.Kill()
	shut()
}

// fallSick has the hub be unwell until the function that it returns is called.
func fallSick(t *testing.T, hub *sim.Hub, ca *uplinktest.CA, s sickness) (recover func()) {
	if s.script == nil {
		return func() {}
	}
	if s.ca != nil {
		ca = s.ca(t)
	}
	_, shut := liarOn(t, hub, ca, s.script)
	return func() { hub.Kill(); shut() }
}

func liarOn(t *testing.T, hub *sim.Hub, ca *uplinktest.CA, script func(*scripted.Conn)) (*scripted.Hub, func()) {
	packets, streams := hub.Up()
	return scripted.ServeOn(t, ca, packets, streams, script)
}

func sickAppliance(t *testing.T, ca *uplinktest.CA, source *uplinktest.Source, carrier string, sky *sim.Sky, hubs ...string) (*uplink.Uplink, func()) {
	u, err := uplink.New(uplink.Config{
		Hubs: append([]string{"hub"}, hubs...), TLS: ca.Appliance("one"), Source: source, Keeper: source, BootID: []byte("b"), DataDirID: []byte("d"),
		Transport: carrier, LanesMax: 4, Logger: slog.New(slog.DiscardHandler), Dial: sky.Dial,
		Packets: func(_ context.Context, hub string) (net.PacketConn, net.Addr, error) { return sky.Packet(hub) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { u.Run(ctx) })
	return u, func() { cancel(); wg.Wait() }
}

// seldom: after five minutes nobody is called more often than every 15 s by each
// carrier, which is a quarter of the longest pause.
func seldom(t *testing.T, opened []time.Time) {
	in, worst := 0, 0
	for i := range opened {
		if opened[i].Sub(opened[0]) < 5*time.Minute {
			in = i + 1
			continue
		}
		for opened[i].Sub(opened[in]) > time.Minute {
			in++
		}
		worst = max(worst, i-in+1)
	}
	if worst > 10 {
		t.Errorf("called %d times in one minute", worst)
	}
	t.Logf("called %d times, at most %d times in a minute after the first five", len(opened), worst)
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

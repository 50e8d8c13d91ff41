package hubtest

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"edged/uplink/wire"
)

// FleetConfig says who there is and where they call.
type FleetConfig struct {
	Hubs       []string // an appliance keeps to one until that fails, then calls the next
	CA         *CA
	Appliances int
	Name       string // their ids begin with it. If empty, "fleet".
	Facility   string // of all. If empty, Name.
	Carrier    string // "tcp" (if empty), "quic", or "both": every other one
	Dials      int    // connections made at once. If zero, 32.
	KeepAlive  time.Duration
	Archived   func(device string, id wire.ID) // may be nil; see Config
	Logger     *slog.Logger                    // if nil, nothing is logged
}

// Fleet is appliances that stay connected. Run does everything.
type Fleet struct {
	c       FleetConfig
	dials   chan struct{}
	members []*Member
	run     sync.WaitGroup

	connected, objects, received, archived, trouble, dialled, bytes, again atomic.Int64
}

// Figures are sums over the fleet.
type Figures struct {
	Appliances, Connected int64
	Dialled               int64 // connections made
	Objects               int64 // given to Add
	Received, Archived    int64 // of them; what was lost again counts no more
	Trouble               int64 // told by the hub
	Again                 int64 // offers that were put off
	Bytes                 int64 // of data sets sent, repetitions too
}

// NewFleet makes their certificates. Enrol Fleet.IDs before Run.
func NewFleet(c FleetConfig) (*Fleet, error) {
	c.Name, c.Dials = cmp.Or(c.Name, "fleet"), cmp.Or(c.Dials, 32)
	c.Facility = cmp.Or(c.Facility, c.Name)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	f := &Fleet{c: c, dials: make(chan struct{}, c.Dials)}
	for i := range c.Appliances {
		m, err := f.member(i)
		if err != nil {
			return nil, err
		}
		f.members = append(f.members, m)
	}
	return f, nil
}

func (f *Fleet) member(i int) (*Member, error) {
	id := fmt.Sprintf("%s-%05d", f.c.Name, i)
	tls, err := f.c.CA.Client(id, f.c.Facility)
	if err != nil {
		return nil, err
	}
	carrier := f.c.Carrier
	if carrier == "both" {
		carrier = []string{"tcp", "quic"}[i%2]
	}
	m := &Member{fleet: f, id: id, objects: map[wire.ID]*kept{}}
	m.config = Config{
		TLS: tls, Carrier: carrier, KeepAlive: f.c.KeepAlive, Boot: []byte(id + " boot"), DataDir: []byte(id + " data"),
		Received: m.received, Archived: m.archived, Lost: m.lost, sent: &f.bytes, Trouble: m.troubled, Again: m.putOff,
	}
	return m, nil
}

// IDs are the devices' names.
func (f *Fleet) IDs() []string {
	ids := make([]string, len(f.members))
	for i, m := range f.members {
		ids[i] = m.id
	}
	return ids
}

// Member is appliance i, from 0.
func (f *Fleet) Member(i int) *Member { return f.members[i] }

// Figures are those of now.
func (f *Fleet) Figures() Figures {
	return Figures{
		Appliances: int64(len(f.members)), Connected: f.connected.Load(), Dialled: f.dialled.Load(), Objects: f.objects.Load(),
		Received: f.received.Load(), Archived: f.archived.Load(), Trouble: f.trouble.Load(), Again: f.again.Load(), Bytes: f.bytes.Load(),
	}
}

// sockets for QUIC: a hub sees few addresses, and a process needs few descriptors.
const sockets = 32

// Run connects all and keeps them so until ctx ends, and returns when all have ended.
func (f *Fleet) Run(ctx context.Context) error {
	var udp *Sockets
	if f.c.Carrier == "quic" || f.c.Carrier == "both" {
		var err error
		if udp, err = NewSockets(min(sockets, len(f.members))); err != nil {
			return err
		}
		defer udp.Close()
	}
	for i, m := range f.members {
		m.config.Sockets = udp
		f.run.Go(func() { m.stay(ctx, i) })
	}
	f.run.Wait()
	return nil
}

// Await polls until ok, as long as ctx goes on.
func (f *Fleet) Await(ctx context.Context, ok func(Figures) bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok(f.Figures()) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %+v", context.Cause(ctx), f.Figures())
		case <-tick.C:
		}
	}
	return nil
}

// Missing are the objects without a receipt, or not archived, and who has them.
func (f *Fleet) Missing(archived bool) map[string][]wire.ID {
	all := map[string][]wire.ID{}
	for _, m := range f.members {
		m.mu.Lock()
		for id, k := range m.objects {
			if !k.archived && (archived || !k.received) {
				all[m.id] = append(all[m.id], id)
			}
		}
		m.mu.Unlock()
	}
	return all
}

// Pauses between attempts to connect.
const (
	firstPause = 200 * time.Millisecond
	lastPause  = 5 * time.Second
)

// stay keeps the appliance connected.
func (m *Member) stay(ctx context.Context, hub int) {
	pause := firstPause
	for ctx.Err() == nil {
		began := time.Now()
		m.config.Hub = m.fleet.c.Hubs[hub%len(m.fleet.c.Hubs)]
		err := m.visit(ctx)
		m.fleet.c.Logger.Debug("disconnected", "device", m.id, "hub", m.config.Hub, "error", err)
		hub++
		if time.Since(began) > lastPause {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause)):
		}
		pause = min(2*pause, lastPause)
	}
}

// visit is one connection, from its first packet to its end.
func (m *Member) visit(ctx context.Context) error {
	select {
	case m.fleet.dials <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	a, err := Dial(ctx, m.config)
	<-m.fleet.dials
	if err != nil {
		return err
	}
	m.fleet.dialled.Add(1)
	m.fleet.connected.Add(1)
	defer m.fleet.connected.Add(-1)
	m.begin(ctx, a)
	defer m.over()
	return a.Run(ctx)
}

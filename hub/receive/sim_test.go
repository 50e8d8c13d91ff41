package receive_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edged/hub/objects"
	"edged/hub/receive"
	"edged/uplink"
	"edged/uplink/uplinktest"
	"edged/uplink/uplinktest/sim"
)

const (
	simIdle = 20 * time.Second
	simEnd  = 3 * time.Hour // of virtual time: then it has failed
)

// TestSimulation carries objects through what a seed draws: loss, outages of
// minutes, hubs and appliances that die in mid-object, changing addresses and
// rates. What must hold whatever happens is in simwatch_test.go. SIM_FROM and
// SIM_SEEDS choose other seeds than CI's.
func TestSimulation(t *testing.T) {
	from, seeds := number(t, "SIM_FROM", 1), number(t, "SIM_SEEDS", 20)
	for seed := from; seed < from+seeds; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { simulate(t, newPlan(seed)) })
		})
	}
}

func number(t *testing.T, name string, otherwise uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// simulation is one seed under way.
type simulation struct {
	t      *testing.T
	plan   plan
	ca     *uplinktest.CA
	dir    string
	began  time.Time
	sky    *sim.Sky
	nodes  []*simNode
	source *watched

	mu     sync.Mutex // guards what follows
	ledger *ledger    // the newest; all nodes share it
	life   int        // of the appliance
	uplink *uplink.Uplink
	stop   func()
}

// simNode is one node of the hub: a process that dies and comes back.
type simNode struct {
	name  string
	at    *sim.Hub
	store *objects.Store
	stop  func() // nil while it is dead
}

func simulate(t *testing.T, p plan) {
	s := &simulation{t: t, plan: p, ca: uplinktest.NewCA(t), dir: t.TempDir(), began: time.Now(), sky: sim.New(p.seed, p.line, simIdle)}
	s.source = &watched{Source: uplinktest.NewSource(), s: s}
	for i := range p.nodes {
		name := "hub" + strconv.Itoa(i) + ":8443"
		s.nodes = append(s.nodes, &simNode{name: name, at: s.sky.Hub(name)})
		s.start(s.nodes[i])
	}
	s.launch()
	ctx, cancel := context.WithTimeout(t.Context(), simEnd)
	defer cancel()
	var wg sync.WaitGroup
	for _, part := range []func(context.Context){s.modality, s.breakThings, s.limitRates, s.watchRate} {
		wg.Go(func() { part(ctx) })
	}
	wg.Wait()
	err := s.source.Wait(ctx, func() bool { return all(s.source.Source, uplinktest.Archived) })
	if err != nil {
		t.Errorf("not everything is archived: %v; objects by state %v; %+v", err, states(s.source.Source), s.uplink.Status())
	}
	took := time.Since(s.began)
	s.stop()
	s.judge(took)
	for _, n := range s.nodes {
		s.kill(n)
	}
	s.ledger.file.Close()
	if t.Failed() {
		t.Log(p)
	}
}

// states counts the objects in each.
func states(source *uplinktest.Source) map[uplinktest.State]int {
	counts := map[uplinktest.State]int{}
	source.Each(func(it *uplinktest.Item) { counts[it.State]++ })
	return counts
}

// at waits for a time since the start; false when it is too late for anything.
func (s *simulation) at(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Until(s.began.Add(d))):
		return true
	}
}

// modality puts the objects in when their time has come.
func (s *simulation) modality(ctx context.Context) {
	var wg sync.WaitGroup
	for i, o := range s.plan.objects {
		wg.Go(func() {
			if s.at(ctx, o.at) {
				s.source.Add(s.plan.seed<<8|uint64(i), o.size, o.priority)
			}
		})
	}
	wg.Wait()
}

func (s *simulation) breakThings(ctx context.Context) {
	for _, f := range s.plan.faults {
		if !s.at(ctx, f.at) {
			return
		}
		switch f.what {
		case killHub:
			s.kill(s.nodes[f.node])
			s.at(ctx, time.Since(s.began)+f.down)
			s.start(s.nodes[f.node])
		case rebind, move:
			s.sky.Move(f.what == rebind && os.Getenv("SIM_REBIND") != "")
		case restart:
			s.sky.Move(false) // nothing that the dying process says leaves
			s.stop()
			s.at(ctx, time.Since(s.began)+f.down)
			s.launch()
		}
	}
}

func (s *simulation) limitRates(ctx context.Context) {
	for _, c := range s.plan.caps {
		if !s.at(ctx, c.at) {
			return
		}
		s.mu.Lock()
		if err := s.uplink.SetShape(s.shape()); err != nil {
			s.t.Error(err)
		}
		s.mu.Unlock()
	}
}

// shape is what the configuration says at this time: a schedule once and for all,
// or a rate that somebody changes.
func (s *simulation) shape() (shape uplink.Shape) {
	if !s.plan.schedule {
		return uplink.Shape{Rate: s.plan.cap(time.Since(s.began)), Backfill: s.plan.backfill}
	}
	shape = uplink.Shape{Backfill: s.plan.backfill}
	midnight := s.began.UTC().Truncate(24 * time.Hour)
	for i, c := range s.plan.caps {
		p := uplink.Period{Days: [7]bool{true, true, true, true, true, true, true}, From: s.began.Add(c.at).Sub(midnight), To: 24 * time.Hour, Rate: c.bits}
		if i+1 < len(s.plan.caps) {
			p.To = s.began.Add(s.plan.caps[i+1].at).Sub(midnight)
		}
		if c.bits > 0 {
			shape.Schedule = append(shape.Schedule, p)
		}
	}
	return shape
}

// start starts the process of a node: store and rows are read from the disk. The
// rows are one database for all nodes, so only the first one opens it.
func (s *simulation) start(n *simNode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.anyAlive() {
		s.openLedger()
	}
	store, err := objects.Open(objects.Config{Dir: filepath.Join(s.dir, n.name), Logger: logger(s.t)})
	if err != nil {
		s.t.Error(err)
		return
	}
	server, err := receive.New(receive.Config{
		TLS: s.ca.Hub(), Device: uplinktest.Device, Ledger: s.ledger, Objects: store,
		IdleTimeout: simIdle, MaxObjects: 16, MaxBytes: 1 << 20, Logger: logger(s.t),
	})
	if err != nil {
		s.t.Error(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	packets, streams := n.at.Up()
	var wg sync.WaitGroup
	wg.Go(func() { server.Serve(ctx, packets) })
	wg.Go(func() { acceptTCP(ctx, server, streams) })
	n.store = store
	n.stop = func() { n.at.Kill(); cancel(); wg.Wait(); store.Close() }
}

// acceptTCP serves what streams accepts, as hubd does, until it is closed.
func acceptTCP(ctx context.Context, server *receive.Server, streams net.Listener) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		raw, err := streams.Accept()
		if err != nil {
			return
		}
		wg.Go(func() {
			shake, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			conn := tls.Server(raw, server.TLS())
			if conn.HandshakeContext(shake) != nil {
				conn.Close()
				return
			}
			server.ServeTCP(ctx, conn)
		})
	}
}

func (s *simulation) anyAlive() bool {
	for _, n := range s.nodes {
		if n.stop != nil {
			return true
		}
	}
	return false
}

// openLedger reads the rows again, as a process that starts does. s.mu is held.
func (s *simulation) openLedger() {
	if s.ledger != nil {
		s.ledger.file.Close()
	}
	l, err := openLedger(filepath.Join(s.dir, "ledger"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.ledger = l
}

// kill ends the process of a node: no farewell leaves.
func (s *simulation) kill(n *simNode) {
	s.mu.Lock()
	stop := n.stop
	s.mu.Unlock()
	if stop != nil {
		stop()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n.stop = nil
}

// launch starts the appliance's process.
func (s *simulation) launch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life++
	var hubs []string
	for _, n := range s.nodes {
		hubs = append(hubs, n.name)
	}
	u, err := uplink.New(uplink.Config{
		Hubs: hubs, TLS: s.ca.Appliance("one"), Source: s.source, Keeper: s.source,
		BootID: []byte("boot " + strconv.Itoa(s.life)), DataDirID: []byte("data"),
		Transport: s.plan.carrier, LanesMin: s.plan.lanes, LanesMax: simLanes, Shape: s.shape(),
		Idle: simIdle, Logger: logger(s.t),
		Packets: func(_ context.Context, hub string) (net.PacketConn, net.Addr, error) { return s.sky.Packet(hub) },
		Dial:    s.sky.Dial,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { u.Run(ctx) })
	s.uplink, s.stop = u, func() { cancel(); wg.Wait() }
}

// figures is what a seed that held leaves in the output, one line of JSON, for
// `make sim` to add up.
type figures struct {
	Seed        uint64
	Objects     int
	Bytes       int64
	Virtual     time.Duration
	Wire        int64
	Connections int // attempts, and how many of them by TCP
	Streams     int
}

func (f figures) String() string {
	b, _ := json.Marshal(f)
	return "sim: " + string(b)
}

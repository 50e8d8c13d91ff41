package receive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"edged/hub/door"
	"edged/hub/objects"
	"edged/hub/receive"
	"edged/internal/dicom"
	"edged/internal/ports"
	"edged/uplink"
	"edged/uplink/uplinktest"
	"edged/uplink/wire/udp"
)

func bytesReader(b []byte) io.Reader { return bytes.NewReader(b) }

// patience bounds every wait of these tests.
const patience = 2 * time.Minute

func logger(t testing.TB) *slog.Logger {
	if !testing.Verbose() || os.Getenv("UPLINK_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, nil))
}

// overBoth runs a test over each carrier.
func overBoth(t *testing.T, test func(*testing.T, *world)) {
	for _, carrier := range []string{"quic", "tcp"} {
		t.Run(carrier, func(t *testing.T) {
			w := newWorld(t)
			w.carrier = carrier
			test(t, w)
		})
	}
}

// world is a hub and appliances around it.
type world struct {
	t       testing.TB
	carrier string // of appliances
	ca      *uplinktest.CA
	dir     string
	ledger  *ledger
	addr    string // of the hub, stays the same
	change  func(*receive.Config)
	store   *objects.Store
	limit   int64 // of partial objects
	server  *receive.Server
	drain   func() // asks the hub to end
	stop    func()
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, carrier: "quic", ca: uplinktest.NewCA(t), dir: t.TempDir(), ledger: newLedger(), stop: func() {}}
	t.Cleanup(func() { w.stop() })
	return w
}

// start starts the hub on the address that it had before.
func (w *world) start() {
	w.t.Helper()
	l, pc, err := samePort(w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.addr = l.Addr().String()
	w.serve(pc, l)
}

// samePort listens on TCP and UDP, on a port of its own choice if addr is empty:
// one that nobody takes while the hub that had it is down.
func samePort(addr string) (net.Listener, net.PacketConn, error) {
	if addr == "" {
		port, err := ports.Free()
		if err != nil {
			return nil, nil, err
		}
		addr = fmt.Sprintf("127.0.0.1:%d", port)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	pc, err := udp.Listen(context.Background(), "udp", addr, udp.Options{})
	if err != nil {
		l.Close()
	}
	return l, pc, err
}

// severed is a listener whose connections can be cut off all at once.
type severed struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func (s *severed) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	if err == nil {
		s.mu.Lock()
		s.conns = append(s.conns, conn)
		s.mu.Unlock()
	}
	return conn, err
}

func (s *severed) sever() {
	s.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
}

// serve runs a hub on pc, and on l if there is one, until w.stop, which cuts it off
// without a farewell.
func (w *world) serve(pc net.PacketConn, l net.Listener) {
	w.t.Helper()
	store, err := objects.Open(objects.Config{Dir: w.dir, MaxPartialBytes: w.limit, Logger: logger(w.t)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.store = store
	c := receive.Config{TLS: w.ca.Hub(), Device: uplinktest.Device, Ledger: w.ledger, Objects: store, BusyRetry: 100 * time.Millisecond, Repeat: time.Second, IdleTimeout: 5 * time.Second, Logger: logger(w.t)}
	if w.change != nil {
		w.change(&c)
	}
	server, err := receive.New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	w.server = server
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var served error
	wg.Go(func() { served = server.Serve(ctx, pc) })
	sever := func() {}
	if l != nil {
		cuttable := &severed{Listener: l}
		sever = cuttable.sever
		http := w.ca.Hub()
		http.NextProtos = []string{"http/1.1"}
		d := door.New(door.Config{UplinkTLS: server.TLS(), HTTPTLS: http, Appliance: server.ServeTCP, Logger: c.Logger})
		wg.Go(func() { d.Serve(ctx, cuttable) })
	}
	w.drain = cancel
	w.stop = sync.OnceFunc(func() {
		pc.Close() // first: no farewell leaves
		sever()
		cancel()
		wg.Wait()
		store.Close()
		if served != nil && !errors.Is(served, net.ErrClosed) {
			w.t.Log("serve:", served)
		}
	})
}

// appliance runs an uplink until the test ends or stop is called.
func (w *world) appliance(device string, source *uplinktest.Source, change func(*uplink.Config)) (u *uplink.Uplink, stop func()) {
	w.t.Helper()
	c := uplink.Config{
		Hubs: []string{w.addr}, Transport: w.carrier, TLS: w.ca.Appliance(device), Source: source, Keeper: source,
		BootID: []byte("boot " + strconv.Itoa(int(time.Now().UnixNano()))), DataDirID: []byte("data of " + device),
		RetryMin: 10 * time.Millisecond, RetryMax: 100 * time.Millisecond, Idle: 5 * time.Second, Logger: logger(w.t),
	}
	if change != nil {
		change(&c)
	}
	u, err := uplink.New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { u.Run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	w.t.Cleanup(stop)
	return u, stop
}

// waitFor waits until all objects of source are in a state.
func waitFor(t testing.TB, source *uplinktest.Source, state uplinktest.State) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := source.Wait(ctx, func() bool { return all(source, state) }); err != nil {
		counts := map[uplinktest.State]int{}
		source.Each(func(it *uplinktest.Item) { counts[it.State]++ })
		t.Fatalf("waiting for state %d: %v; objects by state: %v", state, err, counts)
	}
}

func all(source *uplinktest.Source, state uplinktest.State) bool {
	ok := true
	source.Each(func(it *uplinktest.Item) { ok = ok && it.State == state })
	return ok
}

// identical demands that the hub's files are the objects, byte for byte.
func (w *world) identical(source *uplinktest.Source) {
	w.t.Helper()
	source.Each(func(it *uplinktest.Item) {
		if err := w.same(it); err != nil {
			w.t.Error(err)
		}
	})
}

func (w *world) same(it *uplinktest.Item) error {
	o, err := w.store.Open(it.ID)
	if err != nil {
		return err
	}
	defer o.Close()
	file, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size()))
	if err != nil {
		return err
	}
	want := append(dicom.Preface(it.Names), it.Data...)
	if !bytes.Equal(file, want) || o.Names() != it.Names {
		return fmt.Errorf("object %s: %d bytes at the hub differ from %d sent", it.ID, len(file), len(want))
	}
	return o.Verify()
}

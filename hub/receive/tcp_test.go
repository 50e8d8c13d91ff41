package receive_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"edged/hub"
	"edged/hub/objects"
	"edged/hub/receive"
	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

// TestAnObjectGoesOnOverTheOtherCarrier, from the byte where the first connection
// was cut, in both directions; it is received once.
func TestAnObjectGoesOnOverTheOtherCarrier(t *testing.T) {
	w := newWorld(t)
	w.start()
	o, data := wireObject(1, 1, 3*wire.MaxBody)
	at := int64(0)
	for i, carrier := range []string{"quic", "tcp", "quic", "tcp"} {
		w.carrier = carrier
		r := hello(t, w.dial("one"), "data")
		r.say(&wire.Offer{Objects: []wire.Object{o}})
		if f, ok := r.hear().(*wire.Have); !ok || f.Answers[0].Offset != at {
			t.Fatalf("connection %d over %s: %+v, want offset %d", i, carrier, f, at)
		}
		if i == 3 {
			for ; at < o.Length; at += 1000 {
				r.put(1, at, data[at:min(at+1000, o.Length)])
			}
			if f, ok := r.hear().(*wire.Receipt); !ok || f.Receipts[0] != (wire.Received{ID: o.ID, Length: o.Length}) {
				t.Fatalf("heard %+v", f)
			}
			break
		}
		r.put(1, at, data[at:at+100_000])
		at += 100_000
		eventually(t, "the bytes", func() bool { return w.store.PartialBytes("one") > at })
		r.hangUp()
	}
	if err := w.ledger.once(); err != nil || len(w.ledger.list()) != 1 {
		t.Errorf("%d received, %v", len(w.ledger.list()), err)
	}
}

// TestWhatCameOfACutPutIsKept: the connection ends in the middle of a frame.
func TestWhatCameOfACutPutIsKept(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.start()
		o, data := wireObject(1, 1, 200_000)
		r := hello(t, w.dial("one"), "data")
		r.say(&wire.Offer{Objects: []wire.Object{o}})
		r.hear()
		frame := encoded(&wire.Put{Number: 1, Body: data})
		r.data.Write(frame[:len(frame)-100_000])
		if w.carrier == "tcp" {
			r.hangUp() // QUIC may drop what lies unread when it closes
		} else {
			r.data.(*lazyStream).CancelWrite(0)
			r.data.(*lazyStream).SendStream = nil
		}
		want := int64(0)
		eventually(t, "the bytes", func() bool { return w.carrier == "quic" || w.store.PartialBytes("one") > 100_000 })
		if w.carrier == "tcp" {
			want = 100_000
		}
		second := hello(t, w.dial("one"), "data")
		second.say(&wire.Offer{Objects: []wire.Object{o}})
		if f, ok := second.hear().(*wire.Have); !ok || f.Answers[0].Offset < want || f.Answers[0].Offset > 100_000 {
			t.Errorf("answer %+v, want offset %d", f, want)
		}
	})
}

// slowLedger answers offers when it is told to, once it is slow.
type slowLedger struct {
	*ledger
	slow          atomic.Bool
	once          sync.Once
	asked, answer chan struct{}
}

func newSlowLedger(l *ledger) *slowLedger {
	return &slowLedger{ledger: l, asked: make(chan struct{}), answer: make(chan struct{})}
}

func (l *slowLedger) Known(ctx context.Context, device string, ids []hub.ID) (map[hub.ID]int64, error) {
	if l.slow.Load() {
		l.once.Do(func() { close(l.asked) })
		select {
		case <-l.answer:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return l.ledger.Known(ctx, device, ids)
}

// TestASlowLedgerStopsNoPuts: on TCP they come behind the frames that wait for it.
// Those are handled in their order when it answers.
func TestASlowLedgerStopsNoPuts(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		slow := newSlowLedger(w.ledger)
		w.change = func(c *receive.Config) { c.Ledger = slow }
		w.start()
		r := hello(t, w.dial("one"), "data")
		o, data := wireObject(1, 1, 500_000)
		r.say(&wire.Offer{Objects: []wire.Object{o}})
		r.hear()
		second, _ := wireObject(2, 2, 500)
		third, _ := wireObject(3, 3, 500)
		slow.slow.Store(true)
		r.say(&wire.Offer{Objects: []wire.Object{second}})
		r.say(&wire.Offer{Objects: []wire.Object{third}})
		within(t, slow.asked, "the ledger to be asked")
		for at := 0; at < len(data); at += 100_000 {
			r.put(1, int64(at), data[at:at+100_000])
		}
		eventually(t, "the object", func() bool { _, err := w.store.Open(hub.ID(o.ID)); return err == nil })
		close(slow.answer)
		var order []uint64
		for len(order) < 2 {
			if f, ok := r.hear().(*wire.Have); ok {
				for _, a := range f.Answers {
					order = append(order, a.Number)
				}
			}
		}
		if order[0] != 2 || order[1] != 3 {
			t.Errorf("answered in the order %v", order)
		}
	})
}

// TestFramesThatWaitAreBounded: behind a ledger that does not answer, an appliance
// that goes on talking is made to wait, and the hub's memory does not grow by what
// it says.
func TestFramesThatWaitAreBounded(t *testing.T) {
	w := newWorld(t)
	w.carrier = "tcp"
	slow := newSlowLedger(w.ledger)
	w.change = func(c *receive.Config) { c.Ledger = slow }
	w.start()
	r := hello(t, w.dial("one"), "data")
	slow.slow.Store(true)
	o, _ := wireObject(1, 1, 500)
	r.say(&wire.Offer{Objects: []wire.Object{o}})
	within(t, slow.asked, "the ledger to be asked")
	page := encoded(&wire.ArchivedAck{Seqs: make([]uint64, wire.MaxItems)})
	conn := r.out.(*tls.Conn)
	conn.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	said := 0
	for ; said < 64<<20; said += len(page) {
		if _, err := conn.Write(page); err != nil {
			break
		}
	}
	if said >= 64<<20 {
		t.Errorf("%d bytes of frames were taken while nothing was answered", said)
	}
	close(slow.answer)
}

// TestProbesAreEchoed with what has come, over each carrier; objects go on beside.
func TestProbesAreEchoed(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.start()
		r := hello(t, w.dial("one"), "data")
		const n, size = 40, 20_000
		var sent sync.WaitGroup
		sent.Go(func() {
			for i := range n {
				r.data.Write(encoded(&wire.Probe{Number: uint64(i + 1), Body: make([]byte, size)}))
			}
		})
		defer sent.Wait()
		for last := (wire.Echo{}); last.Number < n; {
			f, ok := r.hear().(*wire.Echo)
			if !ok || f.Number <= last.Number || f.Bytes != int64(f.Number*size) {
				t.Fatalf("heard %+v after %+v", f, last)
			}
			last = *f
		}
		if w.store.PartialBytes("one") > 0 {
			t.Error("probes were kept")
		}
	})
}

// TestAWordBeforeByeCounts: over TCP an appliance that takes its leave is heard to
// the end.
func TestAWordBeforeByeCounts(t *testing.T) {
	w := newWorld(t)
	w.carrier = "tcp"
	for i := range 100 {
		w.ledger.add(hub.Object{ID: hub.ID{byte(i)}, Device: "one", Length: int64(i)})
	}
	w.start()
	r := hello(t, w.dial("one"), "data")
	f, ok := r.hear().(*wire.Archived)
	if !ok || len(f.Confirmations) != 100 {
		t.Fatalf("heard %+v", f)
	}
	var last []byte
	for _, c := range f.Confirmations {
		last = append(last, encoded(&wire.ArchivedAck{Seqs: []uint64{c.Seq}})...)
	}
	r.out.Write(append(last, encoded(&wire.Bye{})...))
	eventually(t, "the acknowledgements", func() bool { return w.outbox("one") == 0 })
	r.closed(wire.ByeDone)
}

// TestByeOverQUICSaysNothing: the carrier has its own way.
func TestByeOverQUICSaysNothing(t *testing.T) {
	w := newWorld(t)
	w.start()
	r := hello(t, w.dial("one"), "data")
	r.say(&wire.Bye{Code: wire.ByeInternal})
	o, _ := wireObject(1, 1, 500)
	r.say(&wire.Offer{Objects: []wire.Object{o}})
	if f := r.hear(); f.Type() != wire.TypeHave {
		t.Errorf("heard %+v", f)
	}
}

// TestAHubThatStopsSaysSo over each carrier, also to who is sending.
func TestAHubThatStopsSaysSo(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.start()
		idle, busy := hello(t, w.dial("one"), "data"), hello(t, w.dial("two"), "data")
		o, data := wireObject(1, 1, 64*wire.MaxBody)
		busy.say(&wire.Offer{Objects: []wire.Object{o}})
		busy.hear()
		var sent sync.WaitGroup
		sent.Go(func() {
			for at := int64(0); at < o.Length; at += wire.MaxBody {
				busy.put(1, at, data[at:at+wire.MaxBody])
			}
		})
		defer sent.Wait()
		eventually(t, "bytes", func() bool { return w.store.PartialBytes("two") > 2*wire.MaxBody })
		w.drain()
		idle.closed(wire.ByeDone)
		busy.closed(wire.ByeDone)
	})
}

// TestConnectionsTellTheirCarrier, and count together against what one appliance
// may have.
func TestConnectionsTellTheirCarrier(t *testing.T) {
	w := newWorld(t)
	w.change = func(c *receive.Config) { c.MaxConnections = 2 }
	w.start()
	first := hello(t, w.dial("one"), "data")
	w.carrier = "tcp"
	hello(t, w.dial("one"), "data")
	carriers := map[string]int{}
	for _, c := range w.server.Connections() {
		carriers[c.Carrier]++
	}
	if carriers["quic"] != 1 || carriers["tcp"] != 1 {
		t.Errorf("connections %+v", w.server.Connections())
	}
	hello(t, w.dial("one"), "data")
	first.closed(wire.ByeReplaced)
}

// TestWhoDoesNotSpeakIsBounded: an appliance that opens connections and never says
// Hello holds as many as it might have, and no more.
func TestWhoDoesNotSpeakIsBounded(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.change = func(c *receive.Config) { c.MaxConnections = 3 }
		w.start()
		var silent []*rude
		for range 3 {
			silent = append(silent, w.dial("one"))
			silent[len(silent)-1].out.Write([]byte{0}) // the beginning of a frame
		}
		if w.carrier == "quic" {
			eventually(t, "refusal", func() bool { return refused(w.dial("one")) })
		} else {
			w.dial("one").closed(wire.ByeBusy)
		}
		hello(t, w.dial("two"), "data")
		silent[0].hangUp()
		silent[1].hangUp()
		eventually(t, "room", func() bool {
			r := w.dial("one")
			r.greet("boot", "data")
			f, err := r.frames.Next()
			return err == nil && f.Type() == wire.TypeWelcome
		})
	})
}

func refused(r *rude) bool {
	r.greet("boot", "data")
	_, err := r.frames.Next()
	return err != nil && strings.Contains(err.Error(), "0x2")
}

// TestServeTCPDemandsTheHandshake: whatever a listener let through, who has not shown
// a certificate over edged/1 is not served.
func TestServeTCPDemandsTheHandshake(t *testing.T) {
	w := newWorld(t)
	w.start()
	for name, change := range map[string]func(*tls.Config){
		"no certificate asked for": func(c *tls.Config) { c.ClientAuth = tls.NoClientCert },
		"not verified":             func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert },
		"another protocol":         func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} },
		"TLS 1.2":                  func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 },
	} {
		server := w.server.TLS().Clone()
		server.VerifyConnection = nil
		change(server)
		client := w.ca.Appliance("one")
		client.NextProtos = []string{wire.ALPN, "http/1.1"}
		here, there := net.Pipe()
		at := tls.Server(here, server)
		var shaken sync.WaitGroup
		shaken.Go(func() { tls.Client(there, client).Handshake() })
		if err := at.Handshake(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		shaken.Wait()
		go func() { // what the hub says goes nowhere
			there.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			io.Copy(io.Discard, there)
			there.Close()
		}()
		if err := w.server.ServeTCP(t.Context(), at); err == nil {
			t.Errorf("%s: served", name)
		}
	}
}

// bubble is a hub without a network, in virtual time, and one appliance's TLS
// connection to it over a pipe.
func bubble(t *testing.T, change func(*receive.Config)) (*receive.Server, *rude, chan error) {
	t.Helper()
	ca, server := bubbleServer(t, change)
	r, ended := join(t, ca, server, "one")
	return server, r, ended
}

func bubbleServer(t *testing.T, change func(*receive.Config)) (*uplinktest.CA, *receive.Server) {
	t.Helper()
	ca := uplinktest.NewCA(t)
	store, err := objects.Open(objects.Config{Dir: t.TempDir(), Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	c := receive.Config{TLS: ca.Hub(), Device: uplinktest.Device, Ledger: newLedger(), Objects: store, Logger: logger(t)}
	if change != nil {
		change(&c)
	}
	server, err := receive.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return ca, server
}

// join is one more connection to it.
func join(t *testing.T, ca *uplinktest.CA, server *receive.Server, device string) (*rude, chan error) {
	t.Helper()
	client := ca.Appliance(device)
	client.NextProtos = []string{wire.ALPN}
	here, there := net.Pipe()
	ended := make(chan error, 1)
	go func() {
		conn := tls.Server(here, server.TLS())
		if err := conn.Handshake(); err != nil {
			ended <- err
			return
		}
		ended <- server.ServeTCP(t.Context(), conn)
	}()
	conn := tls.Client(there, client)
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	return &rude{t: t, out: conn, data: conn, frames: wire.NewReader(conn), hangUp: func() { there.Close() }}, ended
}

// TestWhoSaysNothingIsDropped after ten seconds, with half a Hello too.
func TestWhoSaysNothingIsDropped(t *testing.T) {
	for name, said := range map[string]string{"nothing": "", "half a frame": "\x00\x01\x00\x09\x00"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, r, ended := bubble(t, nil)
				began := time.Now()
				r.out.Write([]byte(said))
				r.closed(wire.ByeDone)
				r.hangUp()
				<-ended
				if took := time.Since(began); took < 10*time.Second || took > 12*time.Second {
					t.Errorf("dropped after %s", took)
				}
			})
		})
	}
}

// TestWhoReadsNothingIsGivenUp: an appliance that does not listen holds its
// connection for half a minute, then a moment for the farewell.
func TestWhoReadsNothingIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, r, ended := bubble(t, func(c *receive.Config) {
			l := newLedger()
			l.add(hub.Object{ID: hub.ID{1}, Device: "one"})
			c.Ledger = l
		})
		hello(t, r, "data") // and the confirmation is never read
		began := time.Now()
		err := <-ended
		if took := time.Since(began); took < 30*time.Second || took > 35*time.Second {
			t.Errorf("given up after %s: %v", took, err)
		}
		r.hangUp()
	})
}

// TestIdleConnectionsAreSmall: thousands of appliances are connected and silent
// most of the time, after they have said and sent something. Measured with the
// kernel's buffers and the appliance's end of TLS not in it.
func TestIdleConnectionsAreSmall(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.change = func(c *receive.Config) { c.MaxConnections, c.IdleTimeout = 1000, time.Minute }
		w.ledger.hold = true
		w.start()
		const n = 100
		before := inUse()
		var all []*rude
		for range n {
			all = append(all, hello(t, w.dial("one"), "data"))
		}
		for i, r := range all {
			o, data := wireObject(1, uint64(i), 30_000)
			r.say(&wire.Offer{Objects: []wire.Object{o}})
			r.hear()
			r.put(1, 0, data)
		}
		eventually(t, "the objects", func() bool { return len(w.ledger.list()) == n })
		each := (inUse() - before) / n
		t.Logf("%d bytes for both ends of a connection", each)
		if each > 300<<10 {
			t.Errorf("%d bytes for both ends of an idle connection", each)
		}
		runtime.KeepAlive(all)
	})
}

// inUse is the memory that is in use after a collection, heap and stacks.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

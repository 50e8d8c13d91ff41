package dimse

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// addressed is a connection whose peer has the address that the test says.
type addressed struct {
	net.Conn
	from net.IP
}

func (c *addressed) RemoteAddr() net.Addr { return &net.TCPAddr{IP: c.from, Port: 4711} }

func (l *pipeListener) dialFrom(ip string) net.Conn {
	ours, theirs := net.Pipe()
	l.conns <- &addressed{theirs, net.ParseIP(ip)}
	return ours
}

func playFrom(t *testing.T, l *pipeListener, ip string) *script {
	s := &script{t, l.dialFrom(ip)}
	t.Cleanup(func() { s.conn.Close() })
	return s
}

func requestOf(title string) []byte {
	return (&AssociateRQ{ProtocolVersion: 1, Called: "EDGED", Calling: title, ApplicationContext: ApplicationContext,
		Contexts: []Proposal{{1, Verification, []string{ImplicitVRLE}}}}).append(nil)
}

// TestLimitsByAddressAndTitle: what one address, or one title, holds is its
// own; beyond it the answer is 2/3/2, others come in, and each slot comes back.
func TestLimitsByAddressAndTitle(t *testing.T) {
	w := &watcher{}
	bubble(t, ServerConfig{Handler: &keeper{}, MaxAssociations: 10, MaxPerAddress: 2, MaxPerTitle: 3, Observer: w}, func(t *testing.T, srv *Server, l *pipeListener) {
		enter := func(ip, title string, want byte) *script {
			s := playFrom(t, l, ip).send(requestOf(title))
			if want == typeRJ {
				s.expect(typeRJ, 0, 2, 3, 2)
				s.conn.Close()
			} else {
				s.expect(typeAC)
			}
			return s
		}
		for range 3 {
			a := enter("10.0.0.1", "CT1", typeAC)
			b := enter("::ffff:10.0.0.1", "CT2", typeAC) // the same address, written otherwise
			enter("10.0.0.1", "CT3", typeRJ)
			c := enter("10.0.0.2", "CT1", typeAC)
			d := enter("10.0.0.3", "CT1", typeAC)
			enter("10.0.0.4", "CT1", typeRJ)
			e := enter("10.0.0.4", "ct1", typeAC) // case counts
			a.release()
			b.send(abortPDU)
			c.conn.Close()
			d.send([]byte("noise")).expect(typeAbort)
			d.conn.Close()
			e.release()
			synctest.Wait()
			if n := srv.Established(); n != 0 || len(srv.crowd.addresses)+len(srv.crowd.names)+len(srv.crowd.queues) != 0 {
				t.Errorf("%d slots are taken, %+v", n, srv.crowd)
			}
		}
	})
}

// TestOneAddressPushesOutItsOwn: of those that wait, the oldest of the address
// with the most goes. A peer elsewhere, slow with its request, comes in behind
// a crowd that arrived after it.
func TestOneAddressPushesOutItsOwn(t *testing.T) {
	bubble(t, ServerConfig{Handler: &keeper{}, MaxWaiting: 8}, func(t *testing.T, srv *Server, l *pipeListener) {
		slow := playFrom(t, l, "10.0.0.1")
		second := playFrom(t, l, "10.0.0.2")
		var crowd []*script
		for range 100 {
			crowd = append(crowd, playFrom(t, l, "10.6.6.6"))
			synctest.Wait()
		}
		slow.send(scriptRQ()).expect(typeAC)
		slow.release()
		second.send(scriptRQ()).expect(typeAC)
		second.release()
		crowd[93].expectClosed()
		crowd[94].send(requestOf("CT1")).expect(typeAC) // six of the crowd are left: to it we are fair, too
		synctest.Wait()
		if len(srv.crowd.waiting) != 5 {
			t.Errorf("%d wait", len(srv.crowd.waiting))
		}
	})
}

// TestTenThousandHalfOpen: ten thousand connections that say nothing, or half a
// request, from one address and from many. Meanwhile a modality associates,
// again and again, each time within a second; the memory of it all is bounded.
func TestTenThousandHalfOpen(t *testing.T) {
	most := 10_600
	if raceEnabled {
		most = 2_600 // the plain run has them all
	}
	raiseFiles(t, uint64(most))
	for _, sources := range []int{1, 250} {
		t.Run(fmt.Sprintf("%d addresses", sources), func(t *testing.T) { halfOpen(t, most-600, sources) })
	}
}

// raiseFiles lets this process have so many files, or skips the test.
func raiseFiles(t *testing.T, want uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Skipf("cannot read RLIMIT_NOFILE: %v", err)
	}
	if limit.Max < want {
		t.Skipf("the hard limit of open files is %d, this test needs %d (ulimit -Hn)", limit.Max, want)
	}
	if limit.Cur < want {
		before := limit
		limit.Cur = want
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Skipf("cannot raise RLIMIT_NOFILE to %d: %v", want, err)
		}
		t.Cleanup(func() { syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before) })
	}
}

func halfOpen(t *testing.T, crowd, sources int) {
	srv, port := serveTCP(t, ServerConfig{Handler: &keeper{}})
	before := memoryInUse()
	stop, slowest, rounds := modality(t, port)
	calm, hiccup := watchMachine(t)
	conns := make([]net.Conn, 0, crowd)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	began := time.Now()
	var peak uint64
	for i := range crowd {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%sources))}, Timeout: 10 * time.Second}
		conn, err := d.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		conns = append(conns, conn)
		if i%2 == 0 {
			conn.Write(scriptRQ()[:80])
		}
		if i%500 == 499 {
			peak = max(peak, memoryInUse())
		}
	}
	took := time.Since(began)
	srv.mu.Lock()
	waiting, live := len(srv.crowd.waiting), len(srv.live)
	srv.mu.Unlock()
	stop()
	calm()
	t.Logf("%d half-open connections from %d addresses in %v: %d wait, %d are open; a modality associated %d times meanwhile, slowest %v (the machine itself stood still for %v); memory %d KiB above %d KiB",
		crowd, sources, took.Round(time.Millisecond), waiting, live, rounds.Load(), time.Duration(slowest.Load()).Round(time.Microsecond), time.Duration(hiccup.Load()).Round(time.Microsecond),
		(max(peak, before)-before)>>10, before>>10)
	if n := rounds.Load(); n == 0 || slowest.Load() > int64(time.Second)+8*hiccup.Load() {
		t.Errorf("the modality associated %d times, slowest %v", n, time.Duration(slowest.Load()))
	}
	if waiting > srv.cfg.MaxWaiting {
		t.Errorf("%d connections wait, %d may", waiting, srv.cfg.MaxWaiting)
	}
	if peak > before+64<<20 {
		t.Errorf("%d bytes of memory more than before", peak-before)
	}
}

// modality associates, echoes and releases again and again until stop.
func modality(t *testing.T, port string) (stop func(), slowest, rounds *atomic.Int64) {
	slowest, rounds = &atomic.Int64{}, &atomic.Int64{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			began := time.Now()
			c, err := Dial(t.Context(), clientConfig(port))
			if err != nil {
				t.Errorf("the modality was not let in: %v", err)
				return
			}
			if _, err := c.Echo(t.Context()); err != nil {
				t.Errorf("echo: %v", err)
			}
			c.Release(t.Context())
			slowest.Store(max(slowest.Load(), int64(time.Since(began))))
			rounds.Add(1)
		}
	}()
	return func() { cancel(); <-done }, slowest, rounds
}

// watchMachine measures how late a goroutine wakes that only wants to sleep: on
// a machine with other work, nobody associates faster than that.
func watchMachine(t *testing.T) (stop func(), worst *atomic.Int64) {
	worst = &atomic.Int64{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			began := time.Now()
			time.Sleep(time.Millisecond)
			worst.Store(max(worst.Load(), int64(time.Since(began)-time.Millisecond)))
		}
	}()
	return func() { cancel(); <-done }, worst
}

// memoryInUse is what heap and stacks hold, of the server and of the test.
func memoryInUse() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// TestCrowdIsFair: the rule alone, on the whole of a mixed crowd.
func TestCrowdIsFair(t *testing.T) {
	w := newCrowd(&ServerConfig{MaxAssociations: 1, MaxWaiting: 5})
	var gone []uint64
	for i, address := range []string{"a", "b", "a", "c", "b", "b", "b", "c", "d", "e", "f"} {
		if c := w.wait(&connection{id: uint64(i), address: address}); c != nil {
			gone = append(gone, c.id)
		}
	}
	// a b a c b are all; for the next b the first a goes, as a has two like b and
	// the older one; then b has three, and gives for itself and for c; and so on.
	if want := []uint64{0, 1, 4, 3, 5, 2}; !slices.Equal(gone, want) {
		t.Errorf("gave way in the order %v, want %v", gone, want)
	}
}

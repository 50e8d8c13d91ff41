package line

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"edged/internal/netlab"
)

const addressA, addressB = "10.99.0.1", "10.99.0.2"

// world is two namespaces and a line that runs between them.
type world struct {
	t    *testing.T
	a, b *netlab.Space
	stop func() [2]Counters // ends the line
}

func newWorld(t *testing.T, c Config) *world {
	t.Helper()
	if err := Available(); err != nil {
		t.Skip(err)
	}
	lab, err := netlab.Create()
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { lab.Close() })
	w := &world{t: t}
	var devices [2]*Device
	for i, to := range []**netlab.Space{&w.a, &w.b} {
		*to, err = lab.Space(string(rune('a' + i)))
		w.check(err)
		devices[i], err = Attach(*to, []string{addressA, addressB}[i])
		w.check(err)
	}
	l, err := New(c, devices[0], devices[1])
	w.check(err)
	r, wr, err := os.Pipe()
	w.check(err)
	ended := make(chan error, 1)
	go func() {
		if err := Hurry(); err != nil {
			t.Log(err)
		}
		ended <- l.Run(int(r.Fd()), func() error { return errEnd })
	}()
	w.stop = func() [2]Counters {
		wr.Close()
		if err := <-ended; err != errEnd {
			t.Errorf("line: %v", err)
		}
		w.stop = func() [2]Counters { return l.Counters() }
		return l.Counters()
	}
	t.Cleanup(func() { w.stop(); devices[0].Close(); devices[1].Close(); r.Close() })
	return w
}

// skipIfLate ends a test whose time was not kept because the line itself did not
// get the processor in time: that is the machine's doing, and counted.
func (w *world) skipIfLate() {
	w.t.Helper()
	if c := w.stop(); c[0].Late+c[1].Late > 0 {
		w.t.Skipf("the machine is too busy for times: the line was late for %d packets", c[0].Late+c[1].Late)
	}
}

var errEnd = errors.New("end")

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// udp is a socket at each end, connected to each other.
func (w *world) udp() (a, b *net.UDPConn) {
	w.t.Helper()
	atA, atB := &net.UDPAddr{IP: net.ParseIP(addressA), Port: 7000}, &net.UDPAddr{IP: net.ParseIP(addressB), Port: 7000}
	w.check(w.b.Do(func() (err error) {
		b, err = net.DialUDP("udp4", atB, atA)
		return err
	}))
	w.check(w.a.Do(func() (err error) {
		a, err = net.DialUDP("udp4", atA, atB)
		return err
	}))
	raw, err := b.SyscallConn()
	w.check(err)
	w.check(raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20) }))
	w.check(err)
	for _, c := range []*net.UDPConn{a, b} {
		raw, err := c.SyscallConn()
		w.check(err)
		w.check(raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) }))
		w.check(err)
	}
	w.t.Cleanup(func() { a.Close(); b.Close() })
	deadline := time.Now().Add(20 * time.Second)
	w.check(errors.Join(a.SetDeadline(deadline), b.SetDeadline(deadline)))
	return a, b
}

// Each way takes the delay, so a round trip takes twice as long.
func TestEachWayTakesTheDelay(t *testing.T) {
	const delay = 10 * time.Millisecond
	w := newWorld(t, Config{Rate: 1e9, Delay: delay})
	a, b := w.udp()
	for _, way := range []struct{ from, to *net.UDPConn }{{a, b}, {b, a}} {
		var took []time.Duration
		for range 30 {
			began := time.Now()
			_, err := way.from.Write(make([]byte, 64))
			w.check(err)
			at, err := w.arrival(way.to, make([]byte, 64))
			w.check(err)
			took = append(took, at.Sub(began.Round(0)))
		}
		slices.Sort(took)
		t.Logf("%v to %v", took[0], took[len(took)-1])
		if got := took[len(took)/4]; took[0] < delay || got > delay+500*time.Microsecond {
			w.skipIfLate()
			t.Errorf("a quarter took %v to %v, want %v and less than half a millisecond more", took[0], got, delay)
		}
	}
}

// arrival reads a packet from b and returns when the kernel had it, by its own
// clock: when this process gets the processor does not matter.
func (w *world) arrival(b *net.UDPConn, in []byte) (time.Time, error) {
	oob := make([]byte, 256)
	_, n, _, _, err := b.ReadMsgUDP(in, oob)
	if err != nil {
		return time.Time{}, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	w.check(err)
	if len(messages) != 1 || messages[0].Header.Type != unix.SCM_TIMESTAMPNS {
		w.t.Fatalf("no time stamp, but %v", messages)
	}
	var t [2]int64
	_, err = binary.Decode(messages[0].Data, binary.NativeEndian, &t)
	w.check(err)
	return time.Unix(t[0], t[1]), nil
}

// Packets that were sent at once arrive as the line carries them, Ethernet
// included, whether the kernel hands them over one by one or twenty at a time.
func TestRateIsThatOfTheLine(t *testing.T) {
	for _, c := range []struct {
		name                 string
		rate                 int64
		segment, each, sends int
	}{{"100 Mbit/s, packets", 100_000_000, 1400, 1, 2000}, {"1 Gbit/s, super-packets", 1_000_000_000, 1200, 20, 1000}} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, Config{Rate: c.rate, Delay: 5 * time.Millisecond, Queue: 40 << 20})
			a, b := w.udp()
			w.segment(a, c.segment)
			buffer := make([]byte, c.segment*c.each)
			for range c.sends {
				_, err := a.Write(buffer)
				w.check(err)
			}
			var first, last time.Time
			for i := range c.sends * c.each {
				at, err := w.arrival(b, make([]byte, c.segment))
				w.check(err)
				if last = at; i == 0 {
					first = at
				}
			}
			// The first ones arrived together; the clock runs from them.
			carried := float64((c.sends-1)*c.each*(c.segment+28+Ethernet)) * 8 / last.Sub(first).Seconds()
			t.Logf("%.2f Mbit/s", carried/1e6)
			if math.Abs(carried/float64(c.rate)-1) > 0.02 {
				w.skipIfLate()
				t.Errorf("%.2f Mbit/s, want it within 2 %%", carried/1e6)
			}
		})
	}
}

// segment has the kernel cut what is written into packets of so many bytes.
func (w *world) segment(c *net.UDPConn, bytes int) {
	raw, err := c.SyscallConn()
	w.check(err)
	w.check(raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, bytes) }))
	w.check(err)
}

// What the queue does not hold is dropped, and everything is counted.
func TestQueueHoldsWhatItIsMadeFor(t *testing.T) {
	const size, packets, queue = 1462 - 28, 2000, 150_000
	w := newWorld(t, Config{Rate: 1_000_000, Delay: time.Millisecond, Queue: queue})
	a, b := w.udp()
	began := time.Now()
	for range packets {
		_, err := a.Write(make([]byte, size))
		w.check(err)
	}
	meanwhile := int64(time.Since(began).Seconds() * 1_000_000 / 8 / 1462) // left the queue while they were written
	w.check(b.SetReadDeadline(time.Now().Add(time.Minute)))
	for range queue / 1500 { // 1.2 s of the line
		_, err := b.Read(make([]byte, size))
		w.check(err)
	}
	c := w.stop()[0]
	t.Logf("%+v", c)
	if c.Packets != packets || c.Dropped+c.Delivered != packets || c.Delivered < queue/1500 || c.Delivered > queue/1500*5/4+meanwhile {
		t.Errorf("of %d packets at once the line took %d and dropped %d, want about %d taken", c.Packets, c.Delivered, c.Dropped, queue/1500)
	}
}

// Super-packets are lost by segments: as many as the probability says, and what
// arrives is in order and whole.
func TestSegmentsAreLostOneByOneAndKeepTheirOrder(t *testing.T) {
	const loss, segment, perPacket, packets = 0.02, 1200, 20, 1500
	w := newWorld(t, Config{Rate: 1e9, Delay: time.Millisecond, Loss: loss, Queue: 10 << 20, Seed: 7})
	a, b := w.udp()
	w.segment(a, segment)
	var written atomic.Bool
	go func() {
		defer written.Store(true)
		buffer := make([]byte, segment*perPacket)
		for i := range packets {
			for j := range perPacket {
				part := buffer[j*segment : (j+1)*segment]
				for at := 0; at < segment; at += 8 {
					binary.BigEndian.PutUint64(part[at:], uint64(i*perPacket+j))
				}
			}
			a.Write(buffer)
			pause := unix.NsecToTimespec(300_000)
			unix.Nanosleep(&pause, nil)
		}
	}()
	got, last := 0, int64(-1)
	in := make([]byte, 65536)
	for {
		over := written.Load() // else whoever writes may have been held up
		b.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		n, err := b.Read(in)
		if err != nil && !over {
			continue
		} else if err != nil {
			break
		}
		got++
		number := int64(binary.BigEndian.Uint64(in))
		if number <= last || n != segment || !bytes.Equal(in[:8], in[n-8:n]) {
			t.Fatalf("segment %d of %d bytes came after %d", number, n, last)
		}
		last = number
	}
	c := w.stop()[0]
	const all = packets * perPacket
	sigma := math.Sqrt(all * loss * (1 - loss))
	t.Logf("%d of %d segments arrived, %+v", got, all, c)
	if c.Packets != all || int(c.Delivered) != got || math.Abs(float64(c.Lost)-all*loss) > 4*sigma {
		t.Errorf("%d arrived, lost %d, want %.0f with sigma %.0f: %+v", got, c.Lost, all*loss, sigma, c)
	}
	if c.Reads > all/2 {
		t.Errorf("%d reads for %d segments: no super-packets", c.Reads, all)
	}
}

// TCP heals what the line does: the kernel believes the headers of what is left
// of a super-packet.
func TestTCPArrivesWholeOverALossyLine(t *testing.T) {
	w := newWorld(t, Config{Rate: 1e9, Delay: time.Millisecond, Loss: 0.005, Seed: 3})
	sent := make([]byte, 20<<20)
	rand.Read(sent)
	var l net.Listener
	w.check(w.b.Do(func() (err error) { l, err = net.Listen("tcp4", addressB+":7000"); return err }))
	defer l.Close()
	go w.a.Do(func() error {
		c, err := net.Dial("tcp4", addressB+":7000")
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write(sent)
		return err
	})
	l.(*net.TCPListener).SetDeadline(time.Now().Add(10 * time.Second))
	c, err := l.Accept()
	w.check(err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	got, err := io.ReadAll(c)
	w.check(err)
	counters := w.stop()
	t.Logf("%+v", counters)
	if !bytes.Equal(got, sent) {
		t.Errorf("%d bytes arrived, %d were sent, or others", len(got), len(sent))
	}
	if counters[0].Lost == 0 {
		t.Error("nothing was lost")
	}
}

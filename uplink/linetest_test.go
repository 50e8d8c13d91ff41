package uplink_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"

	"edged/uplink"
	"edged/uplink/uplinktest"
	"edged/uplink/uplinktest/sim"
	"edged/uplink/wire"
)

// echoHub answers Probes on both carriers, by a rule for what it says.
type echoHub struct {
	ca   *uplinktest.CA
	echo func(number uint64, bytes int64) *wire.Echo // nil: nothing is said
}

func echoing(number uint64, bytes int64) *wire.Echo { return &wire.Echo{Number: number, Bytes: bytes} }

// serve runs until ctx ends.
func (h *echoHub) serve(ctx context.Context, pc net.PacketConn, l net.Listener) {
	context.AfterFunc(ctx, func() { l.Close() })
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			go func() {
				defer c.Close()
				stop := context.AfterFunc(ctx, func() { c.Close() })
				defer stop()
				conn := tls.Server(c, hubTLS(h.ca))
				if conn.Handshake() == nil {
					h.talk(conn, conn)
				}
			}()
		}
	}()
	transport := &quic.Transport{Conn: pc}
	defer transport.Close()
	listener, err := transport.Listen(hubTLS(h.ca), &quic.Config{MaxIncomingUniStreams: 8})
	if err != nil {
		return
	}
	for c, err := listener.Accept(ctx); err == nil; c, err = listener.Accept(ctx) {
		go func() {
			control, err := c.AcceptStream(ctx)
			if err != nil {
				return
			}
			data := func() io.Reader {
				s, err := c.AcceptUniStream(ctx)
				if err != nil {
					return strings.NewReader("")
				}
				return s
			}
			h.talk(control, later(data))
		}()
	}
}

// later is a reader that is made when it is read first.
func later(open func() io.Reader) io.Reader {
	var r io.Reader
	return readerFunc(func(b []byte) (int, error) {
		if r == nil {
			r = open()
		}
		return r.Read(b)
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// talk greets on control and answers what comes on data.
func (h *echoHub) talk(control io.ReadWriter, data io.Reader) {
	say := func(f wire.Frame) {
		if b, err := wire.Append(nil, f); err == nil {
			control.Write(b)
		}
	}
	frames := wire.NewReader(control)
	if f, err := frames.Next(); err != nil || f.Type() != wire.TypeHello {
		return
	}
	say(&wire.Welcome{Version: wire.Version, Ledger: "echo", Generation: 1, MaxObjects: 16, MaxBytes: 1 << 20})
	if data != io.Reader(control) {
		frames = wire.NewReader(data)
	}
	for bytes := int64(0); ; {
		f, err := frames.Next()
		if err != nil {
			return
		}
		if p, ok := f.(*wire.ProbeFrame); ok {
			bytes += int64(p.Length)
			if e := h.echo(p.Number, bytes); e != nil {
				say(e)
			}
		}
	}
}

// onLine has f test a line in virtual time.
func onLine(t *testing.T, line sim.Line, echo func(uint64, int64) *wire.Echo, change func(*uplink.Config), f func(ctx context.Context, u *uplink.Uplink)) {
	ca := uplinktest.NewCA(t)
	ca.Hub()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		sky := sim.New(1, line, 20*time.Second)
		pc, l := sky.Hub("hub:8443").Up()
		done := make(chan struct{})
		go func() {
			defer close(done)
			(&echoHub{ca, echo}).serve(ctx, pc, l)
		}()
		u := newTCP(t, ca, func(c *uplink.Config) {
			c.Hubs, c.Dial = []string{"hub:8443"}, sky.Dial
			c.Packets = func(_ context.Context, hub string) (net.PacketConn, net.Addr, error) { return sky.Packet(hub) }
			if change != nil {
				change(c)
			}
		})
		f(ctx, u)
		cancel()
		<-done
		pc.Close()
		<-time.After(time.Minute)
	})
}

// The line test tells what each carrier does on the line, alone and within the
// cap, in ten seconds.
func TestTheLineTestMeasuresBothCarriers(t *testing.T) {
	const cap = 4_000_000
	line := sim.Line{Delay: 10 * time.Millisecond, Rate: 20_000_000}
	capped := func(c *uplink.Config) { c.Shape.Rate = cap }
	onLine(t, line, echoing, capped, func(ctx context.Context, u *uplink.Uplink) {
		began := time.Now()
		second := make(chan error, 1)
		time.AfterFunc(time.Second, func() {
			_, err := u.TestLine(ctx)
			second <- err
		})
		got, err := u.TestLine(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := <-second; err == nil || !strings.Contains(err.Error(), "already") {
			t.Errorf("two tests at once: %v", err)
		}
		if took := time.Since(began); took < 8*time.Second || took > 11*time.Second {
			t.Errorf("it took %s", took)
		}
		if got.UDPOpen == nil || !*got.UDPOpen || got.CapBits != cap || got.Hub != "hub:8443" || len(got.Carriers) != 2 {
			t.Fatalf("got %+v", got)
		}
		if got.BesideBits > cap/1000 {
			t.Errorf("%d bits/s beside, where nothing is", got.BesideBits)
		}
		for _, c := range got.Carriers {
			t.Logf("%+v", c)
			if c.GoodputBits < cap*80/100 || c.GoodputBits > cap || c.HandshakeMS < 20 || c.HandshakeMS > 500 || c.Error != "" {
				t.Errorf("%+v", c)
			}
		}
		if quic := got.Carriers[0]; quic.RTTMS < 20 || quic.MinRTTMS < 20 || quic.Sent < 1000 || quic.Lost > quic.Sent/100 {
			t.Errorf("%+v", quic)
		}
		if again, err := u.TestLine(ctx); err != nil || again.Carriers[1].GoodputBits < cap*80/100 {
			t.Errorf("once more: %+v, %v", again, err)
		}
	})
}

// Where UDP is blocked that is what it finds, and it still measures TCP.
func TestTheLineTestSeesThatUDPIsBlocked(t *testing.T) {
	line := sim.Line{Delay: 10 * time.Millisecond, Rate: 5_000_000, MTU: 100}
	onLine(t, line, echoing, nil, func(ctx context.Context, u *uplink.Uplink) {
		got, err := u.TestLine(ctx)
		if err != nil || got.UDPOpen == nil || *got.UDPOpen || got.Seconds > 11 {
			t.Fatalf("%+v, %v", got, err)
		}
		if quic, tcp := got.Carriers[0], got.Carriers[1]; quic.Error == "" || tcp.Error != "" || tcp.GoodputBits < 3_500_000 || tcp.GoodputBits > 5_000_000 {
			t.Errorf("%+v", got.Carriers)
		}
	})
}

// A hub that is not there leaves open whether UDP is.
func TestTheLineTestOfADeadLineSaysSo(t *testing.T) {
	line := sim.Line{Delay: 10 * time.Millisecond, Outages: []sim.Outage{{To: time.Hour}}}
	onLine(t, line, echoing, nil, func(ctx context.Context, u *uplink.Uplink) {
		got, err := u.TestLine(ctx)
		if err != nil || got.UDPOpen != nil || got.Carriers[0].Error == "" || got.Carriers[1].Error == "" || got.Seconds > 11 {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// An older hub skips Probes: that is said, and not much is sent in vain. One that
// tells of more than was sent is not believed.
func TestTheLineTestBelievesNoNonsense(t *testing.T) {
	for name, c := range map[string]struct {
		echo func(uint64, int64) *wire.Echo
		want string
	}{
		"an older hub":  {func(uint64, int64) *wire.Echo { return nil }, "older than this appliance"},
		"more than all": {func(n uint64, b int64) *wire.Echo { return &wire.Echo{Number: n, Bytes: b + 1<<20} }, "cannot be true"},
		"less than before": {func(n uint64, b int64) *wire.Echo {
			if n == 3 {
				b = 0
			}
			return &wire.Echo{Number: n, Bytes: b}
		}, "cannot be true"},
	} {
		t.Run(name, func(t *testing.T) {
			onLine(t, sim.Line{Delay: 10 * time.Millisecond, Rate: 4_000_000}, c.echo, nil, func(ctx context.Context, u *uplink.Uplink) {
				got, err := u.TestLine(ctx)
				if err != nil {
					t.Fatal(err)
				}
				for _, carrier := range got.Carriers {
					if !strings.Contains(carrier.Error, c.want) {
						t.Errorf("%+v", carrier)
					}
				}
			})
		})
	}
}

// It can be called off, is refused while sending is paused, and when there is no
// hub; none of that leaves it marked as running.
func TestTheLineTestEndsWhenAsked(t *testing.T) {
	line := sim.Line{Delay: 10 * time.Millisecond, Rate: 4_000_000}
	onLine(t, line, echoing, nil, func(ctx context.Context, u *uplink.Uplink) {
		u.Pause(time.Now().Add(time.Hour))
		if _, err := u.TestLine(ctx); err == nil || !strings.Contains(err.Error(), "paused") {
			t.Errorf("paused: %v", err)
		}
		u.Pause(time.Time{})
		impatient, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		began := time.Now()
		if _, err := u.TestLine(impatient); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 4*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		if got, err := u.TestLine(ctx); err != nil || got.Carriers[0].GoodputBits == 0 {
			t.Errorf("%+v, %v", got, err)
		}
	})
	u := newTCP(t, uplinktest.NewCA(t), func(c *uplink.Config) { c.Hubs = nil })
	if _, err := u.TestLine(t.Context()); err == nil || !strings.Contains(err.Error(), "no hub") {
		t.Errorf("no hub: %v", err)
	}
}

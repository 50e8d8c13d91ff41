package uplink_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edged/uplink"
	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

// hubTLS is what a hub's TCP port demands.
func hubTLS(ca *uplinktest.CA) *tls.Config {
	c := ca.Hub()
	c.MinVersion, c.NextProtos, c.ClientAuth = tls.VersionTLS13, []string{wire.ALPN}, tls.RequireAndVerifyClientCert
	return c
}

// serveTCP runs script on each connection that comes, until the test ends.
func serveTCP(t *testing.T, script func(*net.TCPConn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			wg.Go(func() { defer c.Close(); script(c.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return l.Addr().String()
}

// tcpHub has script talk behind the handshake.
func tcpHub(t *testing.T, ca *uplinktest.CA, script func(*tls.Conn)) (addr string) {
	t.Helper()
	c := hubTLS(ca)
	return serveTCP(t, func(s *net.TCPConn) {
		conn := tls.Server(s, c)
		if conn.Handshake() == nil {
			script(conn)
		}
	})
}

// newTCP is an appliance that is not running, to dial by hand.
func newTCP(t *testing.T, ca *uplinktest.CA, change func(*uplink.Config)) *uplink.Uplink {
	t.Helper()
	source := uplinktest.NewSource()
	c := uplink.Config{
		Hubs: []string{"hub.test:8443"}, TLS: ca.Appliance("one"), Source: source, Keeper: source, BootID: []byte("b"), DataDirID: []byte("d"),
		Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&c)
	}
	u, err := uplink.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// dialed is a lane's connection to addr.
func dialed(t *testing.T, ca *uplinktest.CA, addr string) uplink.Carrier {
	t.Helper()
	c, err := uplink.DialTCP(t.Context(), newTCP(t, ca, nil), addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(0, "") })
	return c
}

func frame(t *testing.T, f wire.Frame) []byte {
	t.Helper()
	b, err := wire.Append(nil, f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func putFrame(t *testing.T, number uint64) []byte {
	return frame(t, &wire.Put{Number: number, Body: make([]byte, wire.MaxBody)})
}

// Behind a full socket an urgent frame and a control frame have at most one
// frame of bulk before them: the one that is being written. Counted in frames.
func TestUrgentPassesQueuedBulkOverTCP(t *testing.T) {
	ca := uplinktest.NewCA(t)
	read, order := make(chan struct{}), make(chan []uint64, 1)
	addr := tcpHub(t, ca, func(c *tls.Conn) {
		<-read
		var seen []uint64
		for r := wire.NewReader(c); ; {
			f, err := r.Next()
			switch f := f.(type) {
			case *wire.PutFrame:
				seen = append(seen, f.Number)
			case *wire.Release:
				seen = append(seen, 2000)
			case *wire.Bye:
				order <- seen
			}
			if err != nil {
				return
			}
		}
	})
	c := dialed(t, ca, addr)
	var wg sync.WaitGroup
	write := func(class uint8, number uint64) {
		p, err := c.Open(t.Context(), class)
		if err == nil {
			err = p.Put(putFrame(t, number))
		}
		if err != nil {
			t.Error(err)
		}
	}
	const bulk = 200 // 50 MiB: more than the sockets hold
	for i := range uint64(bulk) {
		wg.Go(func() { write(wire.Routine, i) })
	}
	// Full: nothing moved however often one looks. A time would also pass on a
	// machine that lets nobody run.
	for last, same := -1, 0; last <= 0 || same < 100; same++ {
		if n := uplink.Waiting(c)[2]; n != last {
			last, same = n, 0
		}
		<-time.After(5 * time.Millisecond)
	}
	wg.Go(func() { write(wire.Urgent, 1000) })
	eventually(t, "urgent to wait", func() bool { return uplink.Waiting(c)[1] == 1 })
	wg.Go(func() {
		if err := c.Say(frame(t, &wire.Release{})); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "control to wait", func() bool { return uplink.Waiting(c)[0] == 1 })
	queued := uplink.Waiting(c)
	if queued[0] != 1 || queued[1] != 1 || queued[2] == 0 {
		t.Fatalf("waiting: %v", queued)
	}
	close(read)
	wg.Wait()
	c.Close(0, "")
	seen := receive(t, order)
	if len(seen) != bulk+2 {
		t.Fatalf("%d frames arrived", len(seen))
	}
	begun := bulk - queued[2] // at most: written, or being written
	if at := slices.Index(seen, 2000); at > begun || seen[at+1] != 1000 {
		t.Errorf("%d frames were begun; control came behind %d and urgent behind %d", begun, at, slices.Index(seen, 1000))
	}
}

// What the hub says last is what the lane ends with, for who reads and for who
// writes, although the writer sees a broken pipe.
func TestTheHubsByeIsWhatTheLaneEndsWith(t *testing.T) {
	ca := uplinktest.NewCA(t)
	addr := tcpHub(t, ca, func(c *tls.Conn) {
		c.Read(make([]byte, 1000)) // and leaves the rest unread: the connection is reset
		c.Write(frame(t, &wire.Release{}))
		c.Write(frame(t, &wire.Bye{Code: wire.ByeBusy, Reason: "not admitted any more"}))
	})
	c := dialed(t, ca, addr)
	writer := make(chan error, 1)
	go func() {
		p, err := c.Open(t.Context(), wire.Routine)
		for err == nil {
			err = p.Put(putFrame(t, 1))
		}
		writer <- err
	}()
	r := wire.NewReader(c.Control())
	if f, err := r.Next(); err != nil || f.Type() != wire.TypeRelease {
		t.Errorf("before Bye: %v %v", f, err)
	}
	_, readErr := r.Next()
	for who, err := range map[string]error{"reader": readErr, "writer": receive(t, writer)} {
		var bye *uplink.ByeError
		if !errors.As(err, &bye) || bye.Code != wire.ByeBusy || bye.Reason != "not admitted any more" {
			t.Errorf("%s: %v", who, err)
		}
	}
}

// Close lets the frame under way through, says Bye behind it, and nothing more.
func TestTheHubHearsByeBehindAWholeFrame(t *testing.T) {
	ca := uplinktest.NewCA(t)
	read, heard := make(chan struct{}), make(chan string, 1)
	addr := tcpHub(t, ca, func(c *tls.Conn) {
		<-read
		var words []string
		for r := wire.NewReader(c); ; {
			f, err := r.Next()
			if err != nil {
				heard <- strings.Join(append(words, err.Error()), " ")
				return
			}
			switch f := f.(type) {
			case *wire.PutFrame:
				n, err := io.Copy(io.Discard, f)
				if n != wire.MaxBody || err != nil {
					words = append(words, "torn put")
				}
			case *wire.Bye:
				words = append(words, "bye", f.Reason)
			}
		}
	})
	c := dialed(t, ca, addr)
	var wg sync.WaitGroup
	for i := range uint64(100) {
		wg.Go(func() {
			p, err := c.Open(t.Context(), wire.Routine)
			for err == nil {
				err = p.Put(putFrame(t, i))
			}
		})
	}
	eventually(t, "a queue", func() bool { return uplink.Waiting(c)[2] == 99 })
	wg.Go(func() { c.Close(wire.ByeNotBelieved, strings.Repeat("x", uplink.MaxReason+1)) })
	eventually(t, "the end of the queue", func() bool { return uplink.Waiting(c)[2] == 0 })
	close(read)
	wg.Wait()
	if got, want := receive(t, heard), "bye "+strings.Repeat("x", uplink.MaxReason)+" EOF"; got != want {
		t.Errorf("the hub hears %.80q", got)
	}
}

// A connection that is reset in the middle of a frame ends both ways, by an error
// that is not a Bye.
func TestAResetInMidFrameEndsTheLane(t *testing.T) {
	ca := uplinktest.NewCA(t)
	addr := serveTCP(t, func(s *net.TCPConn) {
		conn := tls.Server(s, hubTLS(ca))
		if conn.Handshake() == nil {
			conn.Write(frame(t, &wire.Release{IDs: make([]wire.ID, 100)})[:1000])
			conn.Read(make([]byte, 1000))
			s.SetLinger(0)
		}
	})
	c := dialed(t, ca, addr)
	p, _ := c.Open(t.Context(), wire.Urgent)
	reader := make(chan error, 1)
	go func() {
		_, err := wire.NewReader(c.Control()).Next()
		reader <- err
	}()
	var writeErr error
	for writeErr == nil {
		writeErr = p.Put(putFrame(t, 1))
	}
	readErr := receive(t, reader)
	var bye *uplink.ByeError
	if errors.As(writeErr, &bye) || errors.As(readErr, &bye) || readErr == nil {
		t.Errorf("writer: %v, reader: %v", writeErr, readErr)
	}
}

// A connection whose keys have done their work ends in good order (RFC 8446 §5.5).
func TestAConnectionCarriesNoMoreThanItsKeysMay(t *testing.T) {
	ca := uplinktest.NewCA(t)
	heard := make(chan wire.Frame, 1)
	c := dialed(t, ca, tcpHub(t, ca, func(c *tls.Conn) {
		f, _ := wire.NewReader(c).Next()
		heard <- f
	}))
	uplink.WearOut(c)
	if err := c.Say(frame(t, &wire.Release{})); err == nil {
		t.Error("one more frame went")
	}
	c.Close(0, "")
	if f, ok := receive(t, heard).(*wire.Bye); !ok || f.Code != 0 {
		t.Errorf("the hub hears %v", f)
	}
}

// Who is not the hub gets nothing: not a byte of what the appliance would say,
// and the operator hears what it is.
func TestNobodyElseIsTakenForTheHub(t *testing.T) {
	ca, other := uplinktest.NewCA(t), uplinktest.NewCA(t)
	with := func(change func(*tls.Config)) func(*net.TCPConn) {
		return func(s *net.TCPConn) {
			c := hubTLS(ca)
			change(c)
			conn := tls.Server(s, c)
			if conn.Handshake() == nil {
				if n, err := conn.Read(make([]byte, 1)); n > 0 {
					t.Errorf("the appliance says something: %v", err)
				}
			}
		}
	}
	for name, c := range map[string]struct {
		script func(*net.TCPConn)
		want   string
	}{
		"garbage": {func(s *net.TCPConn) {
			s.Write([]byte(strings.Repeat("SSH-2.0-OpenSSH\r\n", 1000)))
			io.Copy(io.Discard, s)
		}, "first record does not look like a TLS handshake"},
		"hangs up":                    {func(*net.TCPConn) {}, "connect to"},
		"TLS 1.2":                     {with(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }), "protocol version"},
		"no ALPN":                     {with(func(c *tls.Config) { c.NextProtos = nil }), "does not speak edged/1"},
		"another ALPN":                {with(func(c *tls.Config) { c.NextProtos = []string{"h2", "http/1.1"} }), "application protocol"},
		"somebody else's certificate": {with(func(c *tls.Config) { c.Certificates = other.Hub().Certificates }), `"CN=test CA"`},
		"another name": {with(func(c *tls.Config) {
			c.Certificates = []tls.Certificate{ca.Issue("else.test", x509.ExtKeyUsageServerAuth, nil)}
		}), "else.test"},
		"a certificate for clients": {with(func(c *tls.Config) {
			c.Certificates = []tls.Certificate{ca.Issue(uplinktest.HubName, x509.ExtKeyUsageClientAuth, nil)}
		}), "incompatible key usage"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := uplink.DialTCP(t.Context(), newTCP(t, ca, nil), serveTCP(t, c.script))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}

// piped is an appliance whose TCP connections are pipes to script, for virtual
// time: everything ends with the test.
func piped(t *testing.T, ca *uplinktest.CA, script func(net.Conn), change func(*uplink.Config)) *uplink.Uplink {
	return newTCP(t, ca, func(c *uplink.Config) {
		c.Dial = func(context.Context, string, string) (net.Conn, error) {
			a, b := net.Pipe()
			go func() { defer b.Close(); script(b) }()
			return a, nil
		}
		if change != nil {
			change(c)
		}
	})
}

// Who answers nothing, or a byte a second, costs openWait and no more.
func TestOpeningALaneTakesABoundedTime(t *testing.T) {
	ca := uplinktest.NewCA(t)
	for name, script := range map[string]func(net.Conn){
		"silent": func(c net.Conn) { io.Copy(io.Discard, c) },
		"deaf":   func(net.Conn) { <-time.After(time.Hour) },
		"dribbling": func(c net.Conn) {
			go io.Copy(io.Discard, c)
			for _, b := range []byte("\x16\x03\x03\x40\x00" + strings.Repeat("\x00", 100)) {
				<-time.After(time.Second)
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				_, err := uplink.DialTCP(t.Context(), piped(t, ca, script, nil), "hub.test:8443")
				if took := time.Since(began); err == nil || !errors.Is(err, context.DeadlineExceeded) || took > 10*time.Second {
					t.Errorf("after %s: %v", took, err)
				}
				<-time.After(2 * time.Hour) // for the script
			})
		})
	}
}

// A hub that takes nothing any more ends the lane after writeWait; all who wait
// are told, and closing takes no longer than Bye may.
func TestAStalledHubEndsTheLane(t *testing.T) {
	ca := uplinktest.NewCA(t)
	synctest.Test(t, func(t *testing.T) {
		u := piped(t, ca, func(c net.Conn) {
			if tls.Server(c, hubTLS(ca)).Handshake() == nil {
				<-time.After(time.Hour)
			}
		}, nil)
		c, err := uplink.DialTCP(t.Context(), u, "hub.test:8443")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		p, _ := c.Open(t.Context(), wire.Routine)
		if err := p.Put(putFrame(t, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("put: %v", err)
		}
		if took := time.Since(began); took < uplink.WriteWait || took > uplink.WriteWait+2*time.Second {
			t.Errorf("the lane ends after %s", took)
		}
		began = time.Now()
		c.Close(3, "")
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("closing took %s", took)
		}
		<-time.After(2 * time.Hour)
	})
}

// Close unblocks who reads, who writes and who waits to write, at once or when
// Bye has had its time.
func TestCloseUnblocksEverybody(t *testing.T) {
	ca := uplinktest.NewCA(t)
	synctest.Test(t, func(t *testing.T) {
		u := piped(t, ca, func(c net.Conn) {
			if tls.Server(c, hubTLS(ca)).Handshake() == nil {
				<-time.After(time.Hour)
			}
		}, nil)
		c, err := uplink.DialTCP(t.Context(), u, "hub.test:8443")
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 4)
		p, _ := c.Open(t.Context(), wire.Routine)
		go func() { ended <- p.Put(putFrame(t, 1)) }()
		synctest.Wait()
		go func() { ended <- p.Put(putFrame(t, 2)) }()
		go func() { ended <- c.Say(frame(t, &wire.Release{})) }()
		go func() {
			_, err := c.Control().Read(make([]byte, 1))
			ended <- err
		}()
		synctest.Wait()
		began := time.Now()
		go c.Close(0, "")
		c.Close(0, "")
		for range 4 {
			if err := <-ended; err == nil {
				t.Error("something went through")
			}
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("closing took %s", took)
		}
		<-time.After(2 * time.Hour)
	})
}

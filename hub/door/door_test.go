package door_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"edged/hub/door"
)

// patience bounds every wait.
const patience = 2 * time.Minute

// hall is a door with somebody behind it.
type hall struct {
	t          *testing.T
	door       *door.Door
	addr       string
	roots      *x509.CertPool
	appliances atomic.Int64
	stop       func() error // asks Serve to end and waits
}

func newHall(t *testing.T, change func(*door.Config)) *hall {
	t.Helper()
	h := &hall{t: t, roots: x509.NewCertPool()}
	cert := selfSigned(t)
	h.roots.AddCert(cert.Leaf)
	c := door.Config{
		UplinkTLS: &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"edged/1"}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: h.roots},
		HTTPTLS:   &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}, ClientAuth: tls.RequestClientCert},
		Logger:    slog.New(slog.DiscardHandler),
		Appliance: func(_ context.Context, conn *tls.Conn) error {
			h.appliances.Add(1)
			defer h.appliances.Add(-1)
			_, err := io.Copy(conn, conn)
			return err
		},
	}
	if change != nil {
		change(&c)
	}
	h.door = door.New(c)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.open(l)
	return h
}

func (h *hall) open(l net.Listener) {
	h.addr = l.Addr().String()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello, %d certificates", len(r.TLS.PeerCertificates))
	})}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var served error
	wg.Go(func() { served = h.door.Serve(ctx, l) })
	wg.Go(func() { server.Serve(h.door.HTTP()) })
	h.stop = sync.OnceValue(func() error {
		cancel()
		server.Close()
		wg.Wait()
		return served
	})
	h.t.Cleanup(func() { h.stop() })
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "door.test"}, DNSNames: []string{"door.test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// dial comes from an address of the loopback.
func (h *hall) dial(from string) net.Conn {
	h.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	conn, err := d.Dial("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn
}

func (h *hall) shake(from string, alpn ...string) (*tls.Conn, error) {
	cert := selfSigned(h.t)
	return h.shakeWith(from, cert, alpn...)
}

func (h *hall) shakeWith(from string, cert tls.Certificate, alpn ...string) (*tls.Conn, error) {
	conn := tls.Client(h.dial(from), &tls.Config{RootCAs: h.roots, ServerName: "door.test", NextProtos: alpn, Certificates: []tls.Certificate{cert}})
	return conn, conn.Handshake()
}

// asked reports what HTTP answers on conn.
func asked(conn net.Conn) (string, error) {
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: door.test\r\n\r\n"); err != nil {
		return "", err
	}
	rs, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "", err
	}
	defer rs.Body.Close()
	b, err := io.ReadAll(rs.Body)
	return string(b), err
}

// enrols demands that a stranger who is quick is served.
func (h *hall) enrols(from string) {
	h.t.Helper()
	conn, err := h.shake(from, "http/1.1")
	if err != nil {
		h.t.Fatal("a quick stranger:", err)
	}
	if text, err := asked(conn); text != "hello, 1 certificates" {
		h.t.Fatalf("a quick stranger hears %q, %v", text, err)
	}
	conn.Close()
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); {
		if time.Now().After(deadline) {
			t.Fatal("gave up waiting for", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// TestTheProtocolSaysWhereTo: who offers edged/1 goes to the uplink, which demands a
// certificate; everybody else, also who offers nothing, to HTTP.
func TestTheProtocolSaysWhereTo(t *testing.T) {
	var known tls.Certificate
	h := newHall(t, func(c *door.Config) { known = c.UplinkTLS.Certificates[0] })
	for _, alpn := range [][]string{{"http/1.1"}, nil, {"h2", "http/1.1"}} {
		conn, err := h.shake("127.0.0.1", alpn...)
		if err != nil {
			t.Fatal(alpn, err)
		}
		if text, err := asked(conn); text != "hello, 1 certificates" {
			t.Errorf("%v hears %q, %v", alpn, text, err)
		}
	}
	if _, err := h.shake("127.0.0.1", "h2"); err == nil {
		t.Error("h2 alone is taken")
	}
	for _, alpn := range [][]string{{"edged/1"}, {"http/1.1", "edged/1"}} {
		conn, err := h.shakeWith("127.0.0.1", known, alpn...)
		if err != nil {
			t.Fatal(alpn, err)
		}
		io.WriteString(conn, "echo")
		var b [4]byte
		if _, err := io.ReadFull(conn, b[:]); string(b[:]) != "echo" || conn.ConnectionState().NegotiatedProtocol != "edged/1" {
			t.Errorf("%v hears %q, %v", alpn, b, err)
		}
		conn, _ = h.shake("127.0.0.1", alpn...)
		if _, err := conn.Read(b[:]); err == nil {
			t.Errorf("%v: an unknown certificate is taken", alpn)
		}
	}
}

// TestSilenceAtTheDoorLocksNobodyOut: one address opens more connections than there
// are places, says nothing or half a handshake, and goes on. Others come in, from
// elsewhere and from there; each silent one ends when its time is over.
func TestSilenceAtTheDoorLocksNobodyOut(t *testing.T) {
	h := newHall(t, func(c *door.Config) { c.MaxStrangers, c.MaxAddress, c.Handshake = 32, 16, 6*time.Second })
	var known net.Conn
	for i := range 100 {
		known = h.dial("127.0.0.2")
		if i%2 == 0 {
			known.Write([]byte("\x16\x03\x01\x02\x00\x01\x00\x01")) // the beginning of a ClientHello (RFC 8446 §4.1.2)
		}
		if i%25 == 0 {
			h.enrols("127.0.0.1")
			h.enrols("127.0.0.2")
		}
	}
	if n := h.door.Strangers(); n > 16+8 { // those that enrolled may be leaving still
		t.Errorf("%d places taken", n)
	}
	began := time.Now()
	if _, err := known.Read(make([]byte, 1)); err == nil || time.Since(began) > time.Minute {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	eventually(t, "the places to be free", func() bool { return h.door.Strangers() == 0 })
}

// TestManyAddressesLockNobodyOut: silent ones from everywhere fill all places; each
// newcomer finds one.
func TestManyAddressesLockNobodyOut(t *testing.T) {
	h := newHall(t, func(c *door.Config) { c.MaxStrangers, c.MaxAddress = 32, 16 })
	for i := range 100 {
		h.dial(fmt.Sprintf("127.0.1.%d", i+1))
		if i%20 == 19 {
			eventually(t, "them", func() bool { return h.door.Strangers() >= min(i, 32)-1 })
			h.enrols("127.0.0.1")
		}
	}
	if n := h.door.Strangers(); n > 32 {
		t.Errorf("%d places taken", n)
	}
}

// TestARushFromOneAddressGetsThrough: many more appliances at once than may shake
// hands, all behind one address, each trying again when it is cut off.
func TestARushFromOneAddressGetsThrough(t *testing.T) {
	var cert tls.Certificate
	h := newHall(t, func(c *door.Config) {
		c.MaxStrangers, c.MaxAddress = 16, 8
		cert = c.UplinkTLS.Certificates[0]
	})
	var wg sync.WaitGroup
	var tries atomic.Int64
	for range 40 {
		wg.Go(func() {
			for deadline := time.Now().Add(patience); time.Now().Before(deadline); tries.Add(1) {
				if conn, err := h.shakeWith("127.0.0.1", cert, "edged/1"); err == nil {
					io.WriteString(conn, "echo")
					var b [4]byte
					if _, err := io.ReadFull(conn, b[:]); err == nil {
						return
					}
				}
				<-time.After(mrand.N(50 * time.Millisecond)) // as an appliance does, only sooner
			}
			t.Error("one never came in")
		})
	}
	wg.Wait()
	t.Logf("40 came in, %d were cut off first", tries.Load())
}

// TestIdleHTTPTakesNoPlaceForGood: connections that stay open without a request make
// room, the oldest of the most numerous first.
func TestIdleHTTPTakesNoPlaceForGood(t *testing.T) {
	h := newHall(t, func(c *door.Config) { c.MaxStrangers, c.MaxAddress = 8, 8 })
	guest, err := h.shake("127.0.0.3", "http/1.1")
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		h.shake("127.0.0.2", "http/1.1") // some of them are the ones that make room
	}
	if text, err := asked(guest); text == "" {
		t.Errorf("the only one of its address was sent away: %v", err)
	}
	h.enrols("127.0.0.2")
}

// TestAppliancesTakeNoPlace: they are bounded elsewhere, and no crowd of
// strangers touches them.
func TestAppliancesTakeNoPlace(t *testing.T) {
	var cert tls.Certificate
	h := newHall(t, func(c *door.Config) {
		c.MaxStrangers, c.MaxAddress = 4, 4
		cert = c.UplinkTLS.Certificates[0]
	})
	var all []*tls.Conn
	for range 10 {
		conn, err := h.shakeWith("127.0.0.1", cert, "edged/1")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, conn)
	}
	eventually(t, "the appliances", func() bool { return h.appliances.Load() == 10 })
	for range 20 {
		h.dial("127.0.0.1")
	}
	for i, conn := range all {
		io.WriteString(conn, "echo")
		var b [4]byte
		if _, err := io.ReadFull(conn, b[:]); err != nil {
			t.Errorf("appliance %d: %v", i, err)
		}
	}
	if n := h.appliances.Load(); n != 10 {
		t.Errorf("%d appliances", n)
	}
}

// TestTheEndWaitsForNobody: handshakes and idle connections are cut, appliances are
// told by their context, and Serve returns.
func TestTheEndWaitsForNobody(t *testing.T) {
	inside, told := make(chan struct{}), make(chan struct{})
	var cert tls.Certificate
	h := newHall(t, func(c *door.Config) {
		c.Handshake = time.Hour
		cert = c.UplinkTLS.Certificates[0]
		c.Appliance = func(ctx context.Context, conn *tls.Conn) error {
			close(inside)
			<-ctx.Done()
			close(told)
			return nil
		}
	})
	h.dial("127.0.0.1")
	for _, alpn := range []string{"edged/1", "http/1.1"} {
		if _, err := h.shakeWith("127.0.0.1", cert, alpn); err != nil {
			t.Fatal(err)
		}
	}
	<-inside // its handshake ends before the door has looked at its certificate
	began := time.Now()
	if err := h.stop(); err != nil || time.Since(began) > time.Minute {
		t.Errorf("ended after %s: %v", time.Since(began), err)
	}
	<-told
	if n := h.door.Strangers(); n != 0 {
		t.Errorf("%d strangers are left", n)
	}
}

// exhausted is a listener that has no file descriptors at first.
type exhausted struct {
	net.Listener
	times atomic.Int64
	with  syscall.Errno
}

func (e *exhausted) Accept() (net.Conn, error) {
	if e.times.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", e.with)}
	}
	return e.Listener.Accept()
}

// TestWhatPassesEndsNothing: a hub without file descriptors accepts again when it
// has some; another error of the socket is told.
func TestWhatPassesEndsNothing(t *testing.T) {
	for errno, ends := range map[syscall.Errno]bool{syscall.EMFILE: false, syscall.ECONNABORTED: false, syscall.EBADF: true} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		e := &exhausted{Listener: l, with: errno}
		e.times.Store(3)
		fresh := newHall(t, nil)
		fresh.stop()
		fresh.door = door.New(door.Config{UplinkTLS: &tls.Config{}, HTTPTLS: &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}, Appliance: nil, Logger: slog.New(slog.DiscardHandler)})
		fresh.open(e)
		if ends {
			eventually(t, "the error", func() bool { return e.times.Load() < 3 })
			if err := fresh.stop(); err == nil {
				t.Errorf("%v is passed over", errno)
			}
			continue
		}
		eventually(t, "an accepted connection", func() bool { fresh.dial("127.0.0.1"); return fresh.door.Strangers() > 0 })
		if err := fresh.stop(); err != nil {
			t.Errorf("%v ends it: %v", errno, err)
		}
	}
}

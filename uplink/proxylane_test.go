package uplink_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edged/internal/ports"
	"edged/uplink"
	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

// keeps is a hub that wants every object from its beginning and gives a receipt
// for all that came whole.
type keeps struct {
	mu   sync.Mutex
	data map[wire.ID][]byte
}

func (k *keeps) talk(c *tls.Conn) {
	say := func(f wire.Frame) {
		if b, err := wire.Append(nil, f); err == nil {
			c.Write(b)
		}
	}
	offers := map[uint64]wire.Object{}
	for frames := wire.NewReader(c); ; {
		f, err := frames.Next()
		if err != nil {
			return
		}
		switch f := f.(type) {
		case *wire.Hello:
			say(&wire.Welcome{Version: wire.Version, Ledger: "keeps", Generation: 1, MaxObjects: 16, MaxBytes: 8 << 20})
		case *wire.Offer:
			for _, o := range f.Objects {
				offers[o.Number] = o
				say(&wire.Have{Answers: []wire.Answer{{Number: o.Number, ID: o.ID}}})
			}
		case *wire.PutFrame:
			o := offers[f.Number]
			b, _ := io.ReadAll(f)
			k.mu.Lock()
			k.data[o.ID] = append(k.data[o.ID], b...)
			n := int64(len(k.data[o.ID]))
			k.mu.Unlock()
			if n == o.Length {
				say(&wire.Receipt{Receipts: []wire.Received{{ID: o.ID, Length: o.Length}}})
			}
		}
	}
}

// sendsThrough has an appliance send through a proxy and checks what arrived.
func sendsThrough(t *testing.T, proxyURL string) (item *uplinktest.Item, status uplink.Status) {
	t.Helper()
	ca, source, hub := uplinktest.NewCA(t), uplinktest.NewSource(), &keeps{data: map[wire.ID][]byte{}}
	addr := tcpHub(t, ca, hub.talk)
	item = source.Add(1, 3_000_000, wire.Routine)
	source.Add(2, 30_000, wire.Urgent)
	u, err := uplink.New(uplink.Config{
		Hubs: []string{addr}, TLS: ca.Appliance("one"), Source: source, Keeper: source, BootID: []byte("b"), DataDirID: []byte("d"),
		Transport: "tcp", LanesMax: 1, Proxy: proxyURL, RetryMin: time.Millisecond, RetryMax: 10 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	running(t, u)
	eventually(t, "both objects at the hub", func() bool { return source.Count(uplinktest.AtHub) == 2 })
	hub.mu.Lock()
	defer hub.mu.Unlock()
	if !bytes.Equal(hub.data[wire.ID(item.ID)], item.Data) {
		t.Error("other bytes arrived")
	}
	return item, u.Status()
}

// tunnel is a proxy that notes what it was asked and what it saw.
type tunnel struct {
	mu    sync.Mutex
	asked []string
	saw   bytes.Buffer
}

func (p *tunnel) serve(c *net.TCPConn) {
	in := bufio.NewReader(c)
	r, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.RequestURI)
	p.mu.Unlock()
	to, err := net.Dial("tcp", r.RequestURI)
	if err != nil {
		io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
		return
	}
	defer to.Close()
	io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(c, to)
		c.Close()
	}()
	io.Copy(to, io.TeeReader(in, p))
	to.(*net.TCPConn).CloseWrite()
	<-done
}

// Write implements io.Writer.
func (p *tunnel) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.saw.Write(b)
}

// A proxy sees where the hub is, and TLS: no object, no name.
func TestAProxySeesNothingButTLS(t *testing.T) {
	p := &tunnel{}
	item, status := sendsThrough(t, "http://"+serveTCP(t, p.serve))
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.asked) != 1 || p.asked[0] != "CONNECT "+status.Hub {
		t.Errorf("asked for %q", p.asked)
	}
	saw := p.saw.Bytes()
	if len(saw) < len(item.Data) || saw[0] != 22 { // a handshake record (RFC 8446 §5.1)
		t.Errorf("saw %d bytes, first %d", len(saw), saw[0])
	}
	for what, b := range map[string][]byte{"bytes": item.Data[:32], "an ID": item.ID[:], "a UID": []byte(item.Names.SOPInstance)} {
		if bytes.Contains(saw, b) {
			t.Errorf("saw %s of an object", what)
		}
	}
}

// With a proxy, auto is TCP through it, and nothing goes past it: not an object, not a
// line test, not one packet over UDP.
func TestNothingGoesPastAProxy(t *testing.T) {
	ca, source, hub, p := uplinktest.NewCA(t), uplinktest.NewSource(), &keeps{data: map[wire.ID][]byte{}}, &tunnel{}
	var calls atomic.Int64
	addr := tcpHub(t, ca, func(c *tls.Conn) { calls.Add(1); hub.talk(c) })
	udp, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Skipf("the port of the hub is in use for UDP: %v", err)
	}
	defer udp.Close()
	for i := range uint64(20) {
		source.Add(i, 300_000, wire.Routine)
	}
	u, err := uplink.New(uplink.Config{
		Hubs: []string{addr}, TLS: ca.Appliance("one"), Source: source, Keeper: source, BootID: []byte("b"), DataDirID: []byte("d"),
		Proxy: "http://" + serveTCP(t, p.serve), RetryMin: time.Millisecond, RetryMax: 10 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	running(t, u)
	eventually(t, "the objects at the hub", func() bool { return source.Count(uplinktest.AtHub) == 20 })
	s := u.Status()
	if s.Transport != "tcp" || s.WhyCode != uplink.WhyProxy || len(s.Carriers) != 1 || s.UDPOpen != nil {
		t.Errorf("%+v", s)
	}
	test, err := u.TestLine(t.Context())
	if err != nil || len(test.Carriers) != 1 || test.Carriers[0].Name != "tcp" || test.Carriers[0].HandshakeMS == 0 || test.UDPOpen != nil {
		t.Errorf("a line test: %+v, %v", test, err)
	}
	p.mu.Lock()
	asked := int64(len(p.asked))
	p.mu.Unlock()
	if n := calls.Load(); n != asked || n < 2 {
		t.Errorf("the hub was called %d times, by the proxy %d times", n, asked)
	}
	udp.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, from, err := udp.ReadFrom(make([]byte, 2000)); err == nil {
		t.Errorf("%d bytes over UDP from %s", n, from)
	}
}

// A proxy as it comes with Debian, which wants a name and a password.
func TestARealProxyLeadsOut(t *testing.T) {
	path, err := exec.LookPath("tinyproxy")
	if err != nil {
		t.Skip("no tinyproxy here")
	}
	port, err := ports.Free() // it is told its port
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "tinyproxy.conf")
	conf := fmt.Sprintf("Port %d\nListen 127.0.0.1\nAllow 127.0.0.1\nBasicAuth appliance sesame\nTimeout 60\nMaxClients 20\nStartServers 1\n", port)
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, "-d", "-c", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	eventually(t, "the proxy", func() bool {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	sendsThrough(t, "http://appliance:sesame@"+addr)
	for userinfo, want := range map[string]string{"": "http://USER:PASSWORD@HOST:PORT", "appliance:wrong@": "(40"} {
		u := newTCP(t, uplinktest.NewCA(t), func(c *uplink.Config) { c.Proxy = "http://" + userinfo + addr })
		if _, err := uplink.DialTCP(t.Context(), u, "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "wrong") {
			t.Errorf("%q: %v", userinfo, err)
		}
	}
}

// running runs u until the test ends.
func running(t *testing.T, u *uplink.Uplink) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := u.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

package receive_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"edged/hub/receive"
	"edged/uplink"
	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

// untouched demands that nothing of an object left, after the uplink was refused.
func untouched(t *testing.T, u *uplink.Uplink, source *uplinktest.Source) {
	t.Helper()
	eventually(t, "a refusal", func() bool { return u.Status().LastError != "" })
	t.Log(u.Status().LastError)
	source.With(func(s *uplinktest.Source) {
		if s.Opens > 0 || s.Read > 0 || len(s.Returned) > 0 {
			t.Errorf("%d opens, %d bytes read, %d leases: something left", s.Opens, s.Read, len(s.Returned))
		}
	})
	if s := u.Status(); s.Connected || s.BytesSent > 0 {
		t.Errorf("status %+v", s)
	}
}

// TestWhoIsNotProvedGetsNothing tries certificates of appliance and hub that
// must not do (P11, S7).
func TestWhoIsNotProvedGetsNothing(t *testing.T) {
	long := time.Unix(1000, 0)
	cases := map[string]struct {
		hub       func(*uplinktest.CA, *receive.Config)
		appliance func(*uplinktest.CA, *tls.Config)
	}{
		"no client certificate": {appliance: func(_ *uplinktest.CA, c *tls.Config) { c.Certificates = nil }},
		"client of another authority": {appliance: func(_ *uplinktest.CA, c *tls.Config) {
			c.Certificates = uplinktest.NewCA(t).Appliance("one").Certificates
		}},
		"revoked": {appliance: func(ca *uplinktest.CA, c *tls.Config) { c.Certificates = ca.Appliance("revoked").Certificates }},
		"client expired": {appliance: func(ca *uplinktest.CA, c *tls.Config) {
			c.Certificates = []tls.Certificate{ca.Issue("one", x509.ExtKeyUsageClientAuth, func(x *x509.Certificate) { x.NotAfter = long })}
		}},
		"client not yet valid": {appliance: func(ca *uplinktest.CA, c *tls.Config) {
			c.Certificates = []tls.Certificate{ca.Issue("one", x509.ExtKeyUsageClientAuth, func(x *x509.Certificate) { x.NotBefore = time.Unix(1<<32, 0) })}
		}},
		"a hub's certificate as client": {appliance: func(ca *uplinktest.CA, c *tls.Config) { c.Certificates = ca.Hub().Certificates }},
		"hub of another authority": {hub: func(_ *uplinktest.CA, c *receive.Config) {
			c.TLS.Certificates = uplinktest.NewCA(t).Hub().Certificates
		}},
		"hub expired": {hub: func(ca *uplinktest.CA, c *receive.Config) {
			c.TLS.Certificates = []tls.Certificate{ca.Issue(uplinktest.HubName, x509.ExtKeyUsageServerAuth, func(x *x509.Certificate) { x.NotAfter = long })}
		}},
		"hub with another name": {hub: func(ca *uplinktest.CA, c *receive.Config) {
			c.TLS.Certificates = []tls.Certificate{ca.Issue("other.test", x509.ExtKeyUsageServerAuth, nil)}
		}},
		"an appliance as hub": {hub: func(ca *uplinktest.CA, c *receive.Config) {
			c.TLS.Certificates = []tls.Certificate{ca.Issue(uplinktest.HubName, x509.ExtKeyUsageClientAuth, nil)}
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, w *world) {
				w.change = func(r *receive.Config) {
					if c.hub != nil {
						c.hub(w.ca, r)
					}
				}
				w.start()
				source := uplinktest.NewSource()
				source.Add(1, 1000, wire.Urgent)
				u, _ := w.appliance("one", source, func(u *uplink.Config) {
					if c.appliance != nil {
						c.appliance(w.ca, u.TLS)
					}
				})
				untouched(t, u, source)
				if n := len(w.ledger.list()); n > 0 {
					t.Errorf("%d objects received", n)
				}
			})
		})
	}
}

// TestAHubOfAnotherProtocolGetsNothing: right certificates, wrong ALPN.
func TestAHubOfAnotherProtocolGetsNothing(t *testing.T) {
	w := newWorld(t)
	server := w.ca.Hub()
	server.NextProtos = []string{"h3"}
	listener, err := quic.ListenAddr("127.0.0.1:0", server, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	w.addr = listener.Addr().String()
	source := uplinktest.NewSource()
	source.Add(1, 1000, wire.Urgent)
	u, _ := w.appliance("one", source, nil)
	untouched(t, u, source)
}

// TestASilentHubGetsNothing: without a Welcome nothing is offered.
func TestASilentHubGetsNothing(t *testing.T) {
	w := newWorld(t)
	server := w.ca.Hub()
	server.NextProtos = []string{wire.ALPN}
	listener, err := quic.ListenAddr("127.0.0.1:0", server, &quic.Config{MaxIdleTimeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	w.addr = listener.Addr().String()
	source := uplinktest.NewSource()
	source.Add(1, 1000, wire.Urgent)
	u, _ := w.appliance("one", source, func(c *uplink.Config) { c.Idle = patience })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := listener.Accept(ctx)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := conn.AcceptStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	frames := wire.NewReader(stream)
	if f, err := frames.Next(); err != nil || f.Type() != wire.TypeHello {
		t.Fatalf("first frame %v, %v", f, err)
	}
	conn.CloseWithError(2, "later")
	if f, err := frames.Next(); err == nil {
		t.Fatalf("type %d was said before Welcome", f.Type())
	}
	untouched(t, u, source)
}

// TestNoTicketsAreGivenOut: a handshake always proves who is there anew.
func TestNoTicketsAreGivenOut(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.start()
		client := w.ca.Appliance("one")
		cache := &countingCache{}
		client.ClientSessionCache = cache
		hello(t, w.dialWith(client), "data").hangUp()
		if cache.puts() > 0 {
			t.Errorf("%d session tickets", cache.puts())
		}
	})
}

type countingCache struct {
	mu sync.Mutex
	n  int
}

func (c *countingCache) Get(string) (*tls.ClientSessionState, bool) { return nil, false }
func (c *countingCache) Put(_ string, s *tls.ClientSessionState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s != nil {
		c.n++
	}
}
func (c *countingCache) puts() int { c.mu.Lock(); defer c.mu.Unlock(); return c.n }

// TestGarbageOnTheUDPPort changes nothing for others.
func TestGarbageOnTheUDPPort(t *testing.T) {
	w := newWorld(t)
	w.start()
	conn, err := net.Dial("udp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i := range 200 {
		b := make([]byte, i*7)
		for j := range b {
			b[j] = byte(i * j)
		}
		conn.Write(b)
	}
	source := uplinktest.NewSource()
	source.Add(1, 1000, wire.Urgent)
	w.appliance("one", source, nil)
	waitFor(t, source, uplinktest.Archived)
}

// TestARestartIsNoticedAtOnce: the appliance is told by a stateless reset, not by
// half a minute of silence (RFC 9000 §10.3), also when the hub's key is new.
func TestARestartIsNoticedAtOnce(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.change = func(c *receive.Config) {
			c.IdleTimeout = time.Hour
			c.TLS.Certificates = []tls.Certificate{w.ca.Issue(uplinktest.HubName, x509.ExtKeyUsageServerAuth, nil)}
		}
		w.start()
		source := uplinktest.NewSource()
		source.Add(1, 1000, wire.Routine)
		w.appliance("one", source, func(c *uplink.Config) { c.Idle = time.Hour })
		waitFor(t, source, uplinktest.Archived)
		w.stop()
		w.start()
		source.Add(2, 1000, wire.Routine)
		waitFor(t, source, uplinktest.Archived)
	})
}

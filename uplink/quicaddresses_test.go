package uplink_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"edged/uplink"
	"edged/uplink/uplinktest"
)

// quicAt accepts QUIC connections on one address, and is silent on another with the
// same port.
func quicAt(t *testing.T, ca *uplinktest.CA, alive, silent string) (port string, dead net.PacketConn) {
	t.Helper()
	for range 20 {
		pc, err := net.ListenPacket("udp", net.JoinHostPort(alive, "0"))
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ = net.SplitHostPort(pc.LocalAddr().String())
		if dead, err = net.ListenPacket("udp", net.JoinHostPort(silent, port)); err != nil {
			pc.Close()
			continue
		}
		transport := &quic.Transport{Conn: pc}
		l, err := transport.Listen(hubTLS(ca), &quic.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close(); transport.Close(); pc.Close(); dead.Close() })
		return port, dead
	}
	t.Skip("no port that is free on both addresses")
	return "", nil
}

// heard counts the packets that lie in a socket.
func heard(pc net.PacketConn) (n int) {
	pc.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) // one that has passed reads nothing
	for b := make([]byte, 2000); ; n++ {
		if _, _, err := pc.ReadFrom(b); err != nil {
			return n
		}
	}
}

// An address of a hub that is dead, as an IPv6 that leads nowhere, says nothing of UDP:
// the next one is tried. The one that answered comes first after that.
func TestADeadAddressIsNotUDPThatIsClosed(t *testing.T) {
	ca := uplinktest.NewCA(t)
	port, dead := quicAt(t, ca, "127.0.0.1", "127.0.0.2")
	u := newTCP(t, ca, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dial := func(ips ...string) {
		t.Helper()
		var all []netip.Addr
		for _, ip := range ips {
			all = append(all, netip.MustParseAddr(ip))
		}
		began := time.Now()
		c, err := uplink.DialQUIC(ctx, u, "hub.test:"+port, all...)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(0, "")
		if to := c.(interface{ RemoteAddr() net.Addr }).RemoteAddr().String(); to != "127.0.0.1:"+port {
			t.Errorf("connected to %s", to)
		}
		t.Logf("%v: after %s", ips, time.Since(began))
	}
	dial("2001:db8::1", "127.0.0.2", "127.0.0.1")
	if heard(dead) == 0 {
		t.Error("the silent address was not tried")
	}
	dial("127.0.0.2", "127.0.0.1")
	if n := heard(dead); n != 0 {
		t.Errorf("the silent address was tried again before the one that answered: %d packets", n)
	}
	ctx, cancel = context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if _, err := uplink.DialQUIC(ctx, u, "hub.test:"+port, netip.MustParseAddr("127.0.0.2")); err == nil {
		t.Error("connected to the silent one")
	}
}

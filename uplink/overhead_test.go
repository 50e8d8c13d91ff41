package uplink

import (
	"math"
	"net"
	"testing"

	"edged/uplink/wire"
)

// far is a carrier to somewhere.
type far struct {
	carrier
	name string
	to   net.Addr
}

func (f far) Name() string         { return f.name }
func (f far) RemoteAddr() net.Addr { return f.to }

// nowhere is a carrier that does not say where it leads.
type nowhere struct{ carrier }

func (nowhere) Name() string { return carrierQUIC }

// TestTheCapCountsTheHeadersThatAreThere: those of IPv6 are 20 bytes longer, of which
// every packet has one. 1 MiB in frames of 64 KiB, and how much of the cap it takes.
func TestTheCapCountsTheHeadersThatAreThere(t *testing.T) {
	udp := func(ip string) net.Addr { return &net.UDPAddr{IP: net.ParseIP(ip), Port: 8443} }
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 8443} }
	for name, c := range map[string]struct {
		conn carrier
		want float64
	}{
		"QUIC, IPv4":             {far{name: carrierQUIC, to: udp("192.0.2.1")}, 1.0430},
		"QUIC, IPv4 as ::ffff":   {far{name: carrierQUIC, to: udp("::ffff:192.0.2.1")}, 1.0430},
		"QUIC, IPv6":             {far{name: carrierQUIC, to: udp("2001:db8::1")}, 1.0571},
		"TCP, IPv4":              {far{name: carrierTCP, to: tcp("192.0.2.1")}, 1.0373},
		"TCP, IPv6":              {far{name: carrierTCP, to: tcp("2001:db8::1")}, 1.0518},
		"TCP, through something": {far{name: carrierTCP, to: &net.UnixAddr{}}, 1.0373},
		"QUIC, not known":        {nowhere{}, 1.0430},
	} {
		u := &Uplink{shape: newShape(Shape{})}
		s := &sender{lane: &lane{u: u, conn: c.conn, bulkGate: &gate{line: u.shape.all}}, class: wire.Urgent}
		total := 0
		for total < 1<<20 {
			n, err := s.admit(t.Context(), 64<<10)
			if err != nil {
				t.Fatal(err)
			}
			total += n
		}
		_, _, _, spent := u.shape.all.inForce()
		if got := float64(spent) / float64(total); math.Abs(got-c.want) > 0.001 {
			t.Errorf("%s: %.4f bytes of the cap for each byte, want %.4f", name, got, c.want)
		}
	}
}

package uplink

import (
	"context"
	"net/netip"
	"slices"
)

// What tests of the TCP carrier see of the inside.
type (
	Carrier  = carrier
	ByeError = byeError
)

var ErrCut = errCut

const WriteWait, MaxReason = writeWait, maxReason

func DialTCP(ctx context.Context, u *Uplink, addr string) (Carrier, error) {
	return u.dialTCP(ctx, addr)
}

// DialQUIC connects to a hub whose name has these addresses.
func DialQUIC(ctx context.Context, u *Uplink, addr string, ips ...netip.Addr) (Carrier, error) {
	u.lookup = func(context.Context, string, string) ([]netip.Addr, error) { return slices.Clone(ips), nil }
	return u.dialQUIC(ctx, addr)
}

// Waiting is how many wait for their turn to write: control, urgent, bulk.
func Waiting(c Carrier) (n [3]int) {
	t := &c.(*tcpCarrier).turns
	t.mu.Lock()
	defer t.mu.Unlock()
	for rank, w := range t.waiting {
		n[rank] = len(w)
	}
	return n
}

// WearOut makes a connection one that has carried all that it may.
func WearOut(c Carrier) { c.(*tcpCarrier).carried = maxCarried }

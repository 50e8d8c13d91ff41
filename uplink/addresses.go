package uplink

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

const (
	nextTCP  = 250 * time.Millisecond // before the next address is tried beside the first (RFC 8305 §5)
	nextQUIC = time.Second            // the same: a handshake that lost a packet has sent it again by then (RFC 9002 §6.2)
	perDial  = 5 * time.Second        // for one address, by TCP
	maxTried = 8                      // addresses of one name
)

// lookup finds the addresses of a name; of tests, another one.
type lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)

// addresses connects to the addresses of a name by TCP, the next one while the one
// before is still being tried: a dead one costs nextTCP, no more.
type addresses struct {
	lookup lookup
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
}

// dialAddresses is what Config.Dial is if nobody says otherwise.
func dialAddresses(ctx context.Context, network, addr string) (net.Conn, error) {
	d := &net.Dialer{Timeout: perDial}
	return addresses{net.DefaultResolver.LookupNetIP, d.DialContext}.connect(ctx, network, addr)
}

func (a addresses) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	ips, err := a.lookup(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	dial := func(ctx context.Context, ip netip.Addr) (net.Conn, error) {
		return a.dial(ctx, network, net.JoinHostPort(ip.Unmap().String(), port))
	}
	return race(ctx, alternate(ips), nextTCP, dial, func(c net.Conn) { c.Close() })
}

// race returns the first connection that is made to one of the addresses, the next of
// which is tried after a while, or when one has failed; the others are dropped. It
// returns when all attempts have ended.
func race[C any](ctx context.Context, ips []netip.Addr, every time.Duration, dial func(context.Context, netip.Addr) (C, error), drop func(C)) (won C, err error) {
	type result struct {
		conn C
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results, running, next := make(chan result), 0, time.NewTimer(0)
	defer next.Stop()
	var over bool
	var errs []error
	for running > 0 || !over && len(ips) > 0 && ctx.Err() == nil {
		select {
		case <-next.C:
			if !over && len(ips) > 0 {
				to := ips[0]
				ips, running = ips[1:], running+1
				go func() {
					c, err := dial(ctx, to)
					results <- result{c, err}
				}()
				next.Reset(every)
			}
		case r := <-results:
			running--
			switch {
			case r.err != nil:
				errs = append(errs, r.err)
				next.Reset(0)
			case over:
				drop(r.conn)
			default:
				won, over = r.conn, true
				cancel()
			}
		}
	}
	if !over {
		return won, cmp.Or(errors.Join(errs...), context.Cause(ctx), errors.New("the name has no address"))
	}
	return won, nil
}

// alternate orders addresses as RFC 8305 §4 says: the resolver's first, then one
// of the other family, and so on.
func alternate(ips []netip.Addr) (list []netip.Addr) {
	var families [2][]netip.Addr
	for _, ip := range ips {
		same := 0
		if ip.Unmap().Is4() != ips[0].Unmap().Is4() {
			same = 1
		}
		families[same] = append(families[same], ip)
	}
	for i := 0; len(list) < min(len(ips), maxTried); i++ {
		for _, f := range families {
			if i < len(f) {
				list = append(list, f[i])
			}
		}
	}
	return list[:min(len(list), maxTried)]
}

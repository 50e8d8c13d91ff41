package uplink

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"edged/uplink/wire"
	"edged/uplink/wire/tcp"
)

const (
	openWait  = 10 * time.Second       // for address, proxy and handshake together
	nextAfter = 250 * time.Millisecond // before the next address is tried beside the first (RFC 8305 §5)
	perDial   = 5 * time.Second        // for one address
	maxTried  = 8                      // addresses of one name
)

// dialTCP connects by TLS over TCP, through the proxy if there is one.
func (u *Uplink) dialTCP(ctx context.Context, addr string) (carrier, error) {
	ctx, cancel := context.WithTimeout(ctx, openWait)
	defer cancel()
	c, err := u.openTCP(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	return c, nil
}

// openTCP closes the socket when a step fails; while it works, the end of ctx
// ends whatever waits on it.
func (u *Uplink) openTCP(ctx context.Context, addr string) (_ *tcpCarrier, err error) {
	p, err := parseProxy(u.c.Proxy)
	if err != nil {
		return nil, err
	}
	socket, err := u.c.Dial(ctx, "tcp", cmp.Or(p.addr, addr))
	if err != nil {
		return nil, p.explain(err)
	}
	stop := context.AfterFunc(ctx, func() { socket.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() && err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			socket.Close()
		}
	}()
	u.tune(socket)
	if p.addr != "" {
		if err := p.connect(socket, addr); err != nil {
			return nil, timely(ctx, err)
		}
	}
	conn, err := shake(ctx, socket, u.c.TLS, addr)
	if err != nil {
		return nil, timely(ctx, err)
	}
	c := newTCPCarrier(conn, socket)
	if p.addr != "" {
		c.watch(u.c.Idle)
	}
	return c, nil
}

// timely prefers the reason why ctx ended to the deadline that this set.
func timely(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%w (%w)", err, cause)
	}
	return err
}

// tune: a lane works without what the system refuses to set.
func (u *Uplink) tune(socket net.Conn) {
	c, ok := socket.(*net.TCPConn)
	if !ok {
		return
	}
	congestion, err := tcp.Tune(c, u.c.Idle)
	if err == nil && u.c.DSCP != 0 {
		err = tcp.SetDSCP(c, u.c.DSCP)
	}
	u.c.Logger.Debug("tcp lane", "remote", c.RemoteAddr(), "congestion", congestion, "error", err)
}

// shake does the TLS handshake. In TLS 1.3 the hub judges this appliance's
// certificate after it: a refusal is the first thing that is read.
func shake(ctx context.Context, socket net.Conn, t *tls.Config, addr string) (*tls.Conn, error) {
	t = t.Clone()
	if t.ServerName == "" {
		t.ServerName, _, _ = net.SplitHostPort(addr)
	}
	conn := tls.Client(socket, t)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, intercepted(err)
	}
	if got := conn.ConnectionState().NegotiatedProtocol; got != wire.ALPN {
		return nil, fmt.Errorf("who answers does not speak %s over TCP (RFC 7301): an older hub, or something on the way that opens TLS", wire.ALPN)
	}
	return conn, nil
}

// intercepted says what it means that somebody else's certificate came.
func intercepted(err error) error {
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &unknown) || unknown.Cert == nil {
		return err
	}
	return fmt.Errorf("who answers is not the hub, its certificate was issued by %q: if a firewall opens TLS here, the hub's address must be exempt from that (%w)",
		unknown.Cert.Issuer.String(), err)
}

// addresses connects to the addresses of a name, the next one while the one
// before is still being tried: a dead one costs nextAfter, no more.
type addresses struct {
	lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
}

// dialAddresses is what Config.Dial is if nobody says otherwise.
func dialAddresses(ctx context.Context, network, addr string) (net.Conn, error) {
	d := &net.Dialer{Timeout: perDial}
	return addresses{net.DefaultResolver.LookupNetIP, d.DialContext}.connect(ctx, network, addr)
}

// dialed is how one attempt ended.
type dialed struct {
	conn net.Conn
	err  error
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
	return a.race(ctx, network, port, alternate(ips))
}

// race returns the first connection that is made; the others are closed. It
// returns when all attempts have ended.
func (a addresses) race(ctx context.Context, network, port string, ips []netip.Addr) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	results, running, next := make(chan dialed), 0, time.NewTimer(0)
	defer next.Stop()
	var won net.Conn
	var errs []error
	for running > 0 || won == nil && len(ips) > 0 && ctx.Err() == nil {
		select {
		case <-next.C:
			if won == nil && len(ips) > 0 {
				to := net.JoinHostPort(ips[0].Unmap().String(), port)
				ips, running = ips[1:], running+1
				go func() {
					c, err := a.dial(ctx, network, to)
					results <- dialed{c, err}
				}()
				next.Reset(nextAfter)
			}
		case r := <-results:
			running--
			switch {
			case r.err != nil:
				errs = append(errs, r.err)
				next.Reset(0)
			case won != nil:
				r.conn.Close()
			default:
				won = r.conn
				cancel()
			}
		}
	}
	cancel()
	if won == nil {
		return nil, cmp.Or(errors.Join(errs...), context.Cause(ctx), errors.New("the name has no address"))
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

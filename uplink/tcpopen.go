package uplink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"edged/uplink/wire"
	"edged/uplink/wire/tcp"
)

// openWait is for address, proxy and handshake together.
const openWait = 10 * time.Second

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
func (u *Uplink) openTCP(ctx context.Context, addr string) (*tcpCarrier, error) {
	p, err := parseProxy(u.c.Proxy)
	if err != nil {
		return nil, err
	}
	socket, err := p.reach(ctx, u.c.Dial, addr, u.tune)
	if err != nil {
		return nil, err
	}
	var conn *tls.Conn
	err = within(ctx, socket, func() (err error) {
		conn, err = shake(ctx, socket, u.c.TLS, addr)
		return err
	})
	if err != nil {
		return nil, err
	}
	c := newTCPCarrier(conn, socket)
	if p.addr != "" {
		c.watch(u.c.Idle)
	}
	return c, nil
}

// within does a step that waits on the socket: the end of ctx ends it, and where it
// fails the socket is closed.
func within(ctx context.Context, socket net.Conn, step func() error) error {
	stop := context.AfterFunc(ctx, func() { socket.SetDeadline(time.Unix(1, 0)) })
	err := step()
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		socket.Close()
		return timely(ctx, err)
	}
	return nil
}

// timely prefers the reason why ctx ended to the deadline that this set.
func timely(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
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

package door

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"edged/uplink/wire"
)

// Config says where connections go. The first three are required.
type Config struct {
	UplinkTLS *tls.Config // of who offers ALPN "edged/1"; it demands a client certificate
	HTTPTLS   *tls.Config // of everybody else

	// Appliance has a connection that has completed its handshake with UplinkTLS,
	// and closes it.
	Appliance func(ctx context.Context, conn *tls.Conn) error

	MaxStrangers int           // connections not of appliances. If zero, 1024.
	MaxAddress   int           // those of one address. If zero, 128.
	Handshake    time.Duration // for the handshake. If zero, 10 s.
	Logger       *slog.Logger  // If nil, slog.Default.
}

// Door is the port. Serve feeds what HTTP returns.
type Door struct {
	c    Config
	tls  *tls.Config
	http *httpListener

	mu     sync.Mutex // guards crowds
	crowds map[string][]*stranger
	total  int
}

// New returns a door that is not open yet.
func New(c Config) *Door {
	c.MaxStrangers = cmp.Or(c.MaxStrangers, 1024)
	c.MaxAddress = cmp.Or(c.MaxAddress, 128)
	c.Handshake = cmp.Or(c.Handshake, 10*time.Second)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	d := &Door{c: c, http: newHTTPListener(), crowds: map[string][]*stranger{}}
	d.tls = c.HTTPTLS.Clone()
	d.tls.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.Contains(hello.SupportedProtos, wire.ALPN) {
			return c.UplinkTLS, nil
		}
		return c.HTTPTLS, nil
	}
	return d
}

// HTTP gives the connections of HTTP to an http.Server, which has its own limits of
// time.
func (d *Door) HTTP() net.Listener { return d.http }

// Serve accepts from l until ctx ends, closes l, and returns when all connections
// of appliances have ended.
func (d *Door) Serve(ctx context.Context, l net.Listener) error {
	d.http.at(l.Addr())
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	for {
		conn, err := accept(ctx, l)
		if ctx.Err() != nil && errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		s := d.enter(conn)
		wg.Go(func() { d.receive(ctx, s) })
	}
}

// accept waits out what passes: no file descriptors left, peers that are gone.
func accept(ctx context.Context, l net.Listener) (net.Conn, error) {
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		conn, err := l.Accept()
		if err == nil || !passes(err) {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, net.ErrClosed
		case <-time.After(wait):
		}
	}
}

func passes(err error) bool {
	return slices.ContainsFunc([]syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.ECONNRESET},
		func(errno syscall.Errno) bool { return errors.Is(err, errno) })
}

// receive brings the handshake to an end and hands on.
func (d *Door) receive(ctx context.Context, s *stranger) {
	conn := tls.Server(s, d.tls)
	s.SetDeadline(time.Now().Add(d.c.Handshake))
	if err := conn.HandshakeContext(ctx); err != nil {
		d.c.Logger.Debug("no handshake", "remote", s.RemoteAddr().String(), "error", err)
		s.Close()
		return
	}
	s.SetDeadline(time.Time{})
	if conn.ConnectionState().NegotiatedProtocol != wire.ALPN {
		d.http.hand(ctx, conn)
		return
	}
	d.leave(s) // it is an appliance
	if err := d.c.Appliance(ctx, conn); err != nil {
		d.c.Logger.Debug("connection ended", "remote", s.RemoteAddr().String(), "error", err)
	}
	s.Close()
}

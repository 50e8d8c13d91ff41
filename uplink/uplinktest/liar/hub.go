package liar

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

// Hub listens on one port, UDP and TCP.
type Hub struct {
	Addr     string
	Accepted atomic.Int64 // connections whose handshake ended well

	script func(*Conn)
	ctx    context.Context
	wg     sync.WaitGroup
}

// Serve runs script on each connection that comes, after its Hello, until the test
// ends. A connection stays until the appliance closes it, or the script does.
func Serve(t testing.TB, ca *uplinktest.CA, script func(*Conn)) *Hub {
	t.Helper()
	packets, streams, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	h, stop := ServeOn(t, ca, packets, streams, script)
	t.Cleanup(stop)
	return h
}

// ServeOn does so on sockets of the caller's until stop, which closes them.
func ServeOn(t testing.TB, ca *uplinktest.CA, packets net.PacketConn, streams net.Listener, script func(*Conn)) (h *Hub, stop func()) {
	t.Helper()
	c := ca.Hub()
	c.NextProtos = []string{wire.ALPN}
	c.MinVersion, c.ClientAuth, c.SessionTicketsDisabled = tls.VersionTLS13, tls.RequireAndVerifyClientCert, true
	listener, err := quic.Listen(packets, c, &quic.Config{MaxIncomingUniStreams: 8})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	h = &Hub{Addr: streams.Addr().String(), script: script, ctx: ctx}
	h.wg.Go(func() { h.acceptQUIC(listener) })
	h.wg.Go(func() { h.acceptTCP(streams, c) })
	return h, func() {
		cancel()
		streams.Close()
		listener.Close()
		packets.Close()
		h.wg.Wait()
	}
}

// listen finds a port that is free for both.
func listen() (packets net.PacketConn, streams net.Listener, err error) {
	for range 20 {
		if streams, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, nil, err
		}
		if packets, err = net.ListenPacket("udp", streams.Addr().String()); err == nil {
			return packets, streams, nil
		}
		streams.Close()
	}
	return nil, nil, fmt.Errorf("no port is free for UDP and TCP: %w", err)
}

func (h *Hub) acceptQUIC(l *quic.Listener) {
	for {
		conn, err := l.Accept(h.ctx)
		if err != nil {
			return
		}
		h.wg.Go(func() {
			control, err := conn.AcceptStream(h.ctx)
			if err != nil {
				return
			}
			c := newConn("quic", control, conn.Context())
			c.hangUp = func(code uint64) { conn.CloseWithError(quic.ApplicationErrorCode(code), "") }
			c.streams = func(ctx context.Context) (reader, error) { return conn.AcceptUniStream(ctx) }
			h.serve(c)
		})
	}
}

func (h *Hub) acceptTCP(l net.Listener, config *tls.Config) {
	for {
		raw, err := l.Accept()
		if err != nil {
			return
		}
		h.wg.Go(func() {
			conn := tls.Server(raw, config)
			defer conn.Close()
			shake, cancel := context.WithTimeout(h.ctx, 10*time.Second)
			defer cancel()
			if conn.HandshakeContext(shake) != nil {
				return
			}
			ctx, ended := context.WithCancel(h.ctx)
			defer ended()
			defer context.AfterFunc(ctx, func() { raw.Close() })()
			c := newConn("tcp", conn, ctx)
			c.hangUp = func(code uint64) { c.Say(&wire.Bye{Code: code}); conn.CloseWrite(); ended() }
			c.ended = ended
			h.serve(c)
		})
	}
}

// serve runs the script while what comes is read in the background, and waits for
// the end of the connection.
func (h *Hub) serve(c *Conn) {
	h.Accepted.Add(1)
	c.Node = h.Addr
	if f, err := c.frames.Next(); err != nil || f.Type() != wire.TypeHello {
		c.HangUp(wire.ByeProtocol)
		return
	}
	h.wg.Go(func() { c.read(c.frames) })
	if c.streams != nil {
		h.wg.Go(func() {
			for {
				s, err := c.streams(c.ctx)
				if err != nil {
					return
				}
				h.wg.Go(func() { c.read(wire.NewReader(s)) })
			}
		})
	}
	h.script(c)
	c.Drain()
}

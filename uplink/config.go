package uplink

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"edged/uplink/wire"
)

// Config says where to, by what right, and what from.
type Config struct {
	// Hubs are the nodes of one hub, HOST:PORT. The first that works is kept
	// until it fails. If empty, Run only waits: receive and keep.
	Hubs []string

	// TLS has this appliance's certificate, RootCAs and ServerName. ALPN, TLS
	// 1.3 and the absence of tickets are added here.
	TLS *tls.Config

	Source Source
	Keeper Keeper

	// Studies has what the hub is to be told of studies. If nil, nothing.
	Studies Studies

	BootID    []byte // changes with each start; 1 to 64 bytes
	DataDirID []byte // stays with the data directory; 1 to 64 bytes
	Software  string // named in Hello

	Shape Shape // If zero, as fast as the line.

	MaxObjects int           // offers in flight, and as many again for urgent ones. If zero, 512; at most what the hub grants.
	MaxBytes   int64         // and their bytes, which take no memory here. If zero, 256 MiB.
	RetryMin   time.Duration // bound of the first pause before connecting again. If zero, 1 s.
	RetryMax   time.Duration // bound of the longest. If zero, 1 min.
	AsideFor   time.Duration // how long a node that was not believed is left alone. If zero, 10 min.
	Idle       time.Duration // silence where an answer is due that ends a connection. If zero, 20 s.
	StallAfter time.Duration // how long the hub may owe an answer or a receipt. If zero, 10 min.

	Transport          string // "auto", "quic" or "tcp". If empty, auto: both are tried, and what carries more stays.
	LanesMin, LanesMax int    // connections side by side, 1 to 32. If zero, 1 and 32.
	Proxy              string // HTTP CONNECT, HOST:PORT or http://[USER:PASSWORD@]HOST:PORT; auto is tcp then. If empty, none.
	DSCP               uint8  // of all that is sent, 0 to 63 (RFC 2474)

	// Progress is told of each part of an object that has left, and how many of
	// its bytes have: cheap, and safe for several goroutines. If nil, nobody.
	Progress func(o Object, sent int64)

	// Packets opens a socket for a QUIC lane to a hub. If nil, a UDP socket, and the
	// addresses of the hub are tried in turn, a dead one costs a second.
	Packets func(ctx context.Context, hub string) (net.PacketConn, net.Addr, error)

	// Dial opens a TCP connection to a hub, or to the proxy. If nil, to its
	// addresses in turn, a dead one costs a quarter of a second (RFC 8305).
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	Logger *slog.Logger // If nil, slog.Default.

	proxied bool // Transport was auto, and is tcp because of Proxy
}

// Validate says what is missing.
func (c Config) Validate() error {
	switch {
	case c.Source == nil || c.Keeper == nil:
		return errors.New("uplink: Source and Keeper are needed")
	case len(c.Hubs) == 0:
		return c.Shape.Validate()
	case c.TLS == nil || c.TLS.RootCAs == nil && c.TLS.VerifyConnection == nil:
		return errors.New("uplink: TLS with RootCAs is needed, the system's roots are not trusted")
	case len(c.BootID) == 0 || len(c.BootID) > 64 || len(c.DataDirID) == 0 || len(c.DataDirID) > 64:
		return errors.New("uplink: BootID and DataDirID have 1 to 64 bytes")
	case !slices.Contains([]string{"", "auto", carrierQUIC, carrierTCP}, c.Transport):
		return fmt.Errorf("uplink: transport %q; there are auto, quic and tcp", c.Transport)
	case c.LanesMin < 0 || c.LanesMax < 0 || c.LanesMax > maxLanes || cmp.Or(c.LanesMin, 1) > cmp.Or(c.LanesMax, maxLanes):
		return fmt.Errorf("uplink: %d to %d lanes; 1 to %d are allowed", c.LanesMin, c.LanesMax, maxLanes)
	case c.DSCP > 63:
		return fmt.Errorf("uplink: DSCP %d; it has six bits (RFC 2474 §3)", c.DSCP)
	}
	return cmp.Or(CheckProxy(c.Proxy), c.Shape.Validate())
}

// maxLanes is what a hub admits of one appliance, less what a line test needs.
const maxLanes = 32

func (c Config) withDefaults() Config {
	c.Transport = cmp.Or(c.Transport, "auto")
	if c.proxied = c.Proxy != "" && c.Transport == "auto"; c.proxied {
		c.Transport = carrierTCP // UDP would go past the proxy
	}
	c.LanesMin, c.LanesMax = cmp.Or(c.LanesMin, 1), cmp.Or(c.LanesMax, maxLanes)
	c.MaxObjects = cmp.Or(c.MaxObjects, 512)
	c.MaxBytes = cmp.Or(c.MaxBytes, 256<<20)
	c.RetryMin = cmp.Or(c.RetryMin, time.Second)
	c.RetryMax = cmp.Or(c.RetryMax, time.Minute)
	c.AsideFor = cmp.Or(c.AsideFor, 10*time.Minute)
	c.Idle = cmp.Or(c.Idle, 20*time.Second)
	c.StallAfter = cmp.Or(c.StallAfter, 10*time.Minute)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.Dial == nil {
		c.Dial = dialAddresses
	}
	if c.Progress == nil {
		c.Progress = func(Object, int64) {}
	}
	if c.TLS != nil {
		c.TLS = clientTLS(c.TLS)
	}
	return c
}

func clientTLS(t *tls.Config) *tls.Config {
	t = t.Clone()
	t.MinVersion = tls.VersionTLS13
	t.NextProtos = []string{wire.ALPN}
	t.ClientSessionCache = nil
	t.SessionTicketsDisabled = true
	return t
}

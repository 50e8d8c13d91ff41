package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"edged/internal/netlab"
	"edged/internal/netlab/line"
	"edged/internal/tools/lab"
)

const (
	nearAddress, farAddress = "10.99.0.1", "10.99.0.2"
	loopAddress             = "127.0.0.1"
)

// Ports: a namespace has them all to itself.
const (
	dicomPort, pagePort, hubPort, consolePort, peerPort = "11112", "8080", "8443", "8081", "5000"
)

// end is one end of a line: the facility's or the hub's.
type end struct {
	space   *netlab.Space
	address string
}

func (e end) prefix() []string { return []string{"ip", "netns", "exec", e.space.Name} }

// at is an address that others call.
func (e end) at(port string) string { return net.JoinHostPort(e.address, port) }

// client reaches what listens inside.
func (e end) client() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (c net.Conn, err error) {
		err = e.space.Do(func() error { c, err = new(net.Dialer).DialContext(ctx, network, address); return err })
		return c, err
	}}}
}

// bench is what all cells share.
type bench struct {
	*lab.Lab
	net         *netlab.Lab
	here, there end    // of a line
	loop        end    // of none
	cells       int    // so far
	uplink      string // keys that were asked for
	stock       map[string]*stock
}

func newBench(o options) (b *bench, err error) {
	if err := line.Available(); err != nil {
		return nil, err
	}
	b = &bench{stock: make(map[string]*stock), uplink: o.uplink}
	if b.Lab, err = lab.New(o.dir, o.bin); err != nil {
		return nil, err
	}
	if b.net, err = netlab.Create(); err != nil {
		return nil, errors.Join(err, b.Lab.Close())
	}
	if err := b.allow(o.congestion); err != nil {
		return nil, errors.Join(err, b.close())
	}
	for _, e := range []struct {
		*end
		name, at string
	}{{&b.here, "near", nearAddress}, {&b.there, "far", farAddress}, {&b.loop, "loop", loopAddress}} {
		e.address = e.at
		if e.space, err = b.net.Space(e.name); err == nil {
			err = tune(e.space, o.congestion)
		}
		if err != nil {
			return nil, errors.Join(err, b.close())
		}
	}
	return b, nil
}

func (b *bench) close() error { return errors.Join(b.Lab.Close(), b.net.Close()) }

// settings of every namespace. Debian's kernel has buffers that suffice for 2
// Gbit/s at 20 ms; and what a connection learned must not help or hinder the next.
var settings = map[string]string{
	"tcp_no_metrics_save": "1",
	"tcp_rmem":            "4096 131072 67108864",
	"tcp_wmem":            "4096 65536 67108864",
}

// allow lets namespaces have CUBIC where the kernel was built with another
// default, and BBR where it was not. It is the one setting of the machine that is changed, and put back.
func (b *bench) allow(congestion string) error {
	const allowed = "/proc/sys/net/ipv4/tcp_allowed_congestion_control"
	old, err := os.ReadFile(allowed)
	if err != nil || slices.Contains(strings.Fields(string(old)), congestion) {
		return err
	}
	b.OnClose(func() error { return os.WriteFile(allowed, old, 0) })
	return os.WriteFile(allowed, []byte(strings.TrimSpace(string(old))+" "+congestion), 0)
}

func tune(s *netlab.Space, congestion string) error {
	all := maps.Clone(settings)
	all["tcp_congestion_control"] = congestion
	return s.Do(func() error {
		for name, value := range all {
			if err := os.WriteFile(filepath.Join("/proc/sys/net/ipv4", name), []byte(value), 0); err != nil {
				return fmt.Errorf("in a network namespace: %w", err)
			}
		}
		return nil
	})
}

// stage is a line that is laid: its two ends, and the relay, if it has one.
type stage struct {
	near, far end
	relay     *relay // nil: loopback
}

func (b *bench) lay(ctx context.Context, l wire, seed uint64) (*stage, error) {
	if l.rate == 0 {
		return &stage{near: b.loop, far: b.loop}, nil
	}
	r, err := startRelay(ctx, b.here.space, b.there.space, l.config(seed))
	if err != nil {
		return nil, err
	}
	return &stage{near: b.here, far: b.there, relay: r}, nil
}

func (s *stage) close() error {
	if s.relay == nil {
		return nil
	}
	return s.relay.stop()
}

// traffic is what the relay has carried, nothing without one.
func (s *stage) traffic() (t traffic, err error) {
	if s.relay != nil {
		t, err = s.relay.tell(relayAsk)
	}
	return t, err
}

// relayCPU is what the relay has computed, nothing without one.
func (s *stage) relayCPU() time.Duration {
	if s.relay == nil {
		return 0
	}
	spent, _ := s.relay.proc.CPU() // shown as nothing
	return spent
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"edged/internal/netlab/line"
	"edged/internal/tools/lab"
)

// pourVerb is a process that sends or takes bytes without meaning.
const pourVerb = "pour"

// pourTime is how long each ceiling is measured.
const pourTime = 2 * time.Second

// pour is `take ADDRESS`, `tcp ADDRESS` or `udp ADDRESS`.
func pour(args []string) error {
	if len(args) != 2 {
		return errors.New("want take|tcp|udp ADDRESS")
	}
	if args[0] == "take" {
		l, err := net.Listen("tcp", args[1])
		if err != nil {
			return err
		}
		c, err := l.Accept()
		if err != nil {
			return err
		}
		_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 1<<20))
		return err
	}
	c, err := net.Dial(args[0], args[1])
	if err != nil {
		return err
	}
	defer c.Close()
	buffer := make([]byte, 1<<20)
	if args[0] == "udp" {
		buffer = buffer[:smallPacket]
	}
	for end := time.Now().Add(pourTime); time.Now().Before(end); {
		if _, err := c.Write(buffer); err != nil && args[0] == "tcp" {
			return err // nobody listens for UDP: that an ICMP says so is no error
		}
	}
	return nil
}

// smallPacket is the payload of the packets that are counted.
const smallPacket = 64

// ceilings are what the relay can pass on this machine, with sender and receiver
// on the same cores, in bits and packets a second.
type ceilings struct{ tcp, packets float64 }

// ceiling measures a line without limits.
func ceiling(ctx context.Context, b *bench, r *lab.Report) (top ceilings, err error) {
	self, err := os.Executable()
	if err != nil {
		return top, err
	}
	relay, err := startRelay(ctx, b.here.space, b.there.space, line.Config{})
	if err != nil {
		return top, err
	}
	defer func() { err = errors.Join(err, relay.stop()) }()
	taker, err := b.Start(ctx, "pour", nil, b.there.prefix(), self, pourVerb, "take", b.there.at(peerPort))
	if err != nil {
		return top, err
	}
	defer taker.Stop()
	if err := lab.Await(ctx, 10*time.Second, "the port", func() bool { return b.there.open(peerPort) }); err != nil {
		return top, err
	}
	pass := func(network string) (t line.Counters, err error) {
		before, err := relay.tell(relayAsk)
		if err != nil {
			return t, err
		}
		if _, err := lab.Call(ctx, b.here.prefix(), self, pourVerb, network, b.there.at(peerPort)); err != nil {
			return t, err
		}
		after, err := relay.tell(relayAsk)
		return line.Counters{Delivered: after[0].Delivered - before[0].Delivered, Bytes: after[0].Bytes - before[0].Bytes}, err
	}
	tcp, err := pass("tcp")
	if err != nil {
		return top, err
	}
	udp, err := pass("udp")
	top = ceilings{float64(tcp.Bytes) * 8 / pourTime.Seconds(), float64(udp.Delivered) / pourTime.Seconds()}
	r.Figures["relay_Gbps"], r.Figures["relay_kpps"] = fmt.Sprintf("%.1f", top.tcp/1e9), fmt.Sprintf("%.0f", top.packets/1e3)
	return top, err
}

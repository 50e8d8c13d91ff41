package netlab

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
)

// Link is a cable between two namespaces.
type Link struct {
	A, B         *Space
	AddrA, AddrB string // 10.N.0.1 and 10.N.0.2
	device       string // its name at both ends
}

var links atomic.Int64

// Join lays a cable (veth). Both ends have an address and are up.
func (l *Lab) Join(a, b *Space) (*Link, error) {
	n := links.Add(1)
	k := &Link{A: a, B: b, device: fmt.Sprintf("net%d", n), AddrA: fmt.Sprintf("10.%d.0.1", n%250+1), AddrB: fmt.Sprintf("10.%d.0.2", n%250+1)}
	err := run("ip", "link", "add", k.device, "netns", a.Name, "type", "veth", "peer", "name", k.device, "netns", b.Name)
	if err != nil {
		return nil, err
	}
	return k, errors.Join(
		a.ip("addr", "add", k.AddrA+"/24", "dev", k.device),
		b.ip("addr", "add", k.AddrB+"/24", "dev", k.device),
		k.Up())
}

// Up puts the cable in.
func (k *Link) Up() error {
	return errors.Join(k.A.ip("link", "set", k.device, "up"), k.B.ip("link", "set", k.device, "up"))
}

// Down pulls it out: no packet passes, both ends see that there is no carrier.
func (k *Link) Down() error { return k.A.ip("link", "set", k.device, "down") }

// Rate limits both directions with a token bucket (tbf) that queues for at most
// 50 ms.
func (k *Link) Rate(bitsPerSecond int64) error {
	burst := max(bitsPerSecond/8/100, 32<<10) // 10 ms: what passes between two ticks of the kernel
	return errors.Join(k.shape(k.A, bitsPerSecond, burst), k.shape(k.B, bitsPerSecond, burst))
}

func (k *Link) shape(s *Space, bits, burst int64) error {
	return finish(s.Command(context.Background(), "tc", "qdisc", "replace", "dev", k.device, "root", "tbf",
		"rate", fmt.Sprint(bits), "burst", fmt.Sprint(burst), "latency", "50ms"))
}

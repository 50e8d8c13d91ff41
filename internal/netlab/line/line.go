package line

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Config is what a line is like. Both directions are alike.
type Config struct {
	Rate  int64         // bits a second. If zero, there is no limit.
	Delay time.Duration // one way
	Loss  float64       // probability, 0 to 1
	Queue int64         // bytes. If zero, one bandwidth-delay product of a round trip, at least 64 KiB.
	Seed  uint64        // of the loss
}

func (c Config) queue() int64 {
	if c.Queue > 0 {
		return c.Queue
	}
	return max(64<<10, c.Rate/8*int64(2*c.Delay)/int64(time.Second))
}

// Line joins two TUN devices.
type Line struct {
	way  [2]direction
	udp  bool // is blocked
	wait unix.Timespec
}

// The memory of one direction: more than the queue and the packets under way of
// any line that it is made for (10 Gbit/s with 40 ms: 150 MB would be; 5 with 20: 19).
const (
	ringBytes   = 64 << 20
	ringPackets = 1 << 18
)

// New makes a line between two devices, which stay the caller's.
func New(c Config, a, b *Device) (*Line, error) {
	if c.Rate < 0 || c.Delay < 0 || c.Loss < 0 || c.Loss > 1 {
		return nil, errors.New("a line wants a rate and a delay from 0, and a loss from 0 to 1")
	}
	if under := c.queue() + c.Rate/8*int64(c.Delay)/int64(time.Second); under > ringBytes*3/4 {
		return nil, fmt.Errorf("a line with %d MB under way is more than the %d MB that it is made for", under>>20, ringBytes*3/4>>20)
	}
	l := &Line{}
	for i := range l.way {
		l.way[i] = direction{
			ring: newRing(ringBytes, ringPackets), scratch: make(packet, 0, maxPacket),
			rate: c.Rate, delay: int64(c.Delay), queue: c.queue(), loss: uint64(c.Loss * lossScale),
			luck: c.Seed*2654435761 + 88172645463325252 + uint64(i)*0x9e3779b97f4a7c15,
		}
	}
	l.way[0].in, l.way[0].out = a.fd, b.fd
	l.way[1].in, l.way[1].out = b.fd, a.fd
	return l, nil
}

// Block drops UDP from now on, or no longer. It belongs to the thread of Run.
func (l *Line) Block(udp bool) { l.udp = udp }

// Counters are from A to B and from B to A. It belongs to the thread of Run.
func (l *Line) Counters() [2]Counters { return [2]Counters{l.way[0].counters, l.way[1].counters} }

func (l *Line) blocks(protocol byte) bool { return l.udp && protocol == unix.IPPROTO_UDP }

// Run carries packets until command, called when fd can be read, returns an
// error, which is returned.
func (l *Line) Run(fd int, command func() error) error {
	polls := []unix.PollFd{{Fd: int32(l.way[0].in), Events: unix.POLLIN}, {Fd: int32(l.way[1].in), Events: unix.POLLIN}, {Fd: int32(fd), Events: unix.POLLIN}}
	blocks := l.blocks // made once: a method value is an allocation
	for turn := 0; ; turn++ {
		busy, err := l.turn(blocks)
		if err != nil {
			return err
		}
		if busy && turn%64 != 0 {
			continue
		}
		if _, err := unix.Ppoll(polls, l.sleep(busy), nil); err != nil && err != unix.EINTR {
			return err
		}
		if polls[2].Revents != 0 {
			if err := command(); err != nil {
				return err
			}
		}
	}
}

// turn does what there is to do now.
func (l *Line) turn(blocks func(byte) bool) (busy bool, err error) {
	for i := range l.way {
		delivered := l.way[i].deliver(monotonic())
		received, err := l.way[i].receive(blocks)
		if err != nil {
			return false, err
		}
		busy = busy || delivered || received
	}
	return busy, nil
}

// sleep is how long nothing is due, bounded.
func (l *Line) sleep(busy bool) *unix.Timespec {
	if busy {
		l.wait = unix.Timespec{}
		return &l.wait
	}
	wait, now := int64(time.Second), monotonic()
	for i := range l.way {
		if _, due, ok := l.way[i].ring.next(); ok {
			wait = min(wait, max(0, due-now))
		}
	}
	l.wait = unix.NsecToTimespec(wait)
	return &l.wait
}

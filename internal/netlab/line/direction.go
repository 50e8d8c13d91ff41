package line

import (
	"time"

	"golang.org/x/sys/unix"
)

// Ethernet is what a packet takes on the line besides itself, in bytes.
const Ethernet = 38

// Counters are of one direction since the start. Packets are what they are on
// the line: segments, not super-packets.
type Counters struct {
	Packets   int64 `json:"packets"`   // that came
	Delivered int64 `json:"delivered"` // that arrived
	Bytes     int64 `json:"bytes"`     // of IP, that arrived
	Lost      int64 `json:"lost"`
	Dropped   int64 `json:"dropped"` // the queue was full
	Blocked   int64 `json:"blocked"` // by Block, or not IPv4
	Reads     int64 `json:"reads"`   // system calls that brought a packet
	Late      int64 `json:"late"`    // packets that left more than a millisecond after their time
	First     int64 `json:"first"`   // monotonic nanoseconds of the first and the last packet that came
	Last      int64 `json:"last"`
}

// direction is one way of the line. The thread of Run owns it.
type direction struct {
	in, out  int // devices
	ring     *ring
	rate     int64 // bits a second, 0: no limit
	delay    int64 // nanoseconds
	queue    int64 // bytes
	loss     uint64
	luck     uint64
	free     int64 // when the line has sent what it has taken
	keep     [maxSegments]bool
	due      [maxSegments]int64
	scratch  packet
	counters Counters
}

// maxSegments of a super-packet: 64 KiB in segments of 536 bytes and less are
// dropped, as from a path with an MTU that nobody has.
const maxSegments = 128

// lost is true with the probability of the line (xorshift, Marsaglia 2003).
func (d *direction) lost() bool {
	d.luck ^= d.luck << 13
	d.luck ^= d.luck >> 7
	d.luck ^= d.luck << 17
	return d.loss > 0 && (d.luck>>16)%lossScale < d.loss
}

// lossScale makes a probability a whole number.
const lossScale = 10_000_000

// send puts a packet of so many bytes of IP on the line at now. It returns when
// the far end has it, and whether it gets there.
func (d *direction) send(bytes int, now int64) (due int64, arrives bool) {
	d.counters.Packets++
	d.free = max(d.free, now)
	if d.rate == 0 {
		due = now
	} else {
		if (d.free-now)*(d.rate/8)/int64(time.Second) > d.queue {
			d.counters.Dropped++
			return d.free + d.delay, false
		}
		d.free += int64(bytes+Ethernet) * 8 * int64(time.Second) / d.rate
		due = d.free
	}
	if d.lost() {
		d.counters.Lost++
		return due + d.delay, false
	}
	d.counters.Delivered++
	d.counters.Bytes += int64(bytes)
	return due + d.delay, true
}

// take puts the packet in room, which is r.room, on the line.
func (d *direction) take(room packet, now int64, block func(protocol byte) bool) {
	s, ok := room.look()
	n := s.segments()
	if !ok || n > maxSegments || block(s.protocol) {
		d.counters.Blocked += int64(max(n, 1))
		return
	}
	if d.counters.Last = now; d.counters.First == 0 {
		d.counters.First = now
	}
	whole := true
	for i := range n {
		d.due[i], d.keep[i] = d.send(s.size(i), now)
		whole = whole && d.keep[i]
	}
	if whole {
		d.ring.push(len(room), d.due[n-1])
	} else if n > 1 {
		d.pieces(append(d.scratch[:0], room...), s)
	}
}

// pieces puts the runs of segments between those that are lost into the ring.
func (d *direction) pieces(p packet, s shape) {
	n := s.segments()
	for i := 0; i < n; i++ {
		from := i
		for i < n && d.keep[i] {
			i++
		}
		if i == from {
			continue
		}
		room := d.ring.room()
		if room == nil { // it is made for more than the queue: what is here is a machine too slow
			d.counters.Delivered -= int64(i - from)
			d.counters.Dropped += int64(i - from)
			continue
		}
		d.ring.push(p.cut(s, from, i, room), d.due[i-1])
	}
}

// receive takes what the near device has, up to a bound, so that the other way
// gets its turn.
func (d *direction) receive(block func(byte) bool) (any bool, err error) {
	for range 32 {
		room := d.ring.room()
		if room == nil {
			return any, nil
		}
		n, err := unix.Read(d.in, room)
		if err == unix.EAGAIN || err == unix.EINTR {
			return any, nil
		}
		if err != nil {
			return any, err
		}
		d.counters.Reads++
		any = true
		d.take(room[:n], monotonic(), block)
	}
	return any, nil
}

// deliver writes what is due to the far device. A device that does not take it is
// down: the packet is gone, as on a line.
func (d *direction) deliver(now int64) (any bool) {
	for {
		b, due, ok := d.ring.next()
		if !ok || due > now {
			return any
		}
		if now-due > int64(time.Millisecond) {
			d.counters.Late++
		}
		unix.Write(d.out, b)
		d.ring.pop()
		any = true
	}
}

// monotonic is the time of the kernel's monotonic clock in nanoseconds.
func monotonic() int64 {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return t.Nano()
}

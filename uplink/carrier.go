package uplink

import (
	"context"
	"io"
	"time"
)

// The carriers, as people and metrics know them.
const (
	carrierNone = "none"
	carrierQUIC = "quic"
	carrierTCP  = "tcp"
)

// carrier is one connection to a node of the hub, whatever carries it. The
// frames are the same on all. Control has one reader; Say and Put may be called
// from several goroutines.
type carrier interface {
	// Name is carrierQUIC or carrierTCP.
	Name() string

	// Control gives the frames of the hub. It ends with the connection, by an
	// error that says what the hub said last, if it did.
	Control() io.Reader

	// Say writes whole control frames; they do not wait behind more than one Put.
	Say(frames []byte) error

	// Open returns where the Puts of a class go. It is called once for each class
	// that has something to send.
	Open(ctx context.Context, class uint8) (puts, error)

	// Close tells the hub why, if it can within a short time, and unblocks all
	// that waits on the connection. Only the first call counts.
	Close(code uint64, reason string)

	Stats() LineStats
}

// puts takes the Put frames of one class.
type puts interface {
	// Put writes one whole frame. It blocks until the frame is on its way, at most
	// writeWait.
	Put(frame []byte) error
}

// LineStats is what a connection knows of its path.
type LineStats struct {
	RTT, MinRTT time.Duration // zero: not known
	Sent, Lost  uint64        // packets, or segments sent and repeated
	Heard       uint64        // grows with each packet of the hub; with Sent it shows a path that has gone dead
	Delivered   uint64        // bytes that came through, about; zero: not known
	MTU         int           // the largest IP packet sent so far; zero: not known
	Congestion  string        // the algorithm's name
}

// dial connects to a node by a carrier.
func (u *Uplink) dial(ctx context.Context, name, addr string) (carrier, error) {
	if u.dialer != nil {
		return u.dialer(ctx, name, addr)
	}
	if name == carrierTCP {
		return u.dialTCP(ctx, addr)
	}
	return u.dialQUIC(ctx, addr)
}

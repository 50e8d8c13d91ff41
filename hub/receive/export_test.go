package receive

import (
	"time"

	"github.com/quic-go/quic-go"

	"edged/uplink/wire"
)

// SetOffers bounds the offers of all connections beyond the few of each.
func (s *Server) SetOffers(n int64) { s.offers.left.Store(n) }

// FewOffers is that.
const FewOffers = fewOffers

// MaxBatch is how many objects share a Seal.
const MaxBatch = maxBatch

type frame = wire.Frame

// offers is a page of n.
func offers(n int) wire.Frame { return &wire.Offer{Objects: make([]wire.Object, n)} }

// Windows is what receive windows borrow from.
type Windows = windows

var NewWindows = newWindows

func (w *windows) Grow(conn *quic.Conn, delta uint64) bool { return w.grow(conn, delta) }
func (w *windows) Ended(conn *quic.Conn)                   { w.ended(conn) }

// Lines are what connections say of single objects.
type Lines struct {
	all scarce
	of  []seldom
}

// SayAtOnce is how many are said in a second.
const SayAtOnce = sayAtOnce

func NewLines(connections int) *Lines { return &Lines{of: make([]seldom, connections)} }

func (l *Lines) Take(connection int, now time.Time) (left int64, ok bool) {
	left, _, ok = l.of[connection].take(&l.all, "words", now)
	return left, ok
}

func (l *Lines) Rest() (n int64) {
	for i := range l.of {
		n += l.of[i].rest()
	}
	return n
}

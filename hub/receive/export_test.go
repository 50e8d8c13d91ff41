package receive

import (
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

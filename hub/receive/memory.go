package receive

import (
	"sync"
	"sync/atomic"
)

// What all connections together may have in memory, beyond a little of each: 4 KiB
// pieces of Puts, 64 KiB of control frames, a few offers. When it is used up, pieces are
// small, frames are not read, offers are for a little later; nothing is lost and
// nobody is sent away.
const (
	maxPieces   = 2048     // of 64 KiB, that wait for their write: 128 MiB
	maxControl  = 64 << 20 // of control frames that wait for the ledger
	maxOffers   = 128 << 10
	fewOffers   = 8         // of a connection that are always welcome, and so many urgent ones
	fewControl  = 64 << 10  // of a connection that always has room
	maxSaid     = 256 << 10 // to one connection that does not read: then it is asked nothing more
	smallPiece  = 4 << 10
	quicWindows = 512 << 20 // of all connections over QUIC, beyond what they begin with
)

// budget is what is left of something.
type budget struct{ left atomic.Int64 }

func newBudget(n int64) *budget {
	b := &budget{}
	b.left.Store(n)
	return b
}

// take reports whether n were left.
func (b *budget) take(n int64) bool {
	if b.left.Add(-n) >= 0 {
		return true
	}
	b.left.Add(n)
	return false
}

func (b *budget) give(n int64) { b.left.Add(n) }

// largeBodies are the buffers in which pieces wait for their write, as many as pieces says.
var (
	largeBodies = sync.Pool{New: func() any { return new([pieceSize]byte) }}
	pieces      = newBudget(maxPieces)
)

// newBody is room for a piece of a body of n bytes.
func newBody(n int) (body []byte, isLarge bool) {
	if n <= smallPiece || !pieces.take(1) {
		return make([]byte, min(n, smallPiece)), false
	}
	return largeBodies.Get().(*[pieceSize]byte)[:min(n, pieceSize)], true
}

// free gives the room back.
func (p *piece) free() {
	if p.large {
		largeBodies.Put((*[pieceSize]byte)(p.body[:pieceSize]))
		pieces.give(1)
	}
	p.body = nil
}

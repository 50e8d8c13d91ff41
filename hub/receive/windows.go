package receive

import (
	"sync"

	"github.com/quic-go/quic-go"
)

// windows lends connections over QUIC what their receive windows grow beyond what they
// begin with: what lies unread of all of them is bounded, whatever each may have.
type windows struct {
	common *budget
	half   int64 // of what common had

	mu   sync.Mutex // guards lent
	lent map[*quic.Conn]int64
}

func newWindows(n int64) *windows {
	return &windows{common: newBudget(n), half: n / 2, lent: map[*quic.Conn]int64{}}
}

// enough is what a connection may borrow while there is any; more only of the first half, so
// that the first few dozen leave something for whoever comes later.
const enough = 3 << 20

// grow reports whether the window of conn may have delta more.
func (w *windows) grow(conn *quic.Conn, delta uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	greedy := w.lent[conn]+int64(delta) > enough && w.common.left.Load() < w.half+int64(delta)
	if conn.Context().Err() != nil || greedy || !w.common.take(int64(delta)) {
		return false
	}
	w.lent[conn] += int64(delta)
	return true
}

// ended takes back what conn had, which is closed.
func (w *windows) ended(conn *quic.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.common.give(w.lent[conn])
	delete(w.lent, conn)
}

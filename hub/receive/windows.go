package receive

import (
	"sync"

	"github.com/quic-go/quic-go"
)

// windows lends connections over QUIC what their receive windows grow beyond what they
// begin with: what lies unread of all of them is bounded, whatever each may have.
type windows struct {
	common *budget

	mu   sync.Mutex // guards lent
	lent map[*quic.Conn]int64
}

func newWindows(n int64) *windows {
	return &windows{common: newBudget(n), lent: map[*quic.Conn]int64{}}
}

// grow reports whether the window of conn may have delta more.
func (w *windows) grow(conn *quic.Conn, delta uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if conn.Context().Err() != nil || !w.common.take(int64(delta)) {
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

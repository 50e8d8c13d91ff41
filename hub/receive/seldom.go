package receive

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// What goes wrong with one object is a line of the log, and a peer can have it go wrong
// for thousands: on a full disk each appliance is refused some dozens of objects every
// BusyRetry, and there are thousands of appliances. So the same line is said once a minute
// of a connection, a few are said in a second of all connections together, and each says
// how many were left out (P9). Those are at debug level.
const (
	sayAgain  = time.Minute // the same of one connection
	sayAtOnce = 5           // in one second, of all connections
)

// scarce grants the lines of all connections.
type scarce struct {
	left atomic.Int64 // left out since the last line, of any connection

	mu   sync.Mutex // guards what follows
	from time.Time  // of this second
	said int        // in it
}

// take grants one line.
func (s *scarce) take(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.from) >= time.Second {
		s.from, s.said = now, 0
	}
	if s.said >= sayAtOnce {
		return false
	}
	s.said++
	return true
}

// seldom are the lines of one connection, by their words, which are of this package: few.
type seldom struct {
	mu   sync.Mutex // guards what follows
	said map[string]*saidOf
}

type saidOf struct {
	at   time.Time // zero: never
	left int64     // left out since
}

// take grants a line, with how many were left out before it, of this connection and of all.
func (s *seldom) take(of *scarce, words string, now time.Time) (left, leftOfAll int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.said == nil {
		s.said = map[string]*saidOf{}
	}
	one := s.said[words]
	if one == nil {
		one = &saidOf{}
		s.said[words] = one
	}
	if (!one.at.IsZero() && now.Sub(one.at) < sayAgain) || !of.take(now) {
		one.left++
		of.left.Add(1)
		return 0, 0, false
	}
	left, one.at, one.left = one.left, now, 0
	return left, of.left.Swap(0), true
}

// rest is how many lines of a connection were left out and not counted in another one.
func (s *seldom) rest() (left int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.said {
		left += one.left
	}
	return left
}

// rarely says what concerns one object. The words are constant.
func (n *session) rarely(level slog.Level, words string, about ...any) {
	left, all, ok := n.seldom.take(&n.server.scarce, words, time.Now())
	switch {
	case !ok:
		level = slog.LevelDebug
	case left+all > 0:
		about = append(about, "left_out", left, "left_out_of_all", all)
	}
	n.log.Log(context.Background(), level, words, about...)
}

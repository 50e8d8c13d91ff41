package receive

import (
	"errors"
	"time"
)

// A path that has died shows at the hub late: QUIC keeps a connection for three idle
// timeouts, and who is idle says nothing for hours. What depends on it does not wait so long.

// deafAfter is how long a connection may leave unanswered what every appliance answers in a
// round trip or a write to its disk, before another connection is preferred.
const deafAfter = 5 * time.Second

// errDeaf means that a connection did not answer when another one wanted its place.
var errDeaf = errors.New("nothing comes back on this connection, and the appliance is there on another one")

func (s *Server) now() int64 { return time.Since(s.began).Nanoseconds() }

// owes notes that the appliance is told news, which it acknowledges.
func (n *session) owes() {
	if heard := n.heard.Load(); heard >= n.owed.Load() {
		n.owed.Store(max(n.server.now(), heard+1))
	}
}

// deaf reports whether it has said nothing since it was told news, for too long.
func (n *session) deaf(now int64) bool {
	owed := n.owed.Load()
	return n.heard.Load() < owed && now-owed >= deafAfter.Nanoseconds()
}

// relieve has another connection of an appliance speak where the one that does is deaf and
// the other one was heard later. What is only slow, and heard no earlier than others, keeps
// the word: news told twice are a load on a line that is thin.
func (s *Server) relieve() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for _, a := range s.appliances {
		n := a.speaker
		if len(a.sessions) < 2 || n == nil || !n.deaf(now) {
			continue
		}
		if next := a.other(n); next.heard.Load() > n.heard.Load() {
			a.appoint(next)
		}
	}
}

// doubt asks a connection over QUIC that says nothing whether it is there, by an Echo that
// answers nothing new: each packet that comes then shows it (RFC 9000 §13.2.1). Where none
// comes it has ended, and whoever was refused for its sake gets in when it comes again. The
// kernel does the same for TCP, within an idle timeout. s.mu is held.
func (s *Server) doubt(n *session) {
	l, ok := n.link.(*quicLink)
	if !ok || n.doubted || s.now()-n.heard.Load() < deafAfter.Nanoseconds() {
		return
	}
	n.doubted = true
	before := l.conn.ConnectionStats().PacketsReceived
	n.mu.Lock()
	echo := n.echo
	n.mu.Unlock()
	n.say(&echo)
	time.AfterFunc(deafAfter, func() {
		if l.conn.ConnectionStats().PacketsReceived == before {
			n.end(errDeaf)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		n.doubted = false
	})
}

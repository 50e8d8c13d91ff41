package receive

import (
	"context"
	"errors"
)

// errAnew: the ledger has another generation than its Welcome said.
var errAnew = errors.New("the ledger was restored since this connection began")

// anewAtOnce is how many appliances one look sends away for it: a fleet that comes back
// at one moment is thousands of handshakes and of offers of everything.
const anewAtOnce = 500

// met is the ledger that a connection was told of.
type met struct {
	ledger     string
	generation uint64
}

// anew ends connections that were welcomed before the generation rose, whichever node has
// restored the rows: their appliances would never offer again what is not there any more.
// They come back at once and meet the new one.
func (s *Server) anew() {
	ctx, cancel := context.WithTimeout(context.Background(), askWait)
	defer cancel()
	id, generation, err := s.c.Ledger.Identity(ctx)
	if err != nil {
		return // the next look asks again
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ended := map[string]bool{}
	for n := range s.sessions {
		m := n.met.Load()
		if m == nil || m.ledger == id && m.generation >= generation {
			continue
		}
		if ended[n.device] || len(ended) < anewAtOnce {
			ended[n.device] = true
			n.end(errAnew)
		}
	}
	if len(ended) > 0 {
		s.c.Logger.Warn("the ledger has another generation: appliances are to say hello anew, and offer what is not archived", "generation", generation, "appliances", len(ended))
	}
}

package receive

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// An appliance that is revoked does not keep what it has until it hangs up (P11): it
// is cut off within five seconds. One look serves all connections: thousands
// that look for themselves would be most of what an idle hub does.
const (
	askEvery    = 1500 * time.Millisecond
	askWait     = 700 * time.Millisecond // for its answer
	askAgain    = 500 * time.Millisecond // when it gave none
	answerHolds = 4 * time.Second        // then nobody is known to be admitted
)

// errRevoked means that the appliance may not be here any more.
var errRevoked = errors.New("not admitted any more")

// errUnsure: the rows cannot be read. Another node may read them.
var errUnsure = fmt.Errorf("%w: nobody knows who is", errRevoked)

// admission is who may not be here any more.
type admission struct {
	ask func(context.Context) ([]string, error) // nil: nobody is revoked

	mu      sync.Mutex // guards what follows
	revoked map[string]struct{}
	asOf    time.Time // when what is in revoked was asked for
	err     error     // why there is nothing newer
}

// calm reports whether nobody can be refused, so that nobody need be looked at.
func (a *admission) calm() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.revoked) == 0 && a.err == nil
}

// refuses says why a device that was admitted at since may not stay, or nil.
func (a *admission) refuses(device string, since time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, out := a.revoked[device]; out && a.asOf.After(since) {
		return fmt.Errorf("%w: it was revoked", errRevoked)
	}
	if a.err != nil && time.Since(a.asOf) > answerHolds && time.Since(since) > answerHolds {
		return fmt.Errorf("%w: %w", errUnsure, a.err)
	}
	return nil
}

// renew asks, and reports whether there was an answer.
func (a *admission) renew(ctx context.Context) bool {
	if a.ask == nil {
		return true
	}
	now := time.Now()
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	list, err := a.ask(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err = err; err != nil {
		return false
	}
	a.asOf, a.revoked = now, make(map[string]struct{}, len(list))
	for _, id := range list {
		a.revoked[id] = struct{}{}
	}
	return true
}

// watch has look called as long as somebody is here. s.mu is held.
func (s *Server) watch() {
	if s.looks == nil {
		s.looks = time.AfterFunc(askEvery, s.look)
	}
}

// look asks who may not be here any more, and whom the ledger does not know as it did, and
// sends them away. Who does not hear its news has them on another connection.
func (s *Server) look() {
	next := time.Now().Add(askEvery)
	if !s.admission.renew(context.Background()) {
		next = time.Now().Add(askAgain)
	}
	s.dismiss()
	s.anew()
	s.relieve()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sessions) == 0 {
		s.looks = nil
		return
	}
	s.looks.Reset(time.Until(next))
}

func (s *Server) dismiss() {
	if s.admission.calm() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range s.sessions {
		if err := s.admission.refuses(n.device, n.since); err != nil {
			n.end(err)
		}
	}
}

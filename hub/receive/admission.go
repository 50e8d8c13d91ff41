package receive

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// An appliance that is revoked does not keep what it has until it hangs up (P11): it
// is cut off within five seconds. All connections share what was asked last: thousands
// that ask the ledger for themselves would be most of what it does.
const (
	lookEvery   = time.Second             // a connection, whether it may stay
	askEvery    = 1500 * time.Millisecond // all of them together, the ledger
	askWait     = time.Second             // for its answer
	answerHolds = 4 * time.Second         // then nobody is known to be admitted
)

// errRevoked means that the appliance may not be here any more.
var errRevoked = errors.New("not admitted any more")

// errUnsure: the rows cannot be read. Another node may read them.
var errUnsure = fmt.Errorf("%w: nobody knows who is", errRevoked)

// admission is who may not be here any more. Whichever connection looks first when it
// is time asks for all; the others go by what was answered before.
type admission struct {
	ask    func(context.Context) ([]string, error) // nil: nobody is revoked
	asking sync.Mutex                              // held by who asks

	mu      sync.Mutex // guards what follows
	asked   time.Time
	revoked map[string]struct{}
	asOf    time.Time // when what is in revoked was asked for
	err     error     // why there is nothing newer
}

// refuses says why a device that was admitted at since may not stay, or nil.
func (a *admission) refuses(ctx context.Context, device string, since time.Time) error {
	if a.ask == nil {
		return nil
	}
	if a.asking.TryLock() {
		a.renew(ctx)
		a.asking.Unlock()
	}
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

// renew asks, if it is time. asking is held.
func (a *admission) renew(ctx context.Context) {
	now := time.Now()
	a.mu.Lock()
	due := now.Sub(a.asked) >= askEvery
	if due {
		a.asked = now
	}
	a.mu.Unlock()
	if !due {
		return
	}
	// It is asked for all: that the connection which asks has ended is no answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askWait)
	defer cancel()
	list, err := a.ask(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err = err; err != nil {
		return
	}
	a.asOf, a.revoked = now, make(map[string]struct{}, len(list))
	for _, id := range list {
		a.revoked[id] = struct{}{}
	}
}

// stayAdmitted ends when the appliance is no longer admitted.
func (n *session) stayAdmitted(ctx context.Context) error {
	since := time.Now()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		if err := n.server.admission.refuses(ctx, n.device, since); err != nil {
			return err
		}
	}
}

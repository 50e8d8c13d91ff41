package uplink

import "sync"

// Who may write first when several wait.
const (
	rankControl = iota
	rankUrgent
	rankBulk
	ranks
)

// turns is the lock in front of a byte stream that several write whole frames
// to: who waits with a better rank comes first, within a rank who came first.
type turns struct {
	mu      sync.Mutex // guards what follows
	busy    bool
	waiting [ranks][]chan error
	over    error         // no more turns
	idle    chan struct{} // closed when over and nobody holds it
}

// enter waits for the turn, or for the end of all turns.
func (t *turns) enter(rank int) error {
	t.mu.Lock()
	if t.over != nil {
		t.mu.Unlock()
		return t.over
	}
	if !t.busy {
		t.busy = true
		t.mu.Unlock()
		return nil
	}
	turn := make(chan error, 1)
	t.waiting[rank] = append(t.waiting[rank], turn)
	t.mu.Unlock()
	return <-turn
}

// leave hands the turn to who is next.
func (t *turns) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for rank, w := range t.waiting {
		if len(w) > 0 {
			t.waiting[rank] = w[1:]
			w[0] <- nil
			return
		}
	}
	t.busy = false
	if t.over != nil {
		close(t.idle)
	}
}

// going calls f unless all turns are over, and then says why they are.
func (t *turns) going(f func()) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over == nil {
		f()
	}
	return t.over
}

// end refuses all who wait or come, for a reason. The channel is closed when who
// holds the turn now has left. It is called once.
func (t *turns) end(why error) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over, t.idle = why, make(chan struct{})
	for rank, w := range t.waiting {
		for _, turn := range w {
			turn <- why
		}
		t.waiting[rank] = nil
	}
	if !t.busy {
		close(t.idle)
	}
	return t.idle
}

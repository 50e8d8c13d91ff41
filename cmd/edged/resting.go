package main

import (
	"errors"
	"maps"
	"sync"

	"edged/spool"
	"edged/uplink"
)

// resting knows what does not get to the hub though the line works, for people: it is
// whole, it is tried again ever more rarely, and somebody has to look why.
type resting struct {
	mu  sync.Mutex // guards what follows
	why map[spool.ID]error
}

// maxResting bounds how many are remembered; of more no more are counted.
const maxResting = 1024

// begin is told why an object rests. The first time something else than a refusal may
// be chance: the second attempt tells.
func (r *resting) begin(id spool.ID, rest *uplink.RestError) {
	if rest.Times < 2 && !errors.Is(rest, uplink.ErrRefused) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.why == nil {
		r.why = map[spool.ID]error{}
	}
	if _, known := r.why[id]; known || len(r.why) < maxResting {
		r.why[id] = rest.Why
	}
}

// end is told of a receipt.
func (r *resting) end(id spool.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.why, id)
}

// count says how many are still to be sent of those that the hub refused, that arrived
// damaged, and that could not be read here. A nil *resting knows none.
func (r *resting) count(s *spool.Spool) (refused, mismatched, unread int64) {
	if r == nil {
		return 0, 0, 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.why, func(id spool.ID, _ error) bool { return !s.Waits(id) })
	for _, why := range r.why {
		switch {
		case errors.Is(why, uplink.ErrRefused):
			refused++
		case errors.Is(why, uplink.ErrMismatch):
			mismatched++
		default:
			unread++
		}
	}
	return refused, mismatched, unread
}

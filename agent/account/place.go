package account

import "context"

const (
	hashesAtOnce = 1  // of 64 MiB each
	hashesQueued = 16 // who wait for a place; more are told to come again
)

// places bounds the memory of hashing.
type places struct {
	queue chan struct{} // who waits or hashes
	hash  chan struct{} // who hashes
}

func newPlaces() places {
	return places{make(chan struct{}, hashesQueued+hashesAtOnce), make(chan struct{}, hashesAtOnce)}
}

// with calls do when there is a place.
func (p places) with(ctx context.Context, do func()) error {
	select {
	case p.queue <- struct{}{}:
		defer func() { <-p.queue }()
	default:
		return ErrBusy
	}
	select {
	case p.hash <- struct{}{}:
		defer func() { <-p.hash }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if ctx.Err() != nil { // both were ready
		return context.Cause(ctx)
	}
	do()
	return nil
}

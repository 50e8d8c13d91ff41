package main

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"edged/spool"
	"edged/uplink"
)

// studyEvents has the uplink tell the hub which studies are complete, and which have
// changed after that. Studies of test objects alone are nobody's business.
type studyEvents struct {
	keeper *keeper

	// found says what is wrong with the data of a group; not known: not yet, ask again. If
	// nil, nothing is said. It is set before anything runs.
	found func(group string) (codes string, known bool)

	mu    sync.Mutex    // guards what follows
	news  chan struct{} // closed when there may be more
	early bool          // one waits whose findings are not known yet
}

var _ uplink.Studies = (*studyEvents)(nil)

func newStudyEvents(k *keeper) *studyEvents {
	return &studyEvents{keeper: k, news: make(chan struct{})}
}

// Waiting takes events of test objects, and of what named no study, for told: they
// would stand in the way of the others.
func (e *studyEvents) Waiting(ctx context.Context, limit int) ([]uplink.StudyEvent, error) {
	s, err := e.keeper.await(ctx)
	if err != nil {
		return nil, err
	}
	for {
		events, own, err := e.sift(ctx, s, limit)
		if err != nil || own == 0 || len(events) > 0 {
			return events, err
		}
	}
}

// sift also says how many of the oldest were only of concern here.
func (e *studyEvents) sift(ctx context.Context, s *spool.Spool, limit int) (events []uplink.StudyEvent, own int, err error) {
	for _, g := range s.GroupEvents(limit) {
		if g.Test || g.Group == "" {
			if err := s.AckGroup(ctx, g); err != nil {
				return nil, own, err
			}
			own++
			continue
		}
		if found, known := e.foundIn(g.Group); known {
			events = append(events, uplink.StudyEvent{UID: g.Group, Revision: g.Revision, Found: found,
				Changed: g.Kind == spool.GroupChanged, Count: uint32(min(max(g.Objects, 0), math.MaxUint32))})
		}
	}
	return events, own, nil
}

// foundIn has run look again where it is not known.
func (e *studyEvents) foundIn(group string) (codes string, known bool) {
	if e.found == nil {
		return "", true
	}
	if codes, known = e.found(group); !known {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.early = true
	}
	return codes, known
}

// again rings where something came too early.
func (e *studyEvents) again() {
	e.mu.Lock()
	early := e.early
	e.early = false
	e.mu.Unlock()
	if early {
		e.ring()
	}
}

// Told makes it durable that the hub knows. A group that is gone meanwhile has taken
// its event along.
func (e *studyEvents) Told(ctx context.Context, uid string, revision uint32) error {
	s, err := e.keeper.get()
	if err != nil {
		return err
	}
	err = s.AckGroup(ctx, spool.GroupEvent{Group: uid, Revision: revision})
	if errors.Is(err, spool.ErrUnknown) {
		return nil
	}
	return err
}

// Changed is closed by run.
func (e *studyEvents) Changed() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.news
}

func (e *studyEvents) ring() {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.news)
	e.news = make(chan struct{})
}

// run follows the spool, also when it is opened again, until ctx ends.
func (e *studyEvents) run(ctx context.Context) error {
	for {
		s, err := e.keeper.await(ctx)
		if err != nil {
			return nil
		}
		e.follow(ctx, s)
		if !pause(ctx, 100*time.Millisecond) {
			return nil
		}
	}
}

// follow returns when s is no longer the spool.
func (e *studyEvents) follow(ctx context.Context, s *spool.Spool) {
	w := s.Watch(1024) // a burst of commits
	defer w.Close()
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	e.ring() // what waited before
	for {
		select {
		case <-ctx.Done():
			return
		case ev := <-w.C:
			if ev.Kind != 0 || ev.Lost {
				e.ring()
			}
		case <-tick.C:
			e.again()
			if now, _ := e.keeper.get(); now != s {
				return
			}
		}
	}
}

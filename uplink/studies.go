package uplink

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"edged/uplink/wire"
)

// Studies has what the hub is to be told of studies. Its methods are called from
// several goroutines, Waiting from one at a time.
type Studies interface {
	// Waiting lists at most limit events that the hub has not acknowledged, oldest
	// first, of each study the newest.
	Waiting(ctx context.Context, limit int) ([]StudyEvent, error)

	// Told: the hub has this durably. It is durable here when Told returns nil; after
	// an error the connection is closed and the hub is told again. It may repeat, and
	// may name an event that is no longer the newest of its study: that changes nothing.
	Told(ctx context.Context, uid string, revision uint32) error

	// Changed is closed when Waiting may have more than before this call.
	Changed() <-chan struct{}
}

// StudyEvent is a study as the appliance sees it.
type StudyEvent struct {
	UID      string
	Revision uint32 // 1, 2, ... in the life of the study here, never 0
	Changed  bool   // something came or went since an earlier revision; else it is complete
	Count    uint32 // objects of it
	Found    string // what is wrong with its data, see doc.go; at most maxStudyFound bytes are told
}

const (
	maxTold    = 32               // told and not acknowledged, on a lane
	studyPause = 10 * time.Second // behind an error of Studies

	maxStudyFound = 1000
)

// told is what a lane told and the hub has not acknowledged.
type told struct {
	mu   *sync.Mutex // guards by
	by   map[string]uint32
	more chan struct{} // an acknowledgement was kept
}

func newTold() told {
	return told{mu: new(sync.Mutex), by: map[string]uint32{}, more: make(chan struct{}, 1)}
}

func (t told) has(f *wire.StudyAck) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	revision, ok := t.by[f.UID]
	return ok && revision == f.Revision
}

// fresh are the events that were not told yet, as many as may be; they count as told.
func (t told) fresh(events []StudyEvent) (list []wire.Frame) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range events {
		if revision, ok := t.by[e.UID]; ok && revision == e.Revision || !ok && len(t.by) >= maxTold {
			continue
		}
		t.by[e.UID] = e.Revision
		state := wire.StudyComplete
		if e.Changed {
			state = wire.StudyChanged
		}
		list = append(list, &wire.Study{UID: e.UID, State: state, Count: e.Count, Revision: e.Revision,
			Found: strings.ToValidUTF8(e.Found[:min(len(e.Found), maxStudyFound)], "")})
	}
	return list
}

func (t told) drop(f *wire.StudyAck) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by[f.UID] == f.Revision {
		delete(t.by, f.UID)
	}
}

// tell has the hub know of studies. Of all lanes one does, so that each is told
// once; when it ends another one tells again what was not acknowledged.
func (l *lane) tell(ctx context.Context) error {
	if l.u.c.Studies == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	select {
	case l.u.speaker <- struct{}{}:
		defer func() { <-l.u.speaker }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		changed := l.u.c.Studies.Changed()
		if err := l.tellOnce(ctx); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-l.told.more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tellOnce writes what waits and may be told. An error of Studies ends no lane:
// objects go on without it.
func (l *lane) tellOnce(ctx context.Context) error {
	for {
		events, err := l.u.c.Studies.Waiting(ctx, maxTold)
		if err == nil {
			if frames := l.told.fresh(events); len(frames) > 0 {
				l.later(frames...)
			}
			return nil
		}
		l.u.c.Logger.Warn("studies are not told to the hub", "error", err)
		if !sleep(ctx, studyPause) {
			return ctx.Err()
		}
	}
}

// acked keeps acknowledgements, and makes room for others.
func (l *lane) acked(ctx context.Context, frames []wire.Frame) error {
	for _, f := range frames {
		f := f.(*wire.StudyAck)
		if err := l.u.c.Studies.Told(ctx, f.UID, f.Revision); err != nil {
			return fmt.Errorf("keep what the hub knows of studies: %w", err)
		}
		l.told.drop(f)
	}
	poke(l.told.more)
	return nil
}

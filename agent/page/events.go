package page

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"edged/agent/status"
)

// serveEvents is a stream of server-sent events (WHATWG HTML §9.2):
//
//	retry: 3000            once
//	event: hello           once: whatever was missed, ask again now
//	event: status|studies|devices   id: N   data: status.Event
//	event: beat            every 10 seconds of silence
//
// A Last-Event-ID is welcome and not needed: events say that something changed
// and never what, so hello makes up for all that were missed.
func (p *Page) serveEvents(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	if r.Method == http.MethodHead {
		return // there is no end of what would be left out
	}
	from := addressOf(r)
	if !p.who.enter(from, max(1, p.cfg.MaxStreams/streamShare)) {
		tooMany(w)
		return
	}
	defer p.who.leave(from)
	select {
	case p.streams <- struct{}{}:
		defer func() { <-p.streams }()
	default:
		tooMany(w)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	changes := p.cfg.Source.Subscribe(ctx)
	stream := eventStream{w: w, control: http.NewResponseController(w)}
	if stream.send("retry: 3000\nevent: hello\ndata: {}\n\n") == nil {
		stream.follow(ctx, changes)
	}
}

func tooMany(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "15")
	plain(w, http.StatusServiceUnavailable, "too many open pages; this one refreshes itself all the same")
}

type eventStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// follow returns when the reader is gone, the context ends or the Source closes.
func (s eventStream) follow(ctx context.Context, changes <-chan status.Event) {
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case e, open := <-changes:
			if !open {
				return
			}
			beat.Reset(beatEvery)
			err = s.change(e)
		case <-beat.C:
			err = s.send("event: beat\ndata: {}\n\n")
		}
		if err != nil {
			return // the reader is gone; it will come back with a new stream
		}
	}
}

func (s eventStream) change(e status.Event) error {
	raw, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode event %d: %w", e.ID, err)
	}
	kind := e.Kind
	if kind != status.StudiesChanged && kind != status.DevicesChanged {
		kind = status.StatusChanged // nothing else may reach a line of the protocol
	}
	return s.send(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", e.ID, kind, raw))
}

// send gives each event a deadline of its own, so that a reader who stopped
// reading does not hold a slot for ever, while a stream may stay open all day.
func (s eventStream) send(text string) error {
	// Not every ResponseWriter has deadlines (a test's has not); without one
	// the server's own WriteTimeout applies.
	_ = s.control.SetWriteDeadline(time.Now().Add(writeDeadline))
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}

// Bell is a Subscribe for those who have none: whoever changes something rings,
// and every open page hears it. The zero Bell is ready to use.
type Bell struct {
	mu   sync.Mutex // guards all below
	last uint64
	ears map[chan status.Event]struct{}
}

// Ring tells all subscribers that something changed. It never waits: a
// subscriber whose channel is full has yet to hear that something changed, and
// will then ask for everything.
func (b *Bell) Ring(kind status.EventKind) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	e := status.Event{ID: b.last, Kind: kind, At: time.Now()}
	for ear := range b.ears {
		select {
		case ear <- e:
		default:
		}
	}
}

// Subscribe returns a channel that is closed after ctx ends. It holds three
// events, which is one of each kind when they come in turn.
func (b *Bell) Subscribe(ctx context.Context) <-chan status.Event {
	ear := make(chan status.Event, 3)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ears == nil {
		b.ears = map[chan status.Event]struct{}{}
	}
	b.ears[ear] = struct{}{}
	context.AfterFunc(ctx, func() { b.forget(ear) })
	return ear
}

func (b *Bell) forget(ear chan status.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.ears, ear)
	close(ear)
}

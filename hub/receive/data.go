package receive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"edged/hub/objects"
	"edged/uplink/wire"
)

// pieceSize is what is written at once. A hub that is killed has lost what waits for
// its write, over TCP three pieces a connection: less than one Put together.
const pieceSize = 64 << 10

// piece is of the body of a Put, as much as came of it before a cut.
type piece struct {
	number uint64
	offset int64
	length int // declared, from here to the end of the Put
	got    int
	body   []byte
	large  bool // body has pieceSize bytes
}

// inPieces gives the body of put, which is never empty, in pieces. Of a
// cut body it gives what came.
func inPieces(put *wire.PutFrame, give func(piece) error) error {
	for done := 0; ; {
		p := piece{number: put.Number, offset: put.Offset + int64(done), length: put.Length - done}
		p.body, p.large = newBody(p.length)
		var cut error
		p.got, cut = io.ReadFull(put, p.body)
		if err := errors.Join(give(p), cut); err != nil {
			return err
		}
		if done += p.got; done == put.Length {
			return nil
		}
	}
}

// put takes one piece. That of an offer that has ended is discarded. It writes when it
// is the appliance's turn, and no faster than its rate; what is urgent counts and does
// not wait for that. What has come is written also when the connection has ended, and the
// rate is not waited for then: the next connection goes on from there.
func (n *session) put(ctx context.Context, c piece) error {
	defer c.free()
	n.mu.Lock()
	o := n.offers[c.number]
	n.mu.Unlock()
	if o == nil {
		return nil
	}
	urgent := o.Priority == wire.Urgent
	n.appliance.pace(ctx, c.got, urgent)
	if err := n.server.writing.enter(context.WithoutCancel(ctx), n.device, urgent); err != nil {
		return err
	}
	defer n.server.writing.leave()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.claim == nil || c.offset != o.next || int64(c.length) > o.Length-o.next {
		return fmt.Errorf("%w: put of %d bytes at %d, expected at %d of %d", errProtocol, c.length, c.offset, o.next, o.Length)
	}
	// What came of a cut body is kept: the next offer goes on from there.
	if _, err := o.claim.Write(c.body[:c.got]); err != nil {
		return n.notWritten(o, err)
	}
	n.hears()
	o.next += int64(c.got)
	n.bytes.Add(int64(c.got))
	if o.next == o.Length {
		n.completed(o)
	}
	return nil
}

// probed answers a Probe, or lets whoever is about to answer an earlier one do it.
func (n *session) probed(f *wire.ProbeFrame) error {
	n.hears()
	n.mu.Lock()
	n.echo.Number, n.echo.Bytes = f.Number, n.echo.Bytes+int64(f.Length)
	n.mu.Unlock()
	for n.echoing.TryLock() {
		n.mu.Lock()
		echo := n.echo
		n.mu.Unlock()
		err := n.send(&echo)
		n.echoing.Unlock()
		n.mu.Lock()
		told := n.echo == echo
		n.mu.Unlock()
		if told || err != nil {
			return err
		}
	}
	return nil
}

// completed hands an offer to the committers, a large one on its way to a bucket when
// that has it.
func (n *session) completed(o *offer) {
	o.claim.Prepare(o.Priority, func() { n.server.commits.add(n, o) })
}

// poke wakes one who waits on c.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// notWritten ends the offer of an object that could not be written. Only what
// does not concern this object alone ends the session.
func (n *session) notWritten(o *offer, err error) error {
	n.finish(o)
	switch again, gone := failure(err); {
	case gone:
		return nil
	case again:
		n.rarely(slog.LevelWarn, "no space for a partial object", "object", o.ID, "error", err)
		n.say(busy(n.server.c.BusyRetry, !errors.Is(err, objects.ErrTooBig), o.ID)...)
		return nil
	}
	return err
}

// busy ends the offers of ids for now. When the hub is full, everything is to
// wait, which is said first; what alone does not fit delays nothing else (P6).
func busy(retry time.Duration, full bool, ids ...wire.ID) (list []wire.Frame) {
	after := uint32(retry.Milliseconds())
	if full {
		list = append(list, &wire.Again{Reason: wire.AgainBusy, AfterMillis: after})
	}
	return append(list, &wire.Again{Reason: wire.AgainBusy, AfterMillis: after, IDs: ids})
}

package receive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"edged/hub"
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
	body   *[pieceSize]byte
}

// bodies are the buffers in which pieces wait for their write.
var bodies = sync.Pool{New: func() any { return new([pieceSize]byte) }}

// inPieces gives the body of put, which is never empty, in pieces. Of a
// cut body it gives what came.
func inPieces(put *wire.PutFrame, give func(piece) error) error {
	for done := 0; ; {
		p := piece{number: put.Number, offset: put.Offset + int64(done), length: put.Length - done, body: bodies.Get().(*[pieceSize]byte)}
		var cut error
		p.got, cut = io.ReadFull(put, p.body[:min(p.length, pieceSize)])
		if err := errors.Join(give(p), cut); err != nil {
			return err
		}
		if done += p.got; done == put.Length {
			return nil
		}
	}
}

// put takes one piece. That of an offer that has ended is discarded.
func (n *session) put(c piece) error {
	defer bodies.Put(c.body)
	n.mu.Lock()
	o := n.offers[c.number]
	n.mu.Unlock()
	if o == nil {
		return nil
	}
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

// completed hands an offer to commit, a large one on its way to a bucket when that has
// it: no small or urgent one waits behind it in a batch (P6).
func (n *session) completed(o *offer) {
	o.claim.Prepare(o.Priority, func() {
		n.mu.Lock()
		n.complete = append(n.complete, o)
		n.mu.Unlock()
		poke(n.more)
	})
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
		n.log.Warn("no space for a partial object", "object", o.ID, "error", err)
		return n.send(busy(n.server.c.BusyRetry, !errors.Is(err, objects.ErrTooBig), o.ID)...)
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

// commit makes what is complete durable, in batches of what waits, and sends
// receipts: seal in the store, then rows, then Receipt (SPOOL-19).
func (n *session) commit(ctx context.Context) error {
	for {
		batch := n.waiting()
		if len(batch) > 0 {
			if err := n.commitBatch(ctx, batch); err != nil {
				return err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-n.more:
		}
	}
}

// maxBatch bounds a batch, so that no receipt waits for too many flushes.
const maxBatch = 64

// waiting takes a batch of what is complete, and wakes the other committer when
// there is more.
func (n *session) waiting() []*offer {
	n.mu.Lock()
	defer n.mu.Unlock()
	batch := n.complete[:min(len(n.complete), maxBatch)]
	if n.complete = n.complete[len(batch):]; len(n.complete) > 0 {
		poke(n.more)
	} else {
		n.complete = nil
	}
	return batch
}

func (n *session) commitBatch(ctx context.Context, batch []*offer) error {
	claims := make([]*objects.Partial, len(batch))
	for i, o := range batch {
		claims[i] = o.claim
	}
	errs := n.server.c.Objects.Seal(claims)
	var sealed []hub.Object
	var receipt wire.Receipt
	for i, o := range batch {
		if errs[i] != nil {
			if err := n.notSealed(o, errs[i]); err != nil {
				return err
			}
			continue
		}
		sealed = append(sealed, n.object(o))
		receipt.Receipts = append(receipt.Receipts, wire.Received{ID: o.ID, Length: o.Length})
	}
	if len(sealed) == 0 {
		return nil
	}
	n.telling.RLock()
	defer n.telling.RUnlock()
	if err := n.server.c.Ledger.Receive(ctx, sealed); err != nil {
		return fmt.Errorf("record %d objects: %w", len(sealed), err)
	}
	for i, o := range batch {
		if errs[i] == nil {
			o.claim.Recorded()
		}
		n.finish(o)
	}
	return n.send(&receipt)
}

func (n *session) notSealed(o *offer, err error) error {
	if !errors.Is(err, objects.ErrDigest) {
		return n.notWritten(o, err)
	}
	n.finish(o)
	n.log.Error("digest mismatch", "object", o.ID)
	return n.send(&wire.Trouble{Problems: []wire.Problem{{ID: o.ID, Kind: wire.ProblemDigest}}})
}

// object is the row of an offer; the device comes from the certificate.
func (n *session) object(o *offer) hub.Object {
	return hub.Object{
		ID: hub.ID(o.ID), Names: o.Names(), Length: o.Length, Study: o.Study,
		Priority: o.Priority, Device: n.device, Flags: o.Flags, Calling: o.Calling, Modality: o.Modality,
	}
}

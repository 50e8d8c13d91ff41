package receive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"edged/hub"
	"edged/hub/objects"
	"edged/uplink/wire"
)

// chunks are the buffers in which a Put's body waits for its write.
var chunks = sync.Pool{New: func() any { return new([wire.MaxBody]byte) }}

// acceptData serves each data stream until the connection ends.
func (n *session) acceptData(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		stream, err := n.conn.AcceptUniStream(ctx)
		if err != nil {
			return err
		}
		wg.Go(func() {
			if err := n.readData(stream); err != nil {
				n.conn.CloseWithError(code(err), reason(err))
			}
		})
	}
}

// readData takes Puts until the appliance closes the stream.
func (n *session) readData(stream *quic.ReceiveStream) error {
	frames := wire.NewReader(stream)
	for {
		f, err := frames.Next()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		put, ok := f.(*wire.PutFrame)
		if !ok {
			return fmt.Errorf("%w: type %d on a data stream", errProtocol, f.Type())
		}
		if err := n.put(put); err != nil {
			return err
		}
	}
}

// put takes one body. A Put of an offer that has ended is discarded.
func (n *session) put(put *wire.PutFrame) error {
	n.mu.Lock()
	o := n.offers[put.Number]
	n.mu.Unlock()
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.claim == nil || put.Offset != o.next || int64(put.Length) > o.Length-o.next {
		return fmt.Errorf("%w: put of %d bytes at %d, expected at %d of %d", errProtocol, put.Length, put.Offset, o.next, o.Length)
	}
	buf := chunks.Get().(*[wire.MaxBody]byte)
	defer chunks.Put(buf)
	got, readErr := io.ReadFull(put, buf[:put.Length])
	// What came of a cut body is kept: the next offer goes on from there.
	if _, err := o.claim.Write(buf[:got]); err != nil {
		return n.notWritten(o, err)
	}
	o.next += int64(got)
	n.bytes.Add(int64(got))
	if readErr != nil {
		return readErr
	}
	if o.next == o.Length {
		n.completed(o)
	}
	return nil
}

// completed hands an offer to commit.
func (n *session) completed(o *offer) {
	select {
	case n.complete <- o:
	case <-n.conn.Context().Done(): // the next connection seals it
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
		select {
		case <-ctx.Done():
			return ctx.Err()
		case o := <-n.complete:
			if err := n.commitBatch(ctx, n.waiting(o)); err != nil {
				return err
			}
		}
	}
}

// maxBatch bounds a batch, so that no receipt waits for too many flushes.
const maxBatch = 64

// waiting is first and whatever else is complete by now.
func (n *session) waiting(first *offer) []*offer {
	batch := []*offer{first}
	for len(batch) < maxBatch {
		select {
		case o := <-n.complete:
			batch = append(batch, o)
		default:
			return batch
		}
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
	for _, o := range batch {
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
		Priority: o.Priority, Device: n.device, Flags: o.Flags, Calling: o.Calling,
	}
}

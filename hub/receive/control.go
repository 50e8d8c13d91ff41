package receive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"edged/hub"
	"edged/hub/objects"
	"edged/uplink/wire"
)

// offer is one offered object until Receipt, Again or Trouble.
type offer struct {
	wire.Object
	counted bool // among the offers of all connections

	mu    sync.Mutex // guards what follows, held while a Put is taken
	claim *objects.Partial
	next  int64 // offset of the next Put
}

// control1 handles one frame.
func (n *session) control1(ctx context.Context, f wire.Frame) error {
	n.hears()
	switch f := f.(type) {
	case *wire.Offer:
		return n.offered(ctx, f.Objects)
	case *wire.ArchivedAck:
		return n.acknowledged(ctx, f)
	case *wire.Trouble:
		n.withdrawn(f.Problems)
		return nil
	case *wire.Bye: // over TCP; QUIC says it in its own way
		return fmt.Errorf("%w: code %d %.100q", errBye, f.Code, f.Reason)
	case *wire.Study:
		return n.studied(ctx, f)
	case *wire.Findings, *wire.Release:
		return n.noticed(ctx, f)
	}
	return fmt.Errorf("%w: type %d is not for the hub", errProtocol, f.Type())
}

// ErrNotKept is what Config.Notice returns, perhaps wrapped, for a study that it does not keep now.
var ErrNotKept = errors.New("not kept now")

// noticed passes on what is about studies and objects. An error ends the connection,
// and the appliance says it again.
func (n *session) noticed(ctx context.Context, f wire.Frame) error {
	if n.server.c.Notice == nil {
		return nil
	}
	return marked(n.server.c.Notice(ctx, n.device, f))
}

// maxUID bounds a UID (PS3.5 §9.1). What is longer names no study.
const maxUID = 64

// studied acknowledges what is durable here. Where nobody is to be told of studies
// the appliance keeps it for a hub that has somebody.
//
// What Notice says is ErrNotKept ends nothing: it is not acknowledged, and the appliance
// says it again some day. What names no study is acknowledged and goes no further: no row
// could have it, and the appliance would say it for ever.
func (n *session) studied(ctx context.Context, f *wire.Study) (err error) {
	if len(f.UID) <= maxUID {
		err = n.noticed(ctx, f)
	} else {
		n.rarely(slog.LevelWarn, "a study is told to nobody: its UID is none", "bytes", len(f.UID))
	}
	if errors.Is(err, ErrNotKept) {
		return nil
	}
	if err != nil || f.Revision == 0 || n.server.c.Notice == nil {
		return err
	}
	return n.send(&wire.StudyAck{UID: f.UID, Revision: f.Revision})
}

// offered answers a page of offers: what has a receipt needs no bytes, for the
// rest the offset of what is here from this appliance.
func (n *session) offered(ctx context.Context, list []wire.Object) error {
	if len(list) == 0 {
		return nil
	}
	ids := make([]hub.ID, len(list))
	for i, o := range list {
		ids[i] = hub.ID(o.ID)
	}
	if err := n.quiet(ctx, n.mark()-maxSaid); err != nil {
		return err
	}
	if err := n.server.asking.enter(ctx, n.device, list[0].Priority == wire.Urgent); err != nil {
		return err
	}
	// What is told to be lost after this answer must reach the appliance after it.
	defer n.ticket()()
	known, err := n.server.c.Ledger.Known(ctx, n.device, ids)
	n.server.asking.leave()
	if err != nil {
		return fmt.Errorf("look for receipts: %w", err)
	}
	var a answers
	for _, o := range list {
		if err := n.answer(o, known, &a); err != nil {
			return err
		}
	}
	n.say(a.frames(n.server.c.BusyRetry)...)
	for _, o := range a.complete {
		n.completed(o)
	}
	return nil
}

// answers collects what a page of offers is answered with.
type answers struct {
	have     wire.Have
	receipts wire.Receipt
	trouble  wire.Trouble
	busy     wire.Again
	short    wire.Again
	full     bool     // not for one object alone
	complete []*offer // all bytes are here from another connection
}

// frames are the non-empty ones.
func (a *answers) frames(retry time.Duration) (list []wire.Frame) {
	if len(a.have.Answers) > 0 {
		list = append(list, &a.have)
	}
	if len(a.receipts.Receipts) > 0 {
		list = append(list, &a.receipts)
	}
	if len(a.trouble.Problems) > 0 {
		list = append(list, &a.trouble)
	}
	if len(a.busy.IDs) > 0 {
		list = append(list, busy(retry, a.full, a.busy.IDs...)...)
	}
	if len(a.short.IDs) > 0 {
		a.short.Reason, a.short.AfterMillis = wire.AgainShort, uint32(retry.Milliseconds())
		list = append(list, &a.short)
	}
	return list
}

// answer decides about one offer. An error means that the appliance exceeds
// what it was granted.
func (n *session) answer(w wire.Object, known map[hub.ID]int64, a *answers) error {
	if length, ok := known[hub.ID(w.ID)]; ok && length == w.Length {
		n.server.c.Objects.Recorded(n.device, hub.ID(w.ID))
		a.have.Answers = append(a.have.Answers, wire.Answer{Number: w.Number, ID: w.ID, All: true})
		a.receipts.Receipts = append(a.receipts.Receipts, wire.Received{ID: w.ID, Length: w.Length})
		return nil
	}
	if problem := unacceptable(w); problem != "" {
		a.trouble.Problems = append(a.trouble.Problems, wire.Problem{ID: w.ID, Kind: wire.ProblemOffer, Permanent: true, Words: problem})
		return nil
	}
	o := &offer{Object: w}
	switch full, err := n.enter(o); {
	case err != nil:
		return err
	case full:
		a.short.IDs = append(a.short.IDs, w.ID)
		return nil
	}
	claim, err := n.server.c.Objects.Claim(n.device, hub.ID(w.ID), w.Names(), w.Length)
	if err != nil {
		n.rarely(slog.LevelWarn, "no partial object", "object", w.ID, "error", err)
		n.finish(o)
		a.busy.IDs = append(a.busy.IDs, w.ID)
		a.full = a.full || !errors.Is(err, objects.ErrTooBig)
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.claim, o.next = claim, claim.Offset()
	a.have.Answers = append(a.have.Answers, wire.Answer{Number: w.Number, ID: w.ID, Offset: o.next})
	if o.next == w.Length {
		a.complete = append(a.complete, o)
	}
	return nil
}

// unacceptable says what is wrong with an offer, "" when nothing is.
func unacceptable(w wire.Object) string {
	if err := w.Names().Check(); err != nil {
		return err.Error()
	}
	if w.Length < 0 || w.Priority >= wire.Classes || len(w.Study) > 1024 || len(w.Calling) > 64 || len(w.Modality) > 64 {
		return "length, priority, study, calling AE title or modality out of range"
	}
	return ""
}

// enter counts an offer against what Welcome granted, and against what all connections
// together may offer: when that is full it is for later.
func (n *session) enter(o *offer) (full bool, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.offers[o.Number] != nil {
		return false, fmt.Errorf("%w: offer %d twice", errProtocol, o.Number)
	}
	w := &n.window[o.Priority]
	if w.objects >= n.server.c.MaxObjects || w.objects > 0 && w.bytes >= n.server.c.MaxBytes {
		return false, fmt.Errorf("%w: %d offers of %d bytes in flight", errProtocol, w.objects, w.bytes)
	}
	if urgent := o.Priority == wire.Urgent; len(n.offers) >= fewOffers && !(urgent && w.objects < fewOffers) {
		if !n.server.offers.take(1) {
			return true, nil
		}
		o.counted = true
	}
	n.offers[o.Number] = o
	w.objects++
	w.bytes += o.Length
	return false, nil
}

// finish ends an offer: later Puts for it are discarded.
func (n *session) finish(o *offer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.offers[o.Number] == o {
		delete(n.offers, o.Number)
		n.window[o.Priority].objects--
		n.window[o.Priority].bytes -= o.Length
		if o.counted {
			n.server.offers.give(1)
		}
	}
}

// withdrawn ends the offers of objects that the appliance cannot read. What is here of
// one that is damaged there is dropped; it stays when there was an error of the disk.
func (n *session) withdrawn(problems []wire.Problem) {
	for _, p := range problems {
		n.rarely(slog.LevelWarn, "the appliance cannot read its copy", "object", p.ID, "damaged", p.Kind == wire.ProblemCopy)
		for _, o := range n.offersOf(p.ID) {
			n.finish(o)
			if p.Kind == wire.ProblemWithdrawn {
				o.claim.Release()
			} else {
				o.claim.Drop()
			}
		}
	}
}

func (n *session) offersOf(id wire.ID) (list []*offer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, o := range n.offers {
		if o.ID == id && o.claim != nil {
			list = append(list, o)
		}
	}
	return list
}

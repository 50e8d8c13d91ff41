package uplink

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"edged/internal/dicom"
	"edged/uplink/wire"
)

// writeControl writes offers and what else is to be said, all that waits at
// once, and looks from time to time whether the hub owes something for too long.
func (l *lane) writeControl(ctx context.Context) error {
	tick := time.NewTicker(l.u.c.StallAfter / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if l.stalled(time.Now()) {
				return errStalled
			}
		case <-l.write:
			if err := l.say(l.waiting()...); err != nil {
				return err
			}
		}
	}
}

// waiting takes what is to be said.
func (l *lane) waiting() []wire.Frame {
	l.mu.Lock()
	defer l.mu.Unlock()
	frames := l.says
	l.says, l.acks = nil, 0
	if len(l.found) > 0 {
		frames = append(frames, &wire.Findings{Findings: l.found})
		l.found = nil
	}
	if len(l.offers.Objects) > 0 {
		frames = append(frames, &wire.Offer{Objects: l.offers.Objects})
		l.offers.Objects = nil
	}
	return frames
}

// later has frames written by writeControl.
func (l *lane) later(frames ...wire.Frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.says = append(l.says, frames...)
	poke(l.write)
}

// maxAcks bounds the acknowledgements that wait until the hub reads, in numbers of
// news. A hub of ours has told about six thousand without an acknowledgement when it
// waits for some; one that tells on and on and reads nothing would have the
// appliance hold them for as long as writeWait. What the Keeper is given at once fits.
const maxAcks = 128 << 10

// frameWeight is what a frame weighs besides its numbers, so that small ones are
// not without number.
const frameWeight = 16

// acknowledge has an acknowledgement written by writeControl. Where too many wait
// it is dropped, and nothing is lost: what is not acknowledged stays in the outbox of
// the hub, which tells it again. To wait here instead would have two that do not read
// wait for each other.
func (l *lane) acknowledge(f *wire.ArchivedAck) {
	weight := frameWeight + len(f.Seqs)
	l.mu.Lock()
	room := len(f.Seqs) > 0 && l.acks+weight <= maxAcks
	if room {
		l.acks += weight
	}
	l.mu.Unlock()
	if room {
		l.later(f)
	}
}

// stalled reports whether the hub owes an answer or a receipt for too long.
func (l *lane) stalled(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.flights {
		if f.state != wanted && f.state != checking && f.state != receipted && now.Sub(f.since) > l.u.c.StallAfter {
			return true
		}
	}
	return false
}

// readControl takes what the hub says until the connection ends. Nothing in it
// waits for a disk, but for the Keeper when that is many pages behind.
func (l *lane) readControl(ctx context.Context) error {
	for {
		f, err := l.frames.Next()
		if err != nil {
			return err
		}
		if err := l.hear(ctx, f); err != nil {
			return err
		}
	}
}

// hear decides about one frame.
func (l *lane) hear(ctx context.Context, f wire.Frame) error {
	switch f := f.(type) {
	case *wire.Have:
		return l.have(f.Answers)
	case *wire.Receipt:
		if err := l.believe(f.Receipts); err != nil {
			return err
		}
		return l.forKeeper(ctx, f)
	case *wire.Archived:
		return l.forKeeper(ctx, f)
	case *wire.Trouble:
		return l.trouble(ctx, f)
	case *wire.Again:
		return l.again(ctx, f)
	case *wire.StudyAck:
		if !l.told.has(f) {
			return nil // an older one, or one that this lane did not tell
		}
		return l.forKeeper(ctx, f)
	case *wire.Bye, *wire.Echo:
		return nil // QUIC says Bye itself; an Echo shows that the hub is there, see alive
	}
	return fmt.Errorf("%w: type %d is not for an appliance", errProtocol, f.Type())
}

func (l *lane) forKeeper(ctx context.Context, f wire.Frame) error {
	select {
	case l.news <- f:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lie ends the connection: nothing of what the frame said was taken over.
func (l *lane) lie(format string, args ...any) error {
	l.u.countNotBelieved()
	return fmt.Errorf("%w: "+format, append([]any{errNotBelieved}, args...)...)
}

// have queues what the hub wants.
func (l *lane) have(answers []wire.Answer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range answers {
		f := l.numbers[a.Number]
		if f == nil {
			continue // ended here meanwhile
		}
		if f.ID != dicom.ID(a.ID) || f.state != offered || a.Offset < 0 || a.Offset > f.Length {
			return l.lie("an answer to offer %d that does not fit", a.Number)
		}
		f.offset, f.since = a.Offset, time.Now()
		switch {
		case a.All:
			f.state = needless
		case a.Offset == f.Length:
			f.state = sent
		default:
			l.queue(f, wanted)
		}
	}
	return nil
}

// queue hands f to the sender of its class. l.mu is held.
func (l *lane) queue(f *flight, s state) {
	f.state = s
	l.queues[f.Priority] = append(l.queues[f.Priority], f)
	poke(l.wake[f.Priority])
}

// believe checks a page of receipts against what is in flight: ID and length of an
// object whose bytes were all sent on this connection, or of which the
// hub said that it needs none (P11). One that does not fit condemns the page.
func (l *lane) believe(receipts []wire.Received) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range receipts {
		f := l.flights[dicom.ID(r.ID)]
		if f == nil || f.Length != r.Length || f.state != sent && f.state != needless {
			return l.lie("a receipt for %s", r.ID)
		}
	}
	for _, r := range receipts {
		l.flights[dicom.ID(r.ID)].state = receipted
	}
	return nil
}

// trouble sorts problems by kind.
func (l *lane) trouble(ctx context.Context, t *wire.Trouble) error {
	var refused wire.Trouble
	for _, p := range t.Problems {
		switch p.Kind {
		case wire.ProblemDestination, wire.ProblemLost:
			refused.Problems = append(refused.Problems, p)
		case wire.ProblemDigest:
			if err := l.mismatch(p.ID); err != nil {
				return err
			}
		case wire.ProblemOffer:
			if err := l.refusal(p); err != nil {
				return err
			}
		}
	}
	if len(refused.Problems) == 0 {
		return nil
	}
	return l.forKeeper(ctx, &refused)
}

func (l *lane) flight(id wire.ID) *flight {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.flights[dicom.ID(id)]
}

// mismatch has the copy here read again by the sender of its class.
func (l *lane) mismatch(id wire.ID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.flights[dicom.ID(id)]
	if f == nil || f.state != sent {
		return l.lie("a digest mismatch of %s, whose bytes were not sent", id)
	}
	l.queue(f, checking)
	return nil
}

// refusal ends an offer that the hub does not accept. It says so instead of an answer:
// what it asked for it cannot refuse any more. The object is as good as before.
func (l *lane) refusal(p wire.Problem) error {
	l.mu.Lock()
	f := l.flights[dicom.ID(p.ID)]
	fits := f != nil && f.state == offered
	l.mu.Unlock()
	if !fits {
		return l.lie("a refusal of %s, which waits for no answer", p.ID)
	}
	why, doubt := l.u.refused(l.addr, f.ID)
	level := slog.LevelError
	if why.Times > 1 { // it was said, and the page has it
		level = slog.LevelDebug
	}
	l.u.c.Logger.Log(context.Background(), level, "the hub refuses an offer", "hub", l.addr, "object", p.ID, "words", p.Words, "times", why.Times, "rests", why.Rest)
	l.giveBack(f, why)
	return doubt
}

// The pause that the hub may ask for is bounded both ways.
const minQuiet, maxQuiet = 100 * time.Millisecond, time.Minute

// again ends the offers that the hub gives up. Without IDs it is about all: a hub
// that is full is left alone for a while.
func (l *lane) again(ctx context.Context, a *wire.Again) error {
	pause := min(max(time.Duration(a.AfterMillis)*time.Millisecond, minQuiet), maxQuiet)
	switch {
	case len(a.IDs) == 0 && a.Reason == wire.AgainBusy:
		l.hush(pause)
		return nil
	case len(a.IDs) == 0:
		return l.forKeeper(ctx, a)
	}
	if a.Reason == wire.AgainShort {
		l.few(pause)
	}
	for _, id := range a.IDs {
		f := l.flight(id)
		switch {
		case f == nil || f.state == receipted:
		case a.Reason == wire.AgainShort:
			l.giveBack(f, &BusyError{Retry: pause/5 + rand.N(pause*4/5)})
		default:
			l.giveBack(f, &BusyError{Retry: l.rest(f.ID, pause)})
		}
	}
	return nil
}

// fewOffers of a connection are welcome however many there are of others.
const fewOffers = 8

// few has no more than these on offer at once for a while, besides urgent ones: what is
// beyond them would be refused, and a hub that is short has better to do.
func (l *lane) few(pause time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.short = time.Now().Add(pause)
	if l.relook != nil {
		l.relook()
	}
}

// hush pauses leasing, but of urgent objects: one of these must not wait because
// others do not fit.
func (l *lane) hush(pause time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.quiet = time.Now().Add(pause)
	if l.relook != nil {
		l.relook()
	}
}

// maxRest bounds how long an object rests that the hub refuses again and again.
const maxRest = 5 * time.Minute

// rest is how long an object rests that the hub has no room for. What is refused
// alone is too big for what is free there, and that seldom changes soon; what is
// refused because the hub is full comes back when the others do.
func (l *lane) rest(id dicom.ID, pause time.Duration) time.Duration {
	l.mu.Lock()
	full := time.Now().Before(l.quiet)
	l.mu.Unlock()
	if full {
		return pause
	}
	return min(pause<<l.u.refusedAgain(id), maxRest)
}

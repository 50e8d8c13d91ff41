package receive

import (
	"context"
	"fmt"
	"time"

	"edged/uplink/wire"
)

const (
	pageOfNews = 1000           // entries of the outbox in one go
	maxUnacked = 4 * pageOfNews // told and not acknowledged
	calmLooks  = 5              // an empty outbox is looked at after so many repetitions: Changed says when it is not
)

// push tells the appliance what is in its outbox, and tells it again after
// Repeat as long as something is not acknowledged. Of several connections of an
// appliance one does; where nothing is acknowledged, another one has its turn, soon if that
// one was heard later (relieve): this one may lead nowhere, though something on the way
// keeps it open.
//
// What stays unacknowledged for long, because the appliance knows of no receipt for
// it, holds up nothing behind it: where there is more than may be told at once, the
// next repetition goes on behind what was told, and begins anew at the end.
func (n *session) push(ctx context.Context) error {
	for {
		select {
		case <-n.speaks:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := n.speak(ctx); err != nil {
			return err
		}
	}
}

// page is how far the outbox was told on a connection, also while another one speaks.
type page struct {
	confirmed, troubled uint64 // up to here
	more                bool   // there was no room to tell on
	mark                int64  // to be taken by the appliance before it is told on
}

// speak returns nil when another connection is to speak.
func (n *session) speak(ctx context.Context) error {
	repeat := time.NewTicker(n.server.c.Repeat)
	defer repeat.Stop()
	var said, heard bool // since the last repetition
	calm := 0            // repetitions in a row with nothing to repeat
	for n.server.isSpeaker(n) {
		changed := n.server.c.Ledger.Changed(n.device)
		told, err := n.tell(ctx)
		if err != nil {
			return err
		}
		said, n.page.more = said || told, told
		if told && n.unacked.Load() < maxUnacked {
			continue
		}
		if told {
			changed = nil // acknowledgements first
		}
	wait:
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-n.speaks:
		case <-n.acked:
			heard = true
		case <-repeat.C:
			if calm++; !said && n.page.confirmed == 0 && n.page.troubled == 0 && calm%calmLooks != 0 {
				goto wait
			}
			n.unacked.Store(0)
			if !n.page.more {
				n.page = page{mark: n.page.mark}
			}
			if said && !heard && n.server.passOn(n) {
				return nil
			}
			said, heard = false, false
		}
	}
	return nil
}

// tell sends the next page of each kind and reports whether there was one.
func (n *session) tell(ctx context.Context) (bool, error) {
	if n.unacked.Load() >= maxUnacked {
		return true, nil
	}
	if err := n.quiet(ctx, n.page.mark); err != nil {
		return false, err
	}
	confirmations, err := n.server.c.Ledger.Confirmations(ctx, n.device, n.page.confirmed, pageOfNews)
	if err != nil {
		return false, fmt.Errorf("read confirmations: %w", err)
	}
	troubles, err := n.server.c.Ledger.Troubles(ctx, n.device, n.page.troubled, pageOfNews)
	if err != nil {
		return false, fmt.Errorf("read troubles: %w", err)
	}
	var frames []wire.Frame
	if len(confirmations) > 0 {
		n.page.confirmed = confirmations[len(confirmations)-1].Seq
		frames = append(frames, archived(confirmations))
	}
	if len(troubles) > 0 {
		n.page.troubled = troubles[len(troubles)-1].Seq
		frames = append(frames, refused(troubles))
	}
	if len(frames) == 0 {
		return false, nil
	}
	n.unacked.Add(int64(len(confirmations) + len(troubles)))
	n.settled()
	n.owes()
	n.say(frames...)
	n.page.mark = n.mark()
	return true, nil
}

func archived(list []Confirmation) *wire.Archived {
	f := &wire.Archived{Confirmations: make([]wire.Confirmed, len(list))}
	for i, c := range list {
		f.Confirmations[i] = wire.Confirmed{Seq: c.Seq, ID: wire.ID(c.ID), Length: c.Length, At: c.At.UnixMilli()}
	}
	return f
}

func refused(list []Trouble) *wire.Trouble {
	f := &wire.Trouble{Problems: make([]wire.Problem, len(list))}
	for i, t := range list {
		f.Problems[i] = wire.Problem{Seq: t.Seq, ID: wire.ID(t.ID), Kind: wire.ProblemDestination, Destination: t.Destination, Permanent: t.Permanent, Words: t.Words}
		if t.Lost {
			f.Problems[i] = wire.Problem{Seq: t.Seq, ID: wire.ID(t.ID), Kind: wire.ProblemLost, Words: t.Words}
		}
	}
	return f
}

// acknowledged takes out of the outbox what is durable at the appliance.
func (n *session) acknowledged(ctx context.Context, f *wire.ArchivedAck) error {
	acknowledge := n.server.c.Ledger.AcknowledgeConfirmations
	if f.Of == wire.AckTrouble {
		acknowledge = n.server.c.Ledger.AcknowledgeTroubles
	}
	if err := acknowledge(ctx, n.device, f.Seqs); err != nil {
		return fmt.Errorf("acknowledge: %w", err)
	}
	n.unacked.Add(-int64(len(f.Seqs)))
	poke(n.acked)
	return nil
}

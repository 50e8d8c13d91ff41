package receive_test

import (
	"context"
	"sync"
	"testing"

	"edged/hub"
	"edged/hub/receive"
	"edged/uplink/wire"
)

// goingLedger is about to remove the file of one object until that is gone.
type goingLedger struct {
	*ledger
	mu    sync.Mutex // guards going
	going hub.ID
}

func (l *goingLedger) Receive(ctx context.Context, list []hub.Object) error {
	l.mu.Lock()
	going := l.going
	l.mu.Unlock()
	for _, o := range list {
		if o.ID == going {
			return &receive.GoingError{ID: going}
		}
	}
	return l.ledger.Receive(ctx, list)
}

// An object whose file is being removed is to come again later. Who comes with it has
// the receipts, no session ends, and later it has its own without a byte sent again.
func TestWhatIsBeingRemovedIsToComeAgain(t *testing.T) {
	w := newWorld(t)
	w.carrier = "tcp"
	o, _ := wireObject(1, 1, 1000)
	l := &goingLedger{ledger: w.ledger, going: hub.ID(o.ID)}
	w.change = func(c *receive.Config) { c.Ledger = l }
	w.start()
	a := hello(t, w.dial("a"), "data")
	a.sends(1, 3, 1000, wire.Routine)
	receipts, again := 0, 0
	for receipts+again < 3 {
		switch f := a.hear().(type) {
		case *wire.Receipt:
			receipts += len(f.Receipts)
		case *wire.Again:
			again += len(f.IDs)
			if len(f.IDs) != 1 || f.IDs[0] != o.ID {
				t.Errorf("again: %+v", f)
			}
		case *wire.Archived: // of the others
		default:
			t.Fatalf("%T", f)
		}
	}
	if receipts != 2 || again != 1 {
		t.Errorf("%d receipts, %d to come again", receipts, again)
	}
	l.mu.Lock()
	l.going = hub.ID{}
	l.mu.Unlock()
	o.Number = 9
	a.say(&wire.Offer{Objects: []wire.Object{o}})
	for {
		switch f := a.hear().(type) {
		case *wire.Receipt:
			return
		case *wire.Have:
			if f.Answers[0].Offset != o.Length {
				t.Fatalf("%d bytes of it are here", f.Answers[0].Offset)
			}
		case *wire.Archived: // of the others
		default:
			t.Fatalf("%T", f)
		}
	}
}

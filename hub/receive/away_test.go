package receive_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"edged/hub"
	"edged/hub/receive"
	"edged/uplink/wire"
)

// awayLedger has rows that cannot be read any more.
type awayLedger struct {
	*ledger
	mu  sync.Mutex // guards err
	err error
}

func (l *awayLedger) Known(ctx context.Context, device string, ids []hub.ID) (map[hub.ID]int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, l.err
	}
	return l.ledger.Known(ctx, device, ids)
}

// sqlState is what a database server says.
type sqlState string

func (s sqlState) Error() string    { return "the server says " + string(s) }
func (s sqlState) SQLState() string { return string(s) }

// P6: when the database goes away in the middle of a session, appliances go to another
// node or come back soon; an error of the hub itself makes them pause.
func TestADatabaseThatGoesAwaySendsAppliancesOn(t *testing.T) {
	for _, c := range []struct {
		err  error
		code uint64
	}{
		{&net.OpError{Op: "dial", Err: errors.New("connection refused")}, wire.ByeLeaving},
		{io.ErrUnexpectedEOF, wire.ByeLeaving},
		{context.DeadlineExceeded, wire.ByeLeaving},
		{sqlState("57P01"), wire.ByeLeaving}, // it is shut down
		{sqlState("53300"), wire.ByeLeaving}, // too many connections
		{sqlState("23505"), wire.ByeInternal},
		{errors.New("something else"), wire.ByeInternal},
	} {
		overBoth(t, func(t *testing.T, w *world) {
			l := &awayLedger{ledger: w.ledger}
			w.change = func(c *receive.Config) { c.Ledger = l }
			w.start()
			r := hello(t, w.dial("one"), "data")
			r.sends(1, 1, 1000, wire.Routine)
			l.mu.Lock()
			l.err = fmt.Errorf("query: %w", c.err)
			l.mu.Unlock()
			o, _ := wireObject(2, 2, 1000)
			r.say(&wire.Offer{Objects: []wire.Object{o}})
			r.closed(c.code)
		})
	}
}

// What no DICOM UID can be is not passed on, and acknowledged: the appliance neither says
// it for ever nor is its connection ended for it. Rows get no study of such a name.
func TestALongStudyUIDIsNoPoison(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		var mu sync.Mutex // guards told
		var told []string
		w.change = func(c *receive.Config) {
			c.Notice = func(_ context.Context, _ string, f wire.Frame) error {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, f.(*wire.Study).UID)
				return nil
			}
		}
		w.start()
		r := hello(t, w.dial("one"), "data")
		long, good := strings.Repeat("1.2", 1300), "1.2."+strings.Repeat("3", 60)
		for _, uid := range []string{long, good} {
			r.say(&wire.Study{UID: uid, State: wire.StudyComplete, Revision: 1, Count: 1})
			if ack, ok := r.hear().(*wire.StudyAck); !ok || ack.UID != uid || ack.Revision != 1 {
				t.Fatalf("%d bytes are answered with %T", len(uid), ack)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if len(told) != 1 || told[0] != good {
			t.Errorf("%d studies were passed on", len(told))
		}
		o, data := wireObject(1, 1, 1000)
		o.Study = long[:1000]
		r.say(&wire.Offer{Objects: []wire.Object{o}})
		r.hear()
		r.put(1, 0, data)
		if f, ok := r.hear().(*wire.Receipt); !ok {
			t.Fatalf("an object of such a study: %+v", f)
		}
		if rows := w.ledger.list(); len(rows) != 1 || rows[0].Study != "" {
			t.Errorf("its row is of a study of %d bytes", len(rows[0].Study))
		}
	})
}

package receive_test

import (
	"context"
	"encoding/binary"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"edged/hub"
	"edged/hub/receive"
)

// countingLedger counts what is read of the outbox.
type countingLedger struct {
	*ledger
	read atomic.Int64
}

func (l *countingLedger) Confirmations(ctx context.Context, device string, after uint64, limit int) ([]receive.Confirmation, error) {
	list, err := l.ledger.Confirmations(ctx, device, after, limit)
	l.read.Add(int64(len(list)))
	return list, err
}

// TestWhoReadsNothingIsToldOnePage: an archive confirmed a hundred thousand objects
// while an appliance was away. As long as it does not read, the hub holds one page of
// them; the rest stays in the ledger (P9).
func TestWhoReadsNothingIsToldOnePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &countingLedger{ledger: newLedger()}
		for i := range uint64(100_000) {
			o := hub.Object{Device: "one", Length: 5}
			binary.BigEndian.PutUint64(o.ID[:], i)
			l.add(o)
		}
		_, r, ended := bubble(t, func(c *receive.Config) { c.Ledger = l })
		hello(t, r, "data") // and nothing more is read
		time.Sleep(20 * time.Second)
		if n := l.read.Load(); n == 0 || n > 1000 {
			t.Errorf("%d confirmations were read for an appliance that does not read", n)
		}
		<-ended
		r.hangUp()
	})
}

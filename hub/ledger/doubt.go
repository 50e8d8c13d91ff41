package ledger

import (
	"context"
	"errors"
	"fmt"
)

// doubt is a lease of which nobody knows whether it was made: the database went away
// while it was written. Nobody works on its jobs, or its delivery, and they would wait for its end.
type doubt struct {
	jobs     []Job
	delivery *Delivery // of an event, instead of jobs
	until    int64     // with the node it says which lease: another one of these ends at another time
}

// inDoubt keeps what err leaves in doubt. It is bounded: whoever leases settles it first.
func (l *Ledger) inDoubt(err error, d doubt) {
	if len(d.jobs) == 0 && d.delivery == nil || !errors.Is(err, errUnknown) {
		return
	}
	l.doubtMu.Lock()
	defer l.doubtMu.Unlock()
	l.doubts = append(l.doubts, d)
}

// freeDoubtful frees what was leased for nobody, now that the database is back.
func (l *Ledger) freeDoubtful(ctx context.Context) error {
	l.doubtMu.Lock()
	list := l.doubts
	l.doubts = nil
	l.doubtMu.Unlock()
	if len(list) == 0 {
		return nil
	}
	err := l.change(ctx, func(b *batch) error {
		for _, d := range list {
			if err := b.freeDoubt(d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		l.doubtMu.Lock()
		defer l.doubtMu.Unlock()
		l.doubts = append(l.doubts, list...)
		return fmt.Errorf("free what was leased for nobody: %w", err)
	}
	return nil
}

func (b *batch) freeDoubt(d doubt) error {
	for _, j := range d.jobs {
		n, err := b.exec(`UPDATE jobs SET state = 'pending', next_at = 0 WHERE seq = ? AND lease = ? AND state = 'leased' AND node = ? AND lease_until = ?`+theSame,
			j.sameArgs(j.Seq, j.Lease, b.config.Node, d.until)...)
		if err != nil {
			return err
		}
		b.jobsGrew = b.jobsGrew || n > 0
	}
	if e := d.delivery; e != nil {
		b.awake[studiesKey] = struct{}{}
		_, err := b.exec(`UPDATE deliveries SET state = 'pending' WHERE seq = ? AND lease = ? AND state = 'leased' AND node = ? AND lease_until = ?`+theSameEvent,
			e.sameArgs(e.Seq, e.Lease, b.deliveryNode(), d.until)...)
		return err
	}
	return nil
}

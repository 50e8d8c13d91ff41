package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// maxEarlyStudies is how many studies one device may have spoken of and sent nothing
	// of: a UID costs nothing to invent, and each is looked at every five minutes for a day.
	maxEarlyStudies = 20_000
	// saidKept is how long what it said of such a study stays.
	saidKept = 90 * 24 * time.Hour
)

// ErrStudies means that a device has spoken of too many studies of which it has sent
// nothing. It may say it again when it has.
var ErrStudies = errors.New("too many studies of which nothing was sent")

// sentSome is true for what was said, s, when the device has sent something of the study.
const sentSome = `EXISTS (SELECT 1 FROM objects p WHERE p.study = s.study
	AND (p.device = s.device OR EXISTS (SELECT 1 FROM receipts q WHERE q.id = p.id AND q.device = s.device)))`

// fewSaid refuses a device that has spoken of too many studies, before that costs others
// anything. Of those that it has sent something of, and has spoken of before, it may go on.
func (l *Ledger) fewSaid(ctx context.Context, device, uid string) error {
	var early int
	err := l.read.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 AS one FROM studies_said WHERE device = ? AND received = 0 LIMIT ?) AS early`, device, l.mostEarly).Scan(&early)
	if err != nil || early < l.mostEarly {
		return err
	}
	var more bool
	err = l.read.QueryRowContext(ctx, `SELECT NOT EXISTS (SELECT 1 FROM studies_said t WHERE t.study = s.study AND t.device = s.device) AND NOT `+sentSome+`
		FROM (SELECT CAST(? AS TEXT) AS study, CAST(? AS TEXT) AS device) AS s`, uid, device).Scan(&more)
	if err == nil && more {
		err = ErrStudies
	}
	return err
}

// sent marks what was said of a study that its device has sent something of.
func (b *batch) sent(uid string) error {
	_, err := b.exec(`UPDATE studies_said AS s SET received = 1 WHERE s.study = ? AND s.received = 0 AND `+sentSome, uid)
	return err
}

// PruneStudies forgets at most limit studies that a device spoke of long ago, and of which
// nothing has come, and reports how many.
func (l *Ledger) PruneStudies(ctx context.Context, limit int) (n int64, err error) {
	before := l.millis() - saidKept.Milliseconds()
	rows, err := l.read.QueryContext(ctx, `SELECT study FROM studies_said WHERE received = 0 AND at <= ? LIMIT ?`, before, limit)
	if err != nil {
		return 0, fmt.Errorf("old studies: %w", err)
	}
	old, err := collect[string](rows)
	if err != nil || len(old) == 0 {
		return 0, err
	}
	err = l.change(ctx, func(b *batch) error {
		n = 0
		for _, uid := range old {
			if err := b.sent(uid); err != nil {
				return err
			}
			gone, err := b.exec(`DELETE FROM studies_said WHERE study = ? AND received = 0 AND at <= ?`, uid, before)
			if err != nil {
				return err
			}
			n += gone
			if _, err := b.exec(`DELETE FROM studies WHERE study = ?1 AND revision = 0 AND NOT EXISTS (SELECT 1 FROM studies_said t WHERE t.study = ?1)`, uid); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("old studies: %w", err)
	}
	return n, nil
}

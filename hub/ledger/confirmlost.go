package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"edged/hub"
)

// ErrSeveralLost means that an object is lost on its way to several destinations, and one
// must be named.
var ErrSeveralLost = errors.New("it is lost on its way to several destinations: say which one has it")

// ConfirmLost says, in the name of actor, that a person has seen this object in the
// archive at destination (empty: the only one that it was lost for), though the hub lost
// its copy and no appliance has sent it again: the answer of that archive was lost too, or
// it came there in another way. words are what that person says, for the trail; they must
// not be empty. Where it is archived by that, appliances are told so as ever.
func (l *Ledger) ConfirmLost(ctx context.Context, id hub.ID, destination, actor, words string) error {
	words = strings.TrimSpace(oneLine(words))
	if words == "" {
		return errors.New("say who has seen the image, where and when: it stands in the audit trail")
	}
	return l.change(ctx, func(b *batch) error {
		if err := b.agrees(); err != nil {
			return err
		}
		to, object, err := b.lostFor(id, destination)
		if err != nil {
			return fmt.Errorf("confirm %s: %w", id, err)
		}
		if _, err := b.exec(`UPDATE jobs SET state = 'done', lost = 0, done_at = ?, words = '' WHERE object = ? AND destination = ? AND state = 'permanent' AND lost = 1`, b.now, object, to); err != nil {
			return err
		}
		if err := b.audit(actor, "confirm lost", id.String(), to+": "+words); err != nil {
			return err
		}
		return b.archive(object)
	})
}

// lostFor finds the destination that an object was lost for.
func (b *batch) lostFor(id hub.ID, destination string) (to string, object int64, err error) {
	s, err := b.stmt(`SELECT j.destination, j.object FROM jobs j JOIN objects o ON o.seq = j.object
		WHERE o.id = ?1 AND j.state = 'permanent' AND j.lost = 1 AND (?2 = '' OR j.destination = ?2) ORDER BY j.destination`)
	if err != nil {
		return "", 0, err
	}
	rows, err := s.Query(id[:], destination)
	if err != nil {
		return "", 0, err
	}
	n := 0
	err = eachRow(rows, func(scan func(...any) error) error {
		n++
		return scan(&to, &object)
	})
	switch {
	case err != nil:
	case n == 0:
		err = errors.New("it has no job that is lost")
	case n > 1:
		err = ErrSeveralLost
	}
	return to, object, err
}

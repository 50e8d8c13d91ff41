package account

import "time"

// maxLapsed that are still to be told; a log-in is told before it is one, so that there
// are more only if nobody calls Lapse.
const maxLapsed = 4 * sessionsAll

// Lapse ends the sessions that are over, and tells of all that have ended by themselves
// since the last call. To be called about once a minute. After an error the audit trail
// hears of the rest with the next call.
func (b *Book) Lapse() error {
	b.mu.Lock()
	now := b.cfg.Now()
	b.lapse(now, func(s *session) bool { return b.over(s, now) })
	events := b.lapsed
	b.lapsed = nil
	b.mu.Unlock()
	for i, e := range events {
		if err := b.cfg.Audit.Note(e); err != nil {
			b.mu.Lock()
			b.lapsed = append(events[i:], b.lapsed...)
			b.mu.Unlock()
			return err
		}
	}
	return nil
}

// lapse ends sessions that end by themselves. The caller holds mu; Lapse tells.
func (b *Book) lapse(now time.Time, which func(*session) bool) {
	b.dropSessions(func(s *session) bool {
		ends := which(s)
		if ends && len(b.lapsed) < maxLapsed {
			b.lapsed = append(b.lapsed, Event{At: now, Action: Lapsed, Account: s.name, Address: s.address})
		}
		return ends
	})
}

package events

import (
	"database/sql"
	"strings"
	"testing"
	"time"
)

// noRoom has the rows take no outcome until room is called. A study waits to be told of.
func (r *rig) noRoom() (room func()) {
	r.Helper()
	other, err := sql.Open("sqlite", "file:"+r.path+"?_pragma=busy_timeout(60000)")
	r.must(err)
	r.Cleanup(func() { other.Close() })
	_, err = other.Exec(`CREATE TRIGGER full BEFORE UPDATE ON deliveries WHEN NEW.state = 'done' BEGIN SELECT RAISE(ABORT, 'no room'); END`)
	r.must(err)
	r.receive("one", "1.2.3", 1, header())
	r.archive()
	r.say("one", "1.2.3", 1, 1)
	return func() {
		_, err := other.Exec(`DROP TRIGGER full`)
		r.must(err)
	}
}

// notRecorded waits until an outcome was refused.
func (r *rig) notRecorded(m *memory) {
	r.Helper()
	m.until(r.T, func() bool {
		r.logMu.Lock()
		defer r.logMu.Unlock()
		return strings.Contains(r.log.String(), "outcome of a study event not recorded")
	})
}

// A moment in which the rows could not be written, because the disk was full, keeps no
// study waiting until a lease has run out (15 min): what the sink has is written down as
// soon as that is possible, and it is not told again.
func TestAnOutcomeThatCouldNotBeRecordedIsRecordedSoon(t *testing.T) {
	r, m := newRig(t), &memory{}
	room := r.noRoom()
	r.run(r.config(m))
	r.notRecorded(m)
	room()
	m.until(t, func() bool {
		s, err := r.ledger.EventStats(t.Context(), []string{"memory"})
		return err == nil && s.Sinks["memory"].Waiting == 0
	})
	r.receive("one", "1.2.3", 2, header(map[uint32]string{0x00200013: "2"}))
	r.archive()
	m.wait(t, 2) // the next of the study did not wait either
}

// It ends with the process, however long the pause.
func TestAnOutcomeThatCannotBeRecordedHoldsUpNoEnd(t *testing.T) {
	r, m := newRig(t), &memory{}
	r.noRoom()
	c := r.config(m)
	c.Reach = Backoff{time.Hour, time.Hour}
	stop := r.run(c)
	r.notRecorded(m)
	stop()
}

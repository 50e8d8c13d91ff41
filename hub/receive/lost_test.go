package receive_test

import (
	"errors"
	"testing"

	"edged/hub"
	"edged/hub/receive"
	"edged/internal/dicom"
	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

// P14: the appliance is told what the hub lost until that is durable there, and
// sends it again; what the archive has, it does not send again.
func TestWhatTheHubLostIsToldUntilItIsKeptAndComesAgain(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.ledger.hold = true
		w.start()
		source := uplinktest.NewSource()
		gone := source.Add(1, 300_000, wire.Routine)
		kept := source.Add(2, 300_000, wire.Routine)
		w.appliance("one", source, nil)
		waitFor(t, source, uplinktest.AtHub)
		source.With(func(s *uplinktest.Source) {
			kept.State = uplinktest.Archived
			s.FailKeep = errors.New("disk on fire")
		})
		if _, err := w.store.Remove([]dicom.ID{gone.ID}); err != nil {
			t.Fatal(err)
		}
		w.ledger.lose("one", gone.ID, kept.ID)
		eventually(t, "it to be here again", func() bool { return w.same(gone) == nil })
		eventually(t, "the news to be acknowledged", func() bool {
			list, err := w.ledger.Troubles(t.Context(), "one", 0, 9)
			return err == nil && len(list) == 0
		})
		source.With(func(s *uplinktest.Source) {
			if s.FailKeep != nil || s.Losses < 2 || kept.State != uplinktest.Archived || len(kept.Offsets) != 1 {
				t.Errorf("told %d, other object %d sent from %v", s.Losses, kept.State, kept.Offsets)
			}
		})
	})
}

// lose forgets receipts and says so.
func (l *ledger) lose(device string, ids ...hub.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		l.seq++
		delete(l.objects[device], id)
		l.troubles[device] = append(l.troubles[device], receive.Trouble{Seq: l.seq, ID: id, Lost: true})
	}
	l.wake()
}

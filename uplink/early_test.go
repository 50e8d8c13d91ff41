package uplink

import (
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"edged/internal/dicom"
	"edged/uplink/wire"
)

func sayArchived(t *testing.T, l *lane, id dicom.ID) {
	t.Helper()
	if err := l.archived(t.Context(), []wire.Frame{&wire.Archived{Confirmations: []wire.Confirmed{{Seq: 7, ID: wire.ID(id), Length: 5}}}}); err != nil {
		t.Fatal(err)
	}
}

func sayReceipt(t *testing.T, l *lane, id dicom.ID) {
	t.Helper()
	l.flights[id] = &flight{Object: Object{ID: id, Length: 5}, number: 1, state: receipted}
	if err := l.atHub(t.Context(), []wire.Frame{&wire.Receipt{Receipts: []wire.Received{{ID: wire.ID(id), Length: 5}}}}); err != nil {
		t.Fatal(err)
	}
}

func mute() (*scribe, *Uplink, func(ledger string) *lane) {
	s := &scribe{endless: endless{wake: make(chan struct{}, 1)}}
	u := &Uplink{c: Config{Source: s, Keeper: s, Logger: slog.New(slog.DiscardHandler)}, early: map[dicom.ID]earlyWord{}, aside: map[string]time.Time{}}
	return s, u, func(ledger string) *lane {
		return &lane{u: u, ledger: Ledger{ID: ledger}, flights: map[dicom.ID]*flight{}, numbers: map[uint64]*flight{}, room: make(chan struct{}, 1), write: make(chan struct{}, 1)}
	}
}

// TestAnEarlyConfirmationOfAnotherLedgerCountsForNothing: a node that is wrong, or
// lies, says archived of what it never had; the receipt of another hub makes that
// not true.
func TestAnEarlyConfirmationOfAnotherLedgerCountsForNothing(t *testing.T) {
	s, u, lane := mute()
	id := dicom.ID{1}
	sick, good := lane("sick"), lane("good")
	sayArchived(t, sick, id)
	u.judge(newNodes([]string{"sick", "good"}, 1, 2), &node{addr: "sick"}, 0, errNotBelieved) // set aside
	sayReceipt(t, good, id)
	if slices.Contains(s.told, "archived") {
		t.Errorf("the Keeper was told %q: the good hub never said that it is archived", s.told)
	}
}

// TestALossVoidsAnEarlyConfirmation as it voids a receipt.
func TestALossVoidsAnEarlyConfirmation(t *testing.T) {
	s, u, lane := mute()
	id := dicom.ID{1}
	l := lane("l")
	sayArchived(t, l, id)
	if err := u.lostAtHub(t.Context(), []dicom.ID{id}); err != nil && !errors.As(err, new(*EarlyError)) {
		t.Fatal(err)
	}
	sayReceipt(t, l, id)
	if slices.Contains(s.told, "archived") {
		t.Errorf("the Keeper was told %q", s.told)
	}
}

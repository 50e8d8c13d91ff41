package uplink

import (
	"context"
	"log/slog"
	"slices"
	"testing"

	"edged/internal/dicom"
	"edged/uplink/wire"
)

// scribe writes down what a Keeper is told, in its order.
type scribe struct {
	endless
	told []string
}

func (s *scribe) AtHub(_ context.Context, r []Receipt) error {
	for range r {
		s.told = append(s.told, "at hub")
	}
	return nil
}

func (s *scribe) Archived(_ context.Context, list []Confirmation) error {
	early := &EarlyError{}
	for _, c := range list {
		if s.told == nil {
			early.IDs = append(early.IDs, c.ID)
			continue
		}
		s.told = append(s.told, "archived")
	}
	if len(early.IDs) > 0 {
		return early
	}
	return nil
}

func (s *scribe) Lost(context.Context, []dicom.ID) error {
	s.told = append(s.told, "lost")
	return nil
}

func (s *scribe) Return(_ Object, why error) { s.told = append(s.told, "returned: "+why.Error()) }

// TestAReceiptOlderThanTheLossOnAnotherLane: two lanes are two orders. What the
// hub has lost must not be taken to be there because its receipt was slower.
func TestAReceiptOlderThanTheLossOnAnotherLane(t *testing.T) {
	s := &scribe{endless: endless{wake: make(chan struct{}, 1)}}
	u := &Uplink{c: Config{Source: s, Keeper: s}}
	slow := &lane{u: u, flights: map[dicom.ID]*flight{}, numbers: map[uint64]*flight{}, room: make(chan struct{}, 1)}
	id := dicom.ID{1}
	slow.flights[id] = &flight{Object: Object{ID: id, Length: 5}, number: 1, state: needless}
	u.lanes = []*lane{slow}
	if err := u.lostAtHub(t.Context(), []dicom.ID{id}); err != nil {
		t.Fatal(err)
	}
	receipt := []wire.Received{{ID: wire.ID(id), Length: 5}}
	if err := slow.believe(receipt); err != nil {
		t.Fatalf("a receipt that is late is no lie: %v", err)
	}
	if err := slow.atHub(t.Context(), []wire.Frame{&wire.Receipt{Receipts: receipt}}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"lost", "returned: " + ErrLost.Error()}; !slices.Equal(s.told, want) {
		t.Errorf("the Keeper and the Source were told %q, want %q", s.told, want)
	}
}

// TestAConfirmationThatOvertookItsReceipt is not acknowledged, and counts as soon as
// the receipt is kept: nobody waits for the hub to say it again.
func TestAConfirmationThatOvertookItsReceipt(t *testing.T) {
	s := &scribe{endless: endless{wake: make(chan struct{}, 1)}}
	u := &Uplink{c: Config{Source: s, Keeper: s, Logger: slog.New(slog.DiscardHandler)}, early: map[dicom.ID]earlyWord{}}
	l := &lane{u: u, flights: map[dicom.ID]*flight{}, numbers: map[uint64]*flight{}, room: make(chan struct{}, 1), write: make(chan struct{}, 1)}
	id := dicom.ID{1}
	if err := l.archived(t.Context(), []wire.Frame{&wire.Archived{Confirmations: []wire.Confirmed{{Seq: 7, ID: wire.ID(id), Length: 5}}}}); err != nil {
		t.Fatal(err)
	}
	if len(l.says) != 0 {
		t.Errorf("acknowledged: %+v", l.says)
	}
	l.flights[id] = &flight{Object: Object{ID: id, Length: 5}, number: 1, state: receipted}
	if err := l.atHub(t.Context(), []wire.Frame{&wire.Receipt{Receipts: []wire.Received{{ID: wire.ID(id), Length: 5}}}}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"at hub", "archived"}; !slices.Equal(s.told, want) || len(u.early) != 0 {
		t.Errorf("the Keeper was told %q, want %q", s.told, want)
	}
}

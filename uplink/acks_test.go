package uplink

import (
	"slices"
	"testing"

	"edged/uplink/wire"
)

// pageOf is a page of confirmations, or of refusals, from seq on.
func pageOf(kind wire.Type, seq uint64) wire.Frame {
	if kind == wire.TypeTrouble {
		f := &wire.Trouble{}
		for i := range uint64(wire.MaxItems) {
			f.Problems = append(f.Problems, wire.Problem{Seq: seq + i, Kind: wire.ProblemDestination})
		}
		return f
	}
	f := &wire.Archived{}
	for i := range uint64(wire.MaxItems) {
		f.Confirmations = append(f.Confirmations, wire.Confirmed{Seq: seq + i, Length: 5})
	}
	return f
}

// TestAHubThatTellsAndReadsNothingTakesNoMemory: a hub goes on telling and takes no
// acknowledgement. What waits for it is bounded; what was dropped is acknowledged when
// it is told again, after the hub has read (P9).
func TestAHubThatTellsAndReadsNothingTakesNoMemory(t *testing.T) {
	for _, kind := range []wire.Type{wire.TypeArchived, wire.TypeTrouble} {
		s, _, lane := mute()
		l := lane("l")
		s.told = []string{"at hub"} // so nothing is early
		const pages = 60
		for i := range uint64(pages) {
			s.told = s.told[:1]
			if err := l.keepBatch(t.Context(), []wire.Frame{pageOf(kind, 1+i*wire.MaxItems)}); err != nil {
				t.Fatal(err)
			}
		}
		waiting := acknowledged(l.waiting())
		if n := len(waiting); n > maxAcks || n < maxAcks/2 {
			t.Errorf("type %d: %d of %d numbers wait for a hub that reads nothing, want up to %d", kind, n, pages*wire.MaxItems, maxAcks)
		}
		last := pageOf(kind, 1+(pages-1)*wire.MaxItems)
		if err := l.keepBatch(t.Context(), []wire.Frame{last}); err != nil {
			t.Fatal(err)
		}
		if again := acknowledged(l.waiting()); len(again) != wire.MaxItems || slices.Contains(waiting, again[0]) {
			t.Errorf("type %d: told again, %d are acknowledged", kind, len(again))
		}
	}
}

// TestSmallAcknowledgementsAreBoundedToo: one number a frame.
func TestSmallAcknowledgementsAreBoundedToo(t *testing.T) {
	_, _, lane := mute()
	l := lane("l")
	for seq := range uint64(maxAcks) {
		l.acknowledge(&wire.ArchivedAck{Seqs: []uint64{seq + 1}})
	}
	if n := len(l.waiting()); n > maxAcks/frameWeight {
		t.Errorf("%d frames wait", n)
	}
}

// TestWhatTheKeeperIsGivenAtOnceIsAcknowledged: all pages that may wait for it.
func TestWhatTheKeeperIsGivenAtOnceIsAcknowledged(t *testing.T) {
	s, _, lane := mute()
	l := lane("l")
	s.told = []string{"at hub"}
	batch := make([]wire.Frame, 1+pagesBehind)
	for i := range batch {
		batch[i] = pageOf(wire.TypeArchived, 1+uint64(i)*wire.MaxItems)
	}
	if err := l.keepBatch(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if n := len(acknowledged(l.waiting())); n != len(batch)*wire.MaxItems {
		t.Errorf("%d of %d are acknowledged", n, len(batch)*wire.MaxItems)
	}
}

func acknowledged(frames []wire.Frame) (seqs []uint64) {
	for _, f := range frames {
		seqs = append(seqs, f.(*wire.ArchivedAck).Seqs...)
	}
	return seqs
}

package main

import (
	"bytes"
	"testing"
	"time"

	"edged/dimse"
	"edged/internal/dicom"
	"edged/uplink"
	"edged/uplink/wire"
)

func (h *house) takeFrom(t *testing.T, calling, sop string) {
	t.Helper()
	rq := dimse.StoreRequest{SOPClassUID: "1.2.840.10008.5.1.4.1.1.2", SOPInstanceUID: sop, TransferSyntaxUID: dicom.ImplicitVRLittleEndian}
	if st, err := h.door.store(t.Context(), 1, caller{calling: calling, called: "EDGED", address: "127.0.0.1"}, rq, bytes.NewReader(readable("CT"))); err != nil {
		t.Fatalf("%v: %v", st, err)
	}
}

// DESIGN 7: what waits leaves in turns between the modalities, by their calling titles.
func TestModalitiesTakeTurns(t *testing.T) {
	h := newHouse(t, func(*Config) {})
	for n := range 20 {
		h.takeFrom(t, "CT1", dicomUID(n))
	}
	for n := range 3 {
		h.takeFrom(t, "US1", dicomUID(100+n))
	}
	got := ""
	for range 6 {
		o, err := h.sender.feed.Lease(t.Context(), wire.Backfill)
		ok(t, err)
		got += o.Calling + " "
	}
	if want := "CT1 US1 CT1 US1 CT1 US1 "; got != want {
		t.Errorf("left: %s, want %s", got, want)
	}
	if senderOf([]byte("no CBOR at all")) != "" {
		t.Error("what cannot be read has a sender")
	}
}

func dicomUID(n int) string {
	return "2.25." + string(rune('1'+n/100)) + string(rune('0'+n/10%10)) + string(rune('0'+n%10))
}

// The studies of the page know how far they are from the lease to the receipt, by
// what the uplink says, and nothing of it names a person.
func TestAStudyOnItsWayShowsItsProgress(t *testing.T) {
	h := newHouse(t, func(*Config) {})
	o := h.take(t, append(readable("CT"), bytes.Repeat([]byte{0}, 1<<20)...))
	if p := h.view.Studies(1)[0].Progress; p == nil || p.SentBytes != 0 || p.TotalBytes != o.Length || !p.EndsAt.IsZero() {
		t.Fatalf("waits: %+v", p)
	}
	if n := len(h.view.Moving(10)); n != 0 {
		t.Errorf("%d studies move before anything does", n)
	}
	u, err := h.sender.feed.Lease(t.Context(), wire.Backfill)
	ok(t, err)
	now := time.Now()
	h.view.going.now = func() time.Time { return now }
	for sent := int64(1 << 16); sent < o.Length; sent += 1 << 16 {
		h.sender.feed.going.sent(u, sent)
		now = now.Add(time.Second)
	}
	p := h.view.Studies(1)[0].Progress
	if p == nil || p.SentBytes != 1<<20 || p.RateBitsPerSecond < 7*1<<16 || p.RateBitsPerSecond > 9*1<<16 || p.EndsAt.Before(now) {
		t.Errorf("on its way: %+v", p)
	}
	if m := h.view.Moving(10); len(m) != 1 || m[0].Key != h.view.Studies(1)[0].Key || m[0].Progress.SentBytes != 1<<20 {
		t.Errorf("moving: %+v", m)
	}
	if left := h.view.Status().Uplink.BytesLeft; left.Routine != 1<<20 {
		t.Errorf("bytes by class: %+v", left)
	}
	if n := h.view.Status().Uplink.BacklogStudies; n != 1 {
		t.Errorf("%d studies wait, want 1", n)
	}
	h.sender.feed.Return(u, uplink.ErrLost)
	if p := h.view.Studies(1)[0].Progress; p == nil || p.SentBytes != 0 {
		t.Errorf("given back: %+v", p)
	}
	_, err = h.sender.feed.Lease(t.Context(), wire.Backfill)
	ok(t, err)
	ok(t, h.sender.feed.AtHub(t.Context(), []uplink.Receipt{{ID: dicom.ID(o.ID), Length: o.Length}}))
	if s := h.view.Studies(1)[0]; s.Progress != nil || s.Hops.AtHub != 1 {
		t.Errorf("arrived: %+v", s)
	}
	if n := len(h.view.going.flying); n != 0 {
		t.Errorf("%d objects are still flying", n)
	}
}

// BenchmarkSenderOf is what a start pays for each object to know whose turn it takes.
func BenchmarkSenderOf(b *testing.B) {
	m := Meta{TransferSyntax: dicom.ImplicitVRLittleEndian, SOPClass: "1.2.840.10008.5.1.4.1.1.2", SOPInstance: dicomUID(7), Study: dicomUID(8), Series: dicomUID(9),
		Modality: "CT", StudyDate: "20261121", Calling: "CT1", Called: "EDGED", Remote: "10.0.0.5"}.encode()
	for b.Loop() {
		if senderOf(m) != "CT1" {
			b.Fatal("somebody else")
		}
	}
}

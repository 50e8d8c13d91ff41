package main

import (
	"path/filepath"
	"strings"
	"testing"

	"edged/agent/status"
	"edged/internal/dicom"
	"edged/spool"
	"edged/uplink"
)

// What the archive has is not called lost (P2, P14): the receipt was lost with its
// connection, then the copy here went bad, so it is not offered and no receipt comes.
// The hub says once that it is archived, is told that this is known here, and the page
// has nothing to alarm about.
func TestWhatTheArchiveHasIsNotCalledLost(t *testing.T) {
	h := newHouse(t, func(*Config) {})
	o := h.take(t, readable(strings.Repeat("CT", 500)))
	flipOneBit(t, filepath.Join(h.cfg.DataDir, spoolDir, "objects"))
	if h.spool.Verify(t.Context(), o.ID) == nil {
		t.Fatal("the damage is not found")
	}
	if !alarmsOf(h, status.Lost) {
		t.Fatal("before, nobody has a good copy, and the page does not say so")
	}
	said := []uplink.Confirmation{{ID: dicom.ID(o.ID), Length: o.Length}}
	if err := h.sender.feed.Archived(t.Context(), said); err != nil {
		t.Fatalf("%v: not acknowledged, so it is said again for ever", err)
	}
	if got, err := h.spool.Object(o.ID); err != nil || got.State != spool.Archived {
		t.Errorf("it is %s, %v", got.State, err)
	}
	if alarmsOf(h, status.Lost) {
		t.Error("the page calls lost what the archive has")
	}
}

func alarmsOf(h *house, code status.ReasonCode) bool {
	for _, r := range h.view.Status().Reasons {
		if r.Code == code {
			return true
		}
	}
	return false
}

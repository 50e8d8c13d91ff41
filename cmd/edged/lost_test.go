package main

import (
	"context"
	"testing"
	"time"

	"edged/internal/dicom"
	"edged/spool"
	"edged/uplink"
)

// P14, P2: what the hub lost is offered again; what is archived is not, and what
// is not here is no error.
func TestWhatTheHubLostIsOfferedAgain(t *testing.T) {
	ctx := context.Background()
	s, f := openFeed(t)
	var list []dicom.ID
	for n := range 2 {
		w, err := s.Create(spool.New{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte{byte(n)}); err != nil {
			t.Fatal(err)
		}
		o, _, err := w.Commit(ctx)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, dicom.ID(o.ID))
	}
	if err := f.AtHub(ctx, []uplink.Receipt{{ID: list[0], Length: 1}, {ID: list[1], Length: 1}}); err != nil {
		t.Fatal(err)
	}
	if err := f.Archived(ctx, []uplink.Confirmation{{ID: list[1], Length: 1, At: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	if err := f.Lost(ctx, append(list, dicom.ID{9})); err != nil {
		t.Fatal(err)
	}
	for i, want := range []spool.State{spool.Received, spool.Archived} {
		if o, err := s.Object(spool.ID(list[i])); err != nil || o.State != want {
			t.Errorf("object %d: %v, want %v (%v)", i, o.State, want, err)
		}
	}
}

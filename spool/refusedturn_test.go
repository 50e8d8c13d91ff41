package spool

import (
	"errors"
	"testing"
	"time"
)

// P6: one object that the hub cannot take now (it has no room for it) delays the
// other images of its modality no longer than its own bytes on the line would, and it
// sends none. Here every leased object takes 100 ms of the line; the big one is
// refused at its offer and rests 5 s, then 10, 20, ... as uplink.restOf has it.
func TestARefusedObjectCostsItsSourceNoTurns(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	cfg := bySender(memConfig(newMemFS()))
	cfg.Now = func() time.Time { return now }
	s := open(t, cfg)
	big := putOf(t, s, "CT1", Routine, 0, 40<<20)
	for n := range 20 {
		putOf(t, s, "CT1", Routine, 1+n, 4<<10)
	}
	for n := range 3000 {
		putOf(t, s, "US1", Routine, 5000+n, 4<<10)
	}
	rest, ct, us := 5*time.Second, 0, 0
	for us < 2500 && ct < 20 {
		switch o := leaseNow(t, s); {
		case o.ID == big.ID:
			if err := s.Return(o.ID, rest, errors.New("no room at the hub")); err != nil {
				t.Fatal(err)
			}
			rest *= 2
		default:
			now = now.Add(100 * time.Millisecond)
			if o.Group == "CT1" {
				ct++
			} else {
				us++
			}
		}
	}
	t.Logf("%d images of CT1 left beside %d of US1; last rest %s", ct, us, rest)
	if us > 100 {
		t.Errorf("%d of 20 images of CT1 left while %d of US1 did: in turns it is 20 beside 20", ct, us)
	}
}

// Nor is a refusal worth anything: what a source did not use while its object was
// out it has not saved up. From the refusal on it takes turns with the others (DESIGN 7).
func TestARefusalSavesUpNoTurns(t *testing.T) {
	s := open(t, bySender(memConfig(newMemFS())))
	big := putOf(t, s, "CT1", Routine, 0, 40<<20)
	for n := range 300 {
		putOf(t, s, "CT1", Routine, 1+n, 4<<10)
		putOf(t, s, "US1", Routine, 1+n, 4<<10)
	}
	if o := leaseNow(t, s); o.ID != big.ID {
		t.Fatalf("leased %d", o.Seq)
	}
	for range 200 { // until the hub has answered
		leaseNow(t, s)
	}
	if err := s.Return(big.ID, time.Hour, errors.New("no room at the hub")); err != nil {
		t.Fatal(err)
	}
	var ct int
	for range 40 {
		if leaseNow(t, s).Group == "CT1" {
			ct++
		}
	}
	if ct < 19 || ct > 21 {
		t.Errorf("%d of the next 40 are of CT1, in turns it is 20", ct)
	}
}

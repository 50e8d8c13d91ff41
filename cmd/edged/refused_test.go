package main

import (
	"errors"
	"testing"
	"time"

	"edged/spool"
	"edged/uplink"
	"edged/uplink/uplinktest/liar"
	"edged/uplink/wire"
)

// TestANodeThatRefusesEverythingParksNothing: one node of the hub refuses every offer,
// another one is honest. All objects are good, stay so, and get to the honest one.
func TestANodeThatRefusesEverythingParksNothing(t *testing.T) {
	for _, carrier := range liarCarriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			a := newLiedTo(t, 3, 3000)
			bad := liar.Serve(t, a.ca, func(c *liar.Conn) {
				c.Welcome()
				for n := 0; len(c.Offers(n+1)) > n; n++ {
					c.Trouble(wire.ProblemOffer, c.Offered[n].ID, 0)
				}
			})
			good := liar.Serve(t, a.ca, func(c *liar.Conn) {
				c.Welcome()
				for n := 0; len(c.Offers(n+1)) > n && c.Take(c.Offered[n]); n++ {
					c.Receipt(c.Offered[n])
				}
			})
			a.call(carrier, 1, bad.Addr, good.Addr)
			a.await("the other node to have all", func(uplink.Status) bool { return a.spool.Stats().ByState[spool.AtHub] == 3 })
			if s := a.link.Status(); s.Hub != good.Addr || s.DoubtedAt.IsZero() {
				t.Errorf("in use %s, doubted at %s", s.Hub, s.DoubtedAt)
			}
			a.stop()
		})
	}
}

// TestWhatTheHubDoesNotTakeIsNeverParked: however often, and however it says so. It
// rests, is shown with its reason, and no longer when it arrived or is gone.
func TestWhatTheHubDoesNotTakeIsNeverParked(t *testing.T) {
	a := newLiedTo(t, 3, 3000)
	causes := []error{uplink.ErrRefused, uplink.ErrMismatch, errors.New("input/output error")}
	give := func(times int) {
		for range causes { // all, before one of them is lent again
			if _, ok, err := a.spool.TryLease(leaseOwner); err != nil || !ok {
				t.Fatal(ok, err)
			}
		}
		for i, id := range a.ids {
			a.feed.Return(uplink.Object{ID: [32]byte(id)}, &uplink.RestError{Why: causes[i], Rest: time.Nanosecond, Times: times})
		}
	}
	give(1)
	if refused, mismatched, unread := a.feed.resting.count(a.spool); refused != 1 || mismatched+unread != 0 {
		t.Errorf("after one time: %d, %d, %d", refused, mismatched, unread)
	}
	for i := range 20 {
		give(i + 2)
	}
	if refused, mismatched, unread := a.feed.resting.count(a.spool); refused != 1 || mismatched != 1 || unread != 1 {
		t.Errorf("shown: %d refused, %d mismatched, %d unread", refused, mismatched, unread)
	}
	for _, id := range a.ids {
		if o, err := a.spool.Object(id); err != nil || o.State != spool.Received || o.Tries != 0 {
			t.Errorf("%+v, %v", o, err)
		}
	}
	if err := a.feed.AtHub(t.Context(), []uplink.Receipt{{ID: [32]byte(a.ids[0]), Length: 3000}}); err != nil {
		t.Fatal(err)
	}
	if err := a.spool.Quarantine(t.Context(), a.ids[1], "by a person"); err != nil {
		t.Fatal(err)
	}
	if refused, mismatched, unread := a.feed.resting.count(a.spool); refused+mismatched != 0 || unread != 1 {
		t.Errorf("then: %d refused, %d mismatched, %d unread", refused, mismatched, unread)
	}
}

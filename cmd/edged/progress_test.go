package main

import (
	"fmt"
	"math"
	"testing"
	"time"

	"edged/agent/status"
	"edged/spool"
	"edged/uplink"
)

// clockwork is a departures whose time is moved by hand.
func clockwork() (p *departures, now *time.Time) {
	t := time.Unix(1_800_000_000, 0)
	p = newDepartures()
	p.now = func() time.Time { return t }
	return p, &t
}

func leavingOf(study string, n int) spool.Object {
	return spool.Object{ID: spool.ID{byte(n), byte(n >> 8), byte(len(study))}, Group: study, Priority: spool.Routine, Length: 1 << 20}
}

func waitingGroup(name string, waiting, there int64) spool.Group {
	return spool.Group{Name: name, ByState: map[spool.State]int64{spool.Sending: 1}, Waiting: waiting, There: there}
}

// stream sends an object in chunks at a steady rate, and moves the clock.
func stream(p *departures, now *time.Time, o spool.Object, from, to, bytesPerSecond int64) {
	for sent := from; sent < to; {
		n := min(chunkBytes, to-sent)
		sent += n
		*now = now.Add(time.Duration(float64(n) / float64(bytesPerSecond) * float64(time.Second)))
		p.sent(uplink.Object{ID: [32]byte(o.ID), Length: o.Length}, sent)
	}
}

// Bytes of a study: what the hub has, and what has left of the rest. An end is said
// when there is a rate, and is right for a steady one.
func TestAStudySaysHowFarItIsAndWhenItEnds(t *testing.T) {
	p, now := clockwork()
	const rate = 1 << 20
	for n := range 20 {
		o := leavingOf("A", n)
		p.begin(o)
		stream(p, now, o, 0, 1<<20, rate)
		if n < 19 {
			p.end(o.ID)
		}
	}
	got := p.of(waitingGroup("A", 101<<20, 19<<20))
	if got.SentBytes != 20<<20 || got.TotalBytes != 120<<20 {
		t.Errorf("%d of %d bytes, want 20 of 120 MiB", got.SentBytes, got.TotalBytes)
	}
	if r := float64(got.RateBitsPerSecond) / (8 * rate); math.Abs(r-1) > 0.1 {
		t.Errorf("rate is %.2f of the true one", r)
	}
	if left := got.EndsAt.Sub(*now).Seconds(); math.Abs(left-100) > 10 {
		t.Errorf("ends in %.0f s, want 100", left)
	}
}

// Nobody knows when a study ends that has just begun, stands still, waits for its
// turn or is given back; and one of which nothing is to be sent says nothing.
func TestAnEndIsSaidOnlyWhenSomebodyCanKnow(t *testing.T) {
	p, now := clockwork()
	a := leavingOf("A", 1)
	unknown := func(what string) {
		t.Helper()
		if got := p.of(waitingGroup("A", 100<<20, 0)); got == nil || !got.EndsAt.IsZero() || got.RateBitsPerSecond != 0 {
			t.Errorf("%s: %+v", what, got)
		}
	}
	unknown("waits for its turn")
	p.begin(a)
	unknown("leased")
	stream(p, now, a, 0, 512<<10, 1<<20)
	unknown("has just begun")
	stream(p, now, a, 512<<10, 4<<20, 1<<20)
	if p.of(waitingGroup("A", 100<<20, 0)).EndsAt.IsZero() {
		t.Error("after four seconds nobody knows yet")
	}
	*now = now.Add(paceStill + time.Second)
	unknown("stands still")
	p.end(a.ID)
	if got := p.of(waitingGroup("A", 100<<20, 0)); got.SentBytes != 0 {
		t.Errorf("%d bytes of what was given back count as sent", got.SentBytes)
	}
	if got := p.of(spool.Group{Name: "A", There: 7, ByState: map[spool.State]int64{spool.AtHub: 1}}); got != nil {
		t.Errorf("all is there, and still %+v", got)
	}
	if got := (*departures)(nil).of(waitingGroup("A", 5, 6)); got.SentBytes != 6 || got.TotalBytes != 11 {
		t.Errorf("without an uplink: %+v", got)
	}
}

// A part that the hub had already moves the bar and not the speed.
func TestWhatTheHubHadAlreadyIsNoSpeed(t *testing.T) {
	p, now := clockwork()
	o := leavingOf("A", 1)
	p.begin(o)
	stream(p, now, o, 900<<20, 905<<20, 1<<20)
	got := p.of(waitingGroup("A", 1000<<20, 0))
	if got.SentBytes != 905<<20 || got.RateBitsPerSecond > 10<<20 {
		t.Errorf("%+v", got)
	}
	if !p.moved() || p.moved() {
		t.Error("what left is told once")
	}
	if n := p.bytesLeft(); n.Routine != 5<<20 || n.Urgent+n.Backfill != 0 {
		t.Errorf("left: %+v", n)
	}
}

// P9: only what is on its way is remembered, however many studies there were.
func TestProgressIsBoundedByWhatIsOnItsWay(t *testing.T) {
	p, now := clockwork()
	for n := range 10_000 {
		o := leavingOf(fmt.Sprint("study ", n), n)
		p.begin(o)
		p.begin(o) // said twice is leased once
		stream(p, now, o, 0, chunkBytes, 1<<20)
		p.end(o.ID)
		p.end(o.ID)
	}
	if len(p.flying) != 0 || len(p.moving) > 1000 {
		t.Errorf("%d objects and %d studies are remembered", len(p.flying), len(p.moving))
	}
}

// What is on its way is found by itself, however many wait; what something is leased
// of comes before what was a moment ago, and what ended long ago is forgotten.
func TestWhatIsOnItsWayIsListed(t *testing.T) {
	p, now := clockwork()
	for n, study := range []string{"long ago", "a moment ago", "now", "just leased"} {
		o := leavingOf(study, n)
		p.begin(o)
		if study != "just leased" {
			stream(p, now, o, 0, chunkBytes, 1<<20)
		}
		if n < 2 {
			p.end(o.ID)
		}
		if n == 0 {
			*now = now.Add(2 * paceGone)
		}
	}
	if got := fmt.Sprint(p.studies(10)); got != "[now just leased a moment ago]" {
		t.Error(got)
	}
	if got := p.studies(1); len(got) != 1 || got[0] != "now" {
		t.Errorf("of which one: %v", got)
	}
}

// Where nobody follows what leaves, nothing is known, and nothing breaks.
func TestNoDeparturesIsNone(t *testing.T) {
	var p *departures
	o := leavingOf("A", 1)
	p.begin(o)
	p.sent(uplink.Object{ID: [32]byte(o.ID), Length: o.Length}, 1)
	p.end(o.ID)
	if p.moved() || p.bytesLeft() != (status.Classes{}) || p.studies(10) != nil {
		t.Error("something left")
	}
}

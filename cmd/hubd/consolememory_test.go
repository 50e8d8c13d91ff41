package main

import (
	"testing"
	"time"

	"edged/hub/ledger"
)

// When appliances were seen and tokens used is in memory, is flushed, and never goes
// back in time.
func TestLastSeenAndLastUsedAreFlushed(t *testing.T) {
	d := newDesk(t)
	d.enrol("box1", "ASL1", 1)
	token := d.token("viewer")
	d.get("/api/v1/appliances", token)
	now := time.Now().Truncate(time.Millisecond)
	d.h.desk.memory.sawDevice("box1", now)
	d.h.desk.flush(t.Context())
	d.h.desk.memory.sawDevice("box1", now.Add(-time.Hour))
	d.h.desk.flush(t.Context())
	row, err := d.h.ledger.DeviceRow(t.Context(), "box1")
	d.must(err)
	if !row.Seen.Equal(now) || row.SeenBy != d.h.cfg.nodeID() {
		t.Errorf("seen %v by %q, want %v", row.Seen, row.SeenBy, now)
	}
	all, err := d.h.ledger.Tokens(t.Context(), "", 10)
	d.must(err)
	if len(all) != 1 || all[0].Used.IsZero() {
		t.Errorf("got %+v", all)
	}
	if e, _, err := d.h.ledger.AuditPage(t.Context(), ledger.AuditFilter{Action: "seen"}, 0, 10); err != nil || len(e) != 0 {
		t.Errorf("it is in the trail: %v %v", e, err)
	}
}

// Rates are of the last minute, and a hub that has just begun has none.
func TestRatesAreOfTheLastMinute(t *testing.T) {
	var s sampler
	begin := time.Now()
	if r := s.rates(Counters{Objects: 1_000_000}, begin); r != (Rates{}) {
		t.Errorf("at the start: %+v", r)
	}
	var r Rates
	for n := range 300 {
		r = s.rates(Counters{Objects: 1_000_000 + int64(n)*10, Bytes: int64(n) * 5000}, begin.Add(time.Duration(n)*time.Second))
	}
	if r.ObjectsPerSecond != 10 || r.BytesPerSecond != 5000 || len(s.points) > 63 {
		t.Errorf("got %+v of %d points", r, len(s.points))
	}
}

// Reading the figures costs at most a twentieth of the time, and they are never older
// than half a minute by that.
func TestFiguresThatAreDearAreReadSeldom(t *testing.T) {
	for cost, want := range map[time.Duration]time.Duration{0: cacheFor, 10 * time.Millisecond: cacheFor, 200 * time.Millisecond: 4 * time.Second, time.Minute: cacheMost} {
		if got := figuresFor(cost); got != want {
			t.Errorf("%v: got %v, want %v", cost, got, want)
		}
	}
}

// One reading that had to wait for others does not make figures dear, two in a row do.
func TestOneSlowReadingIsForgiven(t *testing.T) {
	c := &console{}
	for i, want := range []time.Duration{0, time.Second, 0} {
		took := []time.Duration{time.Second, time.Second, 0}[i]
		c.keep(Status{}, time.Now().Add(-took))
		if got := c.cost.Round(time.Second); got != want {
			t.Errorf("after reading %d: %v, want %v", i+1, got, want)
		}
	}
}

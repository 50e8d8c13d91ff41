package main

import (
	"strings"
	"testing"
	"time"
)

// An archive that answers "later" to an object for half an hour is not merely
// being caught up with.
func TestAnObjectThatWaitsForLongAsksForAttention(t *testing.T) {
	for _, c := range []struct {
		oldest float64
		want   string
	}{{0, "ok"}, {59, "ok"}, {61, "catching_up"}, {29 * 60, "catching_up"}, {31 * 60, "attention"}} {
		s := Status{Destinations: []DestinationStatus{{Name: "vna", OldestSeconds: c.oldest}}}
		if got := stateOf(s, false); got != c.want {
			t.Errorf("after %v s: got %s, want %s", c.oldest, got, c.want)
		}
	}
	d := DestinationStatus{Name: "vna", OldestSeconds: 31 * 60, LastWords: "A700 out of resources"}
	if w := d.stuckWords(); !strings.Contains(w, "vna: an object waits for it for 31m") || !strings.Contains(w, "A700 out of resources") {
		t.Errorf("says %q", w)
	}
}

// A walk over the rows that does nothing for minutes is said, in our own words to everybody:
// until it goes on nothing that came before the change of the destinations is archived.
func TestAWalkThatStandsIsSaid(t *testing.T) {
	for stands, want := range map[time.Duration]string{standsAfter: "ok", standsAfter + 2*time.Minute: "attention"} {
		s := Status{walk: stands}
		s.warn()
		said := strings.Join(s.inOwnWords().Warnings, "\n")
		if got := stateOf(s, false); got != want || strings.Contains(said, "nothing has moved for 7m0s; until then nothing that came before the change is archived") != (want != "ok") {
			t.Errorf("%v: %s, %q", stands, got, said)
		}
	}
}

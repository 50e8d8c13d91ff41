package main

import (
	"testing"

	"edged/agent/status"
	"edged/spool"
)

// With keep: hub, what was let go is at the hub: of the archive nothing is known.
func TestNothingIsCalledArchivedThatOnlyTheHubHas(t *testing.T) {
	g := spool.Group{Name: "2.25.1", Objects: 1, Forgotten: 4, ByState: map[spool.State]int64{spool.Archived: 1}}
	c := defaultConfig()
	for keep, want := range map[string]status.Hop{"hub": status.AtHub, "archived": status.Archived} {
		c.Spool.Keep = keep
		if st := (&view{cfg: &c, secret: cardSecret}).study(g, studyFacts{}); st.State != want || st.Hops.Total() != 5 {
			t.Errorf("keep: %s: %s, %+v", keep, st.State, st.Hops)
		}
		in := cards{keepHub: keep == "hub"}
		if h := in.hopsOf(g, cardSums{seen: 5}); h.State() != want || status.AllHops[in.goneHop()] != want {
			t.Errorf("keep: %s: %+v", keep, h)
		}
	}
}

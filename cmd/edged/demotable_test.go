package main

import (
	"strings"
	"testing"
	"time"
)

// The times of a journey come from three clocks: whatever they say, no hop is
// shown before the one before it, and the first is called what it is.
func TestHopsAreShownInTheirOrder(t *testing.T) {
	began := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	at := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	for name, c := range map[string]struct {
		row  objectRow
		want string
	}{
		"one after the other":  {objectRow{State: "archived", ReceivedAt: at(150), AtHubAt: at(300), ArchivedAt: at(400)}, "0.150s 0.200s 0.300s 0.400s"},
		"the hub's clock late": {objectRow{State: "archived", ReceivedAt: at(250), AtHubAt: at(300), ArchivedAt: at(-90)}, "0.200s 0.200s 0.300s 0.300s"},
		"from an earlier run":  {objectRow{State: "archived", AtHubAt: at(-800), ArchivedAt: at(-700)}, "0.100s 0.200s 0.200s 0.200s"},
		"not told":             {objectRow{State: "archived"}, "0.100s 0.200s 0.900s 0.900s"},
		"held":                 {objectRow{State: "held", AtHubAt: at(300)}, "0.100s 0.200s 0.300s ·"},
	} {
		j := &journey{modality: "CT", sent: at(100), safe: at(200)}
		j.reach(c.row, at(900))
		j.reach(c.row, at(950)) // looked at again
		table := &table{began: began}
		if got := strings.Join(strings.Fields(table.row(j))[3:], " "); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
	if got := strings.Join(strings.Fields(tableHead)[3:], " "); got != "received safe at hub archived" {
		t.Errorf("the columns are called %s", got)
	}
}

package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// journey is one instance on its way, with the time at which each hop was
// reached. The zero time means not yet.
type journey struct {
	id, modality         string
	bytes                int64
	sent, received, safe time.Time // received: the appliance had all bytes; safe: it answered
	atHub, archived      time.Time
	file                 string // what the modality sent, Part 10
	printed              bool
}

// table shows journeys: a line for each that has ended, and on a terminal below
// them those on their way. It is used from one goroutine.
type table struct {
	out      io.Writer
	terminal bool
	began    time.Time
	ended    int
	live     int // lines drawn below the last ended one
}

const (
	tableHead  = "  instance                modality     bytes   received      safe    at hub  archived"
	liveLines  = 6
	clearBelow = "\x1b[J"
)

func (t *table) head() {
	fmt.Fprintln(t.out, tableHead)
	fmt.Fprintln(t.out, "  "+strings.Repeat("─", len(tableHead)-2))
}

// show prints what ended since the last call and draws the rest anew.
func (t *table) show(all []*journey) {
	t.erase()
	var under []*journey
	for _, j := range all {
		switch {
		case j.archived.IsZero():
			under = append(under, j)
		case !j.printed:
			j.printed = true
			t.ended++
			fmt.Fprintln(t.out, t.row(j))
		}
	}
	if t.terminal {
		t.draw(all, under)
	}
}

func (t *table) erase() {
	if t.live > 0 {
		fmt.Fprintf(t.out, "\x1b[%dA%s", t.live, clearBelow)
	}
	t.live = 0
}

func (t *table) draw(all, under []*journey) {
	for _, j := range under[:min(len(under), liveLines)] {
		fmt.Fprintln(t.out, t.row(j))
	}
	fmt.Fprintf(t.out, "  %d sent, %d archived, %s\n", len(all), t.ended, time.Since(t.began).Round(100*time.Millisecond))
	t.live = min(len(under), liveLines) + 1
}

func (t *table) row(j *journey) string {
	return fmt.Sprintf("  %-22s  %-8s %9d  %9s %9s %9s %9s", clip(j.id, 16)+"…", j.modality, j.bytes,
		t.at(j.received), t.at(j.safe), t.at(j.atHub), t.at(j.archived))
}

// at is a time as seconds since the start.
func (t *table) at(x time.Time) string {
	if x.IsZero() {
		return "·"
	}
	return fmt.Sprintf("%.3fs", max(0, x.Sub(t.began).Seconds()))
}

package page

import (
	"context"
	"errors"
	"strconv"
	"time"

	"edged/agent/account"
)

// LineDesk has the line's history, pauses it and tests it. Its methods are called from
// goroutines of requests, several at a time.
type LineDesk interface {
	// History answers from memory.
	History() LineHistory
	// Pause holds everything back for d, and lets it go on when d is 0. It is on the audit
	// trail before it takes effect.
	Pause(ctx context.Context, who account.Actor, d time.Duration) error
	// Test measures the line for some seconds, and returns at the end of it; how it went is
	// in Status.Uplink.Test afterwards. An error means that there was no test.
	Test(ctx context.Context, who account.Actor) error
}

// LineHistory is of the last day, the oldest first.
type LineHistory struct {
	Minutes  []LineMinute
	Arrivals []Arrival
}

// LineMinute is what the line was in a minute that ended at At.
type LineMinute struct {
	At      time.Time
	Bits    int64 // sent, a second on average
	Waiting int64 // images at its end
}

// Arrival is how many images came in the hour that began at Hour.
type Arrival struct {
	Hour   time.Time
	Images int64
}

// longestPauseMinutes is a day: what is longer is no pause.
const longestPauseMinutes = 24 * 60

// ErrNoLine is that nothing is sent anyhow: nothing can be paused, or tested.
var ErrNoLine = errors.New("nothing is sent: there is no line")

// ErrLinePaused is that sending is paused: a test would send.
var ErrLinePaused = errors.New("sending is paused")

// ErrLineBusy is that a test is running.
var ErrLineBusy = errors.New("a test of the line is running")

// linePage is the view of /line.
type linePage struct {
	Line   lineView
	Rates  *chart
	Queue  *chart
	Paused bool
	Desk   bool // something may be done, by who may
}

func (p *Page) lineLeaves() []leaf {
	return []leaf{{path: "/line", menu: "menu.line", file: "line.html", build: p.buildLine, fresh: []string{"line-now", "line-charts", "line-store"}}}
}

func (p *Page) buildLine(rq *request) (any, error) {
	f := facts{Status: p.status(), Now: rq.Now}
	return linePageOf(f, p.history(), p.cfg.LineDesk != nil, rq.W), nil
}

func (p *Page) history() *LineHistory {
	if p.cfg.LineDesk == nil {
		return nil
	}
	h := p.cfg.LineDesk.History()
	return &h
}

func linePageOf(f facts, h *LineHistory, desk bool, w *words) linePage {
	v := linePage{Line: lineOf(f, w), Desk: desk}
	v.Paused = v.Line.Pause != ""
	if h != nil {
		rates, queue := ratesOf(*h, f.Now, w), queueOf(*h, f.Now, w)
		v.Rates, v.Queue = &rates, &queue
	}
	return v
}

func ratesOf(h LineHistory, now time.Time, w *words) chart {
	return curveOf("rates", w.Say("chart.rates"), h.Minutes, now, w, leastRate, func(m LineMinute) int64 { return m.Bits }, w.rate)
}

func queueOf(h LineHistory, now time.Time, w *words) chart {
	return curveOf("queue", w.Say("chart.queue"), h.Minutes, now, w, leastCount, func(m LineMinute) int64 { return m.Waiting }, w.number)
}

func (p *Page) lineDeeds() []deed {
	if p.cfg.LineDesk == nil {
		return nil
	}
	return []deed{
		{path: "/line/pause", role: account.Technician, do: p.pauseLine},
		{path: "/line/resume", role: account.Technician, do: p.resumeLine},
		{path: "/line/test", role: account.Technician, do: p.testLine},
	}
}

func (p *Page) pauseLine(rq *request) (outcome, error) {
	minutes, err := strconv.Atoi(rq.PostFormValue("minutes"))
	if err != nil || minutes < 1 || minutes > longestPauseMinutes {
		return outcome{"/line", "line.minutes"}, nil
	}
	return lineOutcome(p.cfg.LineDesk.Pause(rq.Context(), rq.Viewer.Actor(), time.Duration(minutes)*time.Minute), "line.paused")
}

func (p *Page) resumeLine(rq *request) (outcome, error) {
	return lineOutcome(p.cfg.LineDesk.Pause(rq.Context(), rq.Viewer.Actor(), 0), "line.resumed")
}

func (p *Page) testLine(rq *request) (outcome, error) {
	return lineOutcome(p.cfg.LineDesk.Test(rq.Context(), rq.Viewer.Actor()), "line.tested")
}

// lineOutcome says in words what a technician can do nothing about either.
func lineOutcome(err error, done string) (outcome, error) {
	switch {
	case errors.Is(err, ErrNoLine):
		return outcome{"/line", "line.noline"}, nil
	case errors.Is(err, ErrLinePaused):
		return outcome{"/line", "line.still"}, nil
	case errors.Is(err, ErrLineBusy):
		return outcome{"/line", "line.busy"}, nil
	}
	return outcome{"/line", done}, err
}

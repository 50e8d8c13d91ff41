package page

import (
	"context"
	"errors"
	"net/url"

	"edged/agent/account"
	"edged/agent/status"
)

// FixDesk has the findings about the data of studies that are here. Its methods are called
// from the goroutines of requests and answer from memory.
type FixDesk interface {
	// FixGroups counts the studies that have findings, by cause, device and how long ago they
	// came, in any order. Their number is bounded by that of the devices.
	FixGroups() FixGroups
	// FixStudies are those of one cause from one device, the one that came last first, each with
	// its findings; at most limit, and how many there are in all.
	FixStudies(cause, device string, limit int) ([]FixStudy, int)
	// FixDone notes that somebody has seen to a study: it counts no more in the status
	// sentence, until something else is found in it. It is on the audit trail before it is done.
	// ErrFixGone where there is no such study.
	FixDone(ctx context.Context, key string, who account.Actor) error
}

// ErrFixGone says that a study is not here any more, or that nothing is wrong with it.
var ErrFixGone = errors.New("nothing of this study is to be corrected")

// FixStudy is a study with findings.
type FixStudy struct {
	Card status.Card
	Done bool // somebody has seen to it
}

// FixGroups is what there is to correct.
type FixGroups struct {
	Groups  []FixGroup
	Came    map[string]FixWeeks // studies of each device, those without findings too
	Reading bool                // the appliance has just started: not all data has been read yet
}

// FixGroup is what comes of one cause from one device.
type FixGroup struct {
	Cause  string
	Device string // AE title
	Level  string // the worst
	Weeks  FixWeeks
	Open   int64 // of the last seven days, and nobody has seen to them
}

// FixWeeks counts studies: this week, the last one, and before. Weeks begin on Monday.
type FixWeeks struct{ This, Last, Before int64 }

// All of them.
func (w FixWeeks) All() int64 { return w.This + w.Last + w.Before }

func (p *Page) fixLeaves() []leaf {
	if p.cfg.Fix == nil {
		return nil
	}
	return []leaf{{path: "/fix", menu: "menu.fix", file: "fix.html", fresh: []string{"fix"}, build: p.buildFix}}
}

func (p *Page) fixDeeds() []deed {
	if p.cfg.Fix == nil {
		return nil
	}
	return []deed{{path: "/fix/done", role: account.Technician, do: p.fixDone}}
}

func (p *Page) fixDone(r *request) (outcome, error) {
	to := outcome{to: "/fix", notice: "fixdone"}
	if cause := r.PostFormValue("cause"); cause != "" {
		to.to += "?" + url.Values{"cause": {cause}, "device": {r.PostFormValue("device")}}.Encode()
	}
	err := p.cfg.Fix.FixDone(context.WithoutCancel(r.Context()), r.PostFormValue("key"), r.Viewer.Actor())
	if errors.Is(err, ErrFixGone) {
		return outcome{to: "/fix", notice: "fixgone"}, nil
	}
	return to, err
}

// shownFix is how many studies of a group the page lists.
const shownFix = 50

func (p *Page) buildFix(r *request) (any, error) {
	f := fixFacts{W: r.W, Now: r.Now, Full: r.Full(), Devices: p.cfg.Source.Devices(), Groups: p.cfg.Fix.FixGroups()}
	f.Say = func(x status.Finding) (string, string) {
		if p.cfg.Sentence == nil {
			return x.Cause, x.Code
		}
		return p.cfg.Sentence(r.W.lang, x)
	}
	q := r.URL.Query()
	if cause, device := q.Get("cause"), q.Get("device"); r.Full() && cause != "" {
		f.Cause, f.Device = cause, device
		f.Studies, f.Total = p.cfg.Fix.FixStudies(cause, device, shownFix)
	}
	return fixPageOf(f), nil
}

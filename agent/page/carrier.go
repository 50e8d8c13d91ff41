package page

import (
	"strconv"
	"strings"
	"time"

	"edged/agent/status"
)

// rowView is one line of facts: what, the figure, and what explains it.
type rowView struct {
	Label, Says, Quiet string
	Failed             string // the plain sentence before an error; "" when there is none
	Raw                string // for support, as the machine says it, mostly in English
}

// full is all of what explains it, for a terminal.
func (r rowView) full() string {
	return strings.TrimPrefix(strings.TrimSuffix(r.Quiet+" · "+r.Raw, " · "), " · ")
}

// transportOf says what carries the images, and why that and nothing else.
func transportOf(u status.Uplink, w *words) rowView {
	r := rowView{Label: w.Say("line.carrier")}
	if u.Transport != status.QUIC && u.Transport != status.TCP {
		return r
	}
	r.Says = w.Say("carrier." + string(u.Transport))
	if u.Lanes > 0 {
		r.Says += ", " + w.Count("line.lanes", u.Lanes)
	}
	r.Quiet = whyOf(u, w)
	return r
}

// whyOf names both figures where the choice was made by figures.
func whyOf(u status.Uplink, w *words) string {
	id := "why." + string(u.Why)
	if !w.has(id) {
		return ""
	}
	if u.Why == status.WhyFaster {
		mine, other := u.Of(u.Transport).GoodputBits, u.Of(otherThan(u.Transport)).GoodputBits
		if mine <= other || other == 0 { // measured anew since: the choice is older than they are
			return w.Say("why.faster")
		}
		return w.Say("why.faster.figures", "a", w.rate(mine), "b", w.rate(other))
	}
	return w.Say(id)
}

func otherThan(t status.Transport) status.Transport {
	if t == status.QUIC {
		return status.TCP
	}
	return status.QUIC
}

// capOf says what limits the line now, and until when; "" when nothing does.
func (f facts) capOf(u status.Uplink, w *words) string {
	switch {
	case u.CapBits > 0 && u.CapUntil.IsZero():
		return w.Say("line.cap", "rate", w.rate(u.CapBits))
	case u.CapBits > 0:
		return w.Say("line.cap", "rate", w.rate(u.CapBits)) + " " + f.until(u.CapUntil, w)
	case !u.CapUntil.IsZero():
		return w.Say("line.nocap") + " " + f.until(u.CapUntil, w)
	}
	return ""
}

// until says a time that is to come: "until 18:00", "until tomorrow 08:00".
func (f facts) until(t time.Time, w *words) string {
	t = t.In(f.Now.Location())
	clock := t.Format("15:04")
	switch {
	case sameDay(t, f.Now):
		return w.Say("until.today", "time", clock)
	case sameDay(t, f.Now.AddDate(0, 0, 1)):
		return w.Say("until.tomorrow", "time", clock)
	}
	return w.Say("until.day", "date", w.date(t), "time", clock)
}

// pauseOf is "" while objects are sent.
func (f facts) pauseOf(u status.Uplink, w *words) string {
	if !u.PausedUntil.After(f.Now) {
		return ""
	}
	return f.until(u.PausedUntil, w)
}

// testOf says what the last line test found; false when there was none.
func (f facts) testOf(t *status.LineTest, w *words) (rowView, bool) {
	if t == nil {
		return rowView{}, false
	}
	r := rowView{Label: w.Say("line.test")}
	if t.Error != "" {
		r.Says, r.Quiet = w.Say("test.failed"), f.moment(w, t.At)
		return r, true
	}
	best := t.Of(t.Transport)
	r.Says = w.rate(best.GoodputBits)
	r.Quiet = strings.Join(append(pathOf(best, w), w.Say("carrier."+string(best.Transport)), f.moment(w, t.At)), " · ")
	return r, true
}

// pathOf is what is known of the way that a carrier takes.
func pathOf(c status.Carrier, w *words) (out []string) {
	empty := c.RTTMS
	if c.MinRTTMS > 0 {
		empty = c.MinRTTMS
	}
	if empty > 0 {
		out = append(out, w.Say("path.rtt", "ms", w.decimal(empty)))
	}
	if c.RTTMS >= 1.5*empty && c.RTTMS > 10 { // what stands in queues on the way
		out = append(out, w.Say("path.full", "ms", w.decimal(c.RTTMS)))
	}
	if share, known := c.Loss(); known {
		out = append(out, w.Say("path.loss", "percent", w.decimal(100*share)))
	}
	return out
}

// decimal shows two significant digits and no more than people read: 0,02, 1,4, 21.
func (w *words) decimal(v float64) string {
	digits := 2
	switch {
	case v >= 10:
		digits = 0
	case v >= 1:
		digits = 1
	}
	text := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Trim(text, "0.") == "" {
		if v <= 0 {
			return "0"
		}
		text = "< 0.01"
	}
	return strings.Replace(text, ".", w.decimalMark(), 1)
}

// carrierOf is a carrier in one line, for technicians.
func (f facts) carrierOf(c status.Carrier, w *words) rowView {
	r := rowView{Label: w.Say("carrier." + string(c.Transport)), Says: w.Say("test.unmeasured")}
	if c.GoodputBits > 0 {
		r.Says = w.rate(c.GoodputBits)
	}
	var more []string
	if !c.MeasuredAt.IsZero() {
		more = append(more, w.Say("test.measured", "time", f.moment(w, c.MeasuredAt)))
	}
	more = append(more, pathOf(c, w)...)
	if c.MTU > 0 {
		more = append(more, w.Say("path.mtu", "n", w.number(c.MTU)))
	}
	var raw []string
	if c.Congestion != "" {
		raw = append(raw, status.Shown(c.Congestion))
	}
	if c.LastError != "" {
		r.Failed, raw = w.Say("carrier.failed"), append(raw, status.ShownError(c.LastError))
	}
	r.Quiet, r.Raw = strings.Join(more, " · "), strings.Join(raw, " · ")
	return r
}

// udpOf says whether UDP gets through; "" when nobody knows.
func udpOf(open *bool, w *words) string {
	switch {
	case open == nil:
		return ""
	case *open:
		return w.Say("udp.open")
	}
	return w.Say("udp.blocked")
}

func nodeOf(n status.Node, w *words) rowView {
	r := rowView{Label: status.Shown(n.Address), Says: w.Say("node.spare")}
	switch {
	case n.InUse:
		r.Says = w.Say("node.used")
	case n.SetAside:
		r.Says = w.Say("node.aside")
	}
	return r
}

// lineRows are the facts of the line that stay hidden until somebody asks for them.
func (f facts) lineRows(w *words) (rows []rowView) {
	u := f.Status.Uplink
	for _, c := range u.Carriers {
		rows = append(rows, f.carrierOf(c, w))
	}
	if says := udpOf(u.UDPOpen, w); says != "" && u.Connected { // a hub that answers nothing says nothing of UDP
		rows = append(rows, rowView{Label: "UDP", Says: says})
	}
	for _, n := range u.Nodes {
		if len(u.Nodes) > 1 || n.SetAside {
			rows = append(rows, nodeOf(n, w))
		}
	}
	if r := u.Rates; u.Connected && r != (status.Classes{}) {
		rows = append(rows, rowView{Label: w.Say("line.classes"), Says: w.Say("line.ofclasses", "u", w.rate(r.Urgent), "r", w.rate(r.Routine), "b", w.rate(r.Backfill))})
	}
	return rows
}

package page

import (
	"slices"
	"strings"
	"time"

	"edged/agent/status"
)

// Fact is a figure in words: what, and how much.
type Fact struct{ What, Says string }

// SayLine puts the line into the page's words, for whoever shows the same elsewhere:
// what carries the images and why, caps, a pause, nodes, the last test. Times are in
// the zone of now.
func SayLine(s status.Status, now time.Time, lang string) (out []Fact) {
	w := wordsOf(lang)
	f := facts{Status: s, Now: now}
	u := s.Uplink
	add := func(what string, says ...string) {
		says = slices.DeleteFunc(says, func(s string) bool { return s == "" })
		if len(says) > 0 {
			out = append(out, Fact{what, strings.Join(says, " · ")})
		}
	}
	if u.Connected {
		r := transportOf(u, w)
		add(r.Label, r.Says, r.Quiet)
		add(w.Say("line.rate"), w.rate(u.RateBitsPerSecond), f.capOf(u, w))
	}
	add(w.Say("line.pause"), f.pauseOf(u, w))
	if u.CapBackfill > 0 {
		add(w.Say("line.capfill"), w.rate(u.CapBackfill))
	}
	if r, done := f.testOf(u.Test, w); done {
		add(r.Label, r.Says, r.Quiet)
	}
	for _, r := range f.lineRows(w) {
		add(r.Label, r.Says, r.full())
	}
	return out
}

// Until says a time that is to come, in the zone of now: "until 18:00".
func Until(t, now time.Time, lang string) string {
	w := wordsOf(lang)
	return facts{Now: now}.until(t, w)
}

// SayTest puts a line test into words, a line each.
func SayTest(t status.LineTest, lang string) (out []string) {
	w := wordsOf(lang)
	if t.Error != "" {
		return []string{w.Say("line.test") + ": " + w.Say("test.failed") + " (" + t.Error + ")"}
	}
	f := facts{Now: t.At}
	for _, c := range t.Carriers {
		r := f.carrierOf(c, w)
		if c.GoodputBits == 0 {
			r.Says = w.Say("test.none")
		}
		out = append(out, strings.TrimSuffix(r.Label+": "+r.Says+" · "+r.full(), " · "))
	}
	if says := udpOf(t.UDPOpen, w); says != "" {
		out = append(out, "UDP: "+says)
	}
	if t.CapBits > 0 {
		out = append(out, w.Say("line.cap", "rate", w.rate(t.CapBits)))
	}
	if t.BesideBits >= 1e6 {
		out = append(out, w.Say("test.beside", "rate", w.rate(t.BesideBits)))
	}
	return out
}

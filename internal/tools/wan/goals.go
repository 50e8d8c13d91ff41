package main

import (
	"fmt"

	"edged/internal/tools/lab"
)

// goals of a line; 0: none.
type goals struct {
	line            float64 // part of the line that auto fills
	quic            float64 // part of the line that QUIC lanes alone fill
	plain, tuned    float64 // times C-STORE, default and tuned, auto
	tlsQUIC, tlsTCP float64 // part of plain Go TLS, over QUIC and over TLS lanes
}

const goalMemory = 128 << 20 // of a side, at full rate

// judge puts every figure that has a goal beside it.
func (r results) judge(p plan, figures map[string]string) lab.Section {
	s := lab.Section{Title: "Goals", Head: []string{"line", "objects", "", "goal", "measured", ""}}
	for _, w := range p.lines {
		for _, z := range p.sizes {
			r.judgeCell(&s, w, z)
		}
	}
	r.judgeMemory(&s)
	s.Note("Goodput counts bytes of data sets behind a durable receipt, from the first packet on the line to the last receipt or the end of the time, finding of lanes included. Of a line's rate Ethernet, IP and TCP take 5 %%: no goodput can be above 0.95.")
	return s
}

func (r results) judgeCell(s *lab.Section, w wire, z size) {
	auto, quic, tcp := r.of(w, z, ourAuto), r.of(w, z, ourQUIC), r.of(w, z, ourTCP)
	row := func(what string, goal, got float64, format string) {
		if goal > 0 {
			verdict, measured := lab.NotMeasured, "–"
			if got > 0 {
				verdict, measured = lab.Verdict(got >= goal), fmt.Sprintf(format, got)
			}
			s.Row(w.String(), z.id, what, "≥ "+fmt.Sprintf(format, goal), measured, verdict)
		}
	}
	rate := float64(w.rate)
	to := func(o outcome, other string) float64 { return lab.Per(o.rate(), r.of(w, z, other).rate()) }
	row("auto, of the line", w.goals.line, lab.Per(auto.rate(), rate), "%.2f")
	row("QUIC lanes, of the line", w.goals.quic, lab.Per(quic.rate(), rate), "%.2f")
	row("auto, to default C-STORE", w.goals.plain, to(auto, plainStore), "%.0f×")
	row("auto, to tuned C-STORE", w.goals.tuned, to(auto, tunedStore), "%.0f×")
	row("QUIC lanes, to Go TLS", w.goals.tlsQUIC, to(quic, plainTLS), "%.2f×")
	row("TLS lanes, to Go TLS", w.goals.tlsTCP, to(tcp, plainTLS), "%.2f×")
}

// judgeMemory takes the worst of all cells.
func (r results) judgeMemory(s *lab.Section) {
	var worst [2]int64
	for _, o := range r {
		if o.rss[0] > 0 { // the product's
			worst[0], worst[1] = max(worst[0], o.rss[0]), max(worst[1], o.rss[1])
		}
	}
	for i, side := range []string{"edged", "hubd"} {
		if worst[i] > 0 {
			s.Row("all", "all", "peak memory of "+side, "< 128 MiB", fmt.Sprintf("%d MiB", worst[i]>>20), lab.Verdict(worst[i] < goalMemory))
		}
	}
}

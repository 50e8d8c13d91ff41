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
			r.judgeCell(&s, w, z, figures)
		}
	}
	r.judgeMemory(&s, figures)
	s.Note("Goodput counts bytes of data sets behind a durable receipt and, where the time ended before the objects, what had arrived of those under way (said in the row where it is more than 1 %%; for every peer alike), from the first packet on the line to the last receipt or the end of the time, finding of lanes included. Of a line's rate Ethernet, IP and TCP take 5 %%: no goodput can be above 0.95.")
	return s
}

// figured is the size whose figures are in the last line.
const figured = "512KiB"

func (r results) judgeCell(s *lab.Section, w wire, z size, figures map[string]string) {
	auto, quic, tcp := r.of(w, z, ourAuto), r.of(w, z, ourQUIC), r.of(w, z, ourTCP)
	row := func(figure, what string, goal, got, late float64, format string) {
		if goal == 0 {
			return
		}
		verdict, measured := lab.NotMeasured, "–"
		if got > 0 {
			verdict, measured = lab.Verdict(got >= goal), fmt.Sprintf(format, got)
		}
		if got > 0 && z.id == figured {
			figures[figure+"_"+w.id] = fmt.Sprintf("%.3g", got)
		}
		if late > 0 {
			measured += fmt.Sprintf(" (second half "+format+")", late)
		}
		s.Row(w.String(), z.id, what, "≥ "+fmt.Sprintf(format, goal), measured, verdict)
	}
	rate := float64(w.rate)
	to := func(o outcome, other string) (whole, late float64) {
		p := r.of(w, z, other)
		return lab.Per(o.rate(), p.rate()), lab.Per(o.steady, p.steady)
	}
	against := func(figure, what string, o outcome, other string, goal float64, format string) {
		if most := lab.Per(rate, r.of(w, z, other).rate()); most > 0 && most < goal {
			what += fmt.Sprintf(" (the whole line is "+format+")", most)
		}
		whole, late := to(o, other)
		row(figure, what, goal, whole, late, format)
	}
	row("auto", "auto, of the line", w.goals.line, lab.Per(auto.rate(), rate), lab.Per(auto.steady, rate), "%.2f")
	row("quic", "QUIC lanes, of the line", w.goals.quic, lab.Per(quic.rate(), rate), lab.Per(quic.steady, rate), "%.2f")
	against("cstore", "auto, to default C-STORE", auto, plainStore, w.goals.plain, "%.3g×")
	against("tuned", "auto, to tuned C-STORE", auto, tunedStore, w.goals.tuned, "%.3g×")
	against("quic_tls", "QUIC lanes, to Go TLS", quic, plainTLS, w.goals.tlsQUIC, "%.2f×")
	against("tcp_tls", "TLS lanes, to Go TLS", tcp, plainTLS, w.goals.tlsTCP, "%.2f×")
}

// judgeMemory takes the worst of all cells.
func (r results) judgeMemory(s *lab.Section, figures map[string]string) {
	var worst [2]int64
	for _, o := range r {
		if o.rss[0] > 0 { // the product's
			worst[0], worst[1] = max(worst[0], o.rss[0]), max(worst[1], o.rss[1])
		}
	}
	for i, side := range []string{"edged", "hubd"} {
		if worst[i] > 0 {
			figures["rss_"+side] = fmt.Sprintf("%dMiB", worst[i]>>20)
			s.Row("all", "all", "peak memory of "+side, "< 128 MiB", fmt.Sprintf("%d MiB", worst[i]>>20), lab.Verdict(worst[i] < goalMemory))
		}
	}
}

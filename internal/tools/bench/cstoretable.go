package main

import (
	"fmt"
	"slices"

	"edged/internal/tools/lab"
)

// goals of the section on receiving.
const (
	goalStorescp = 1.0 // times storescp
	goalOrthanc  = 3.0 // times Orthanc
	goalSlow     = 150 // objects a second
)

// cstoreTable puts edged beside its peers. The figures are those of the last file
// system measured, the worst way to send of those with a ratio.
func cstoreTable(o options, dir string, ceiling float64, cells []cell, figures map[string]string) lab.Section {
	s := lab.Section{
		Title: fmt.Sprintf("C-STORE, %d objects of 512 KiB, on %s", o.objects, lab.FileSystem(dir)),
		Head:  []string{"senders", "edged, durable", "storescp", "Orthanc", "storescp as installed", "to storescp", "to Orthanc", "goal", ""},
	}
	worst := ratios{}
	for row := range slices.Chunk(cells, len(columns)) {
		edged := lab.Median(row[0].rates)
		r := ratios{lab.Per(edged, lab.Median(row[1].rates)), lab.Per(edged, lab.Median(row[2].rates))}
		goal, judged := r.judge()
		if row[0].senders.name == lateSenders {
			goal, judged = judgeLate(edged)
			note(figures, "slow_per_s", "%.0f", edged)
		} else {
			worst = worst.least(r)
		}
		s.Row(row[0].senders.name, lab.Spread(row[0].rates), lab.Spread(row[1].rates), lab.Spread(row[2].rates), lab.Spread(row[3].rates),
			times(r.storescp), times(r.orthanc), goal, judged)
	}
	note(figures, "storescp_ratio", "%.2f", worst.storescp)
	note(figures, "orthanc_ratio", "%.2f", worst.orthanc)
	s.Note("Objects a second: median of %d interleaved runs (least–greatest), storescu's start and end included; each run on a new folder and a new process.", o.runs)
	s.Note("CPU of the target, milliseconds an object, 1 association: edged %.1f, storescp %.1f, Orthanc %.1f.",
		lab.Median(cells[0].cpu), lab.Median(cells[1].cpu), lab.Median(cells[2].cpu))
	s.Note("The disk alone, one writer, `write 512 KiB, fdatasync, fsync directory`: %.0f objects/s.", ceiling)
	return s
}

// ratios are edged's objects a second by those of the peers; 0 was not measured.
type ratios struct{ storescp, orthanc float64 }

func (r ratios) judge() (goal, judged string) {
	goal = fmt.Sprintf("≥ %.1f×, ≥ %.0f×", goalStorescp, goalOrthanc)
	if r.storescp == 0 || r.orthanc == 0 {
		return goal, lab.NotMeasured
	}
	return goal, lab.Verdict(r.storescp >= goalStorescp && r.orthanc >= goalOrthanc)
}

func judgeLate(rate float64) (goal, judged string) {
	goal = fmt.Sprintf("≥ %d objects/s", goalSlow)
	if rate == 0 {
		return goal, lab.NotMeasured
	}
	return goal, lab.Verdict(rate >= goalSlow)
}

func (r ratios) least(other ratios) ratios {
	return ratios{least(r.storescp, other.storescp), least(r.orthanc, other.orthanc)}
}

// note keeps a figure; 0 was not measured.
func note(figures map[string]string, name, format string, v float64) {
	if v > 0 {
		figures[name] = fmt.Sprintf(format, v)
	}
}

// times shows a ratio; 0 was not measured.
func times(v float64) string {
	if v == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f×", v)
}

// least takes 0 for not known yet.
func least(a, b float64) float64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

package main

import "fmt"

// goals of the section on receiving.
const (
	goalStorescp = 1.0 // times storescp
	goalOrthanc  = 3.0 // times Orthanc
	goalSlow     = 150 // objects a second
)

// cstoreTable puts edged beside its peers. The figures are those of the last file
// system measured, the worst way to send of those with a ratio.
func cstoreTable(o options, dir string, ceiling float64, cells []cell, figures map[string]string) section {
	s := section{
		title: fmt.Sprintf("C-STORE, %d objects of 512 KiB, on %s", o.objects, fileSystem(dir)),
		head:  []string{"senders", "edged, durable", "storescp", "Orthanc", "to storescp", "to Orthanc", "goal", ""},
	}
	worst := struct{ storescp, orthanc float64 }{}
	for i := 0; i+2 < len(cells); i += 3 { // the cells of a row stand together
		edged, scp, orthanc := cells[i], cells[i+1], cells[i+2]
		a, b := per(median(edged.rates), median(scp.rates)), per(median(edged.rates), median(orthanc.rates))
		goal, ok := fmt.Sprintf("≥ %.1f×, ≥ %.0f×", goalStorescp, goalOrthanc), a >= goalStorescp && b >= goalOrthanc
		known := a > 0 && b > 0
		if i < lateCells {
			worst.storescp, worst.orthanc = least(worst.storescp, a), least(worst.orthanc, b)
		} else {
			rate := median(edged.rates)
			goal, ok, known = fmt.Sprintf("≥ %d objects/s", goalSlow), rate >= goalSlow, rate > 0
			note(figures, "slow_per_s", "%.0f", rate)
		}
		judged := "not measured"
		if known {
			judged = verdict(ok)
		}
		s.row(edged.senders.name, spread(edged.rates), spread(scp.rates), spread(orthanc.rates),
			times(a), times(b), goal, judged)
	}
	note(figures, "storescp_ratio", "%.2f", worst.storescp)
	note(figures, "orthanc_ratio", "%.2f", worst.orthanc)
	s.note("Objects a second: median of %d interleaved runs (least–greatest), storescu's start and end included; each run on a new folder and a new process. storescp as installed (without TCP_NODELAY=1 in its environment), with the senders of the last row: %s.",
		o.runs, spread(cells[len(cells)-1].rates))
	s.note("The disk alone, one writer, `write 512 KiB, fdatasync, fsync directory`: %.0f objects/s.", ceiling)
	return s
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

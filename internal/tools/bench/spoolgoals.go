package main

import (
	"fmt"
	"time"

	"edged/internal/tools/lab"
)

// goals of the section on the spool, for objects of 512 KiB.
const (
	goalFlushesOne  = 2.1
	goalFlushesMany = 0.9
	goalNaiveOne    = 1.8
	goalNaiveMany   = 3.0
	goalSlowRate    = 200
	goalSlowWait    = 150 * time.Millisecond
	goalRecover     = 20_000 // files, and index rows, a second
)

// judge puts the figures beside the goals, for the spool without encryption and
// with it, which is how it is delivered.
func (v *spoolResults) judge(figures map[string]string) lab.Section {
	s := lab.Section{Title: "Spool: goals", Head: []string{"", "goal", "spool", "", "spool, encrypted", ""}}
	row := func(what, goal, format string, figure func(storeKind) float64, ok func(float64) bool) {
		cells := []string{what, goal}
		for _, kind := range []storeKind{spoolPlain, spoolEncrypted} {
			got, judged := figure(kind), lab.NotMeasured
			if got > 0 {
				judged = lab.Verdict(ok(got))
			}
			cells = append(cells, fmt.Sprintf(format, got), judged)
		}
		s.Row(cells...)
	}
	most := func(limit float64) func(float64) bool { return func(got float64) bool { return got <= limit } }
	least := func(limit float64) func(float64) bool { return func(got float64) bool { return got >= limit } }
	row("flushes an object, one writer", "≤ 2.1", "%.2f", v.flushesOf(1), most(goalFlushesOne))
	row("flushes an object, sixteen", "≤ 0.9", "%.2f", v.flushesOf(16), most(goalFlushesMany))
	row("objects/s to naive, one writer", "≥ 1.8×", "%.2f×", v.toNaive(1), least(goalNaiveOne))
	row("objects/s to naive, sixteen", "≥ 3×", "%.2f×", v.toNaive(16), least(goalNaiveMany))
	row("objects/s, sixteen, slow flushes", "≥ 200", "%.0f", v.slowRate, least(goalSlowRate))
	row("p99, sixteen, slow flushes, ms", "< 150", "%.0f", v.slowWait, func(got float64) bool { return got < float64(goalSlowWait.Milliseconds()) })
	row("files/s of a start, just mounted", "≥ 20,000", "%.0f", v.recoverRate, least(goalRecover))
	row("index rows/s", "≥ 20,000", "%.0f", v.indexRate, least(goalRecover))
	v.tell(&s)
	v.noteFigures(figures)
	return s
}

func (v *spoolResults) flushesOf(writers int) func(storeKind) float64 {
	return func(k storeKind) float64 { return find(v.disk, k, objectBytes, writers).flushes() }
}

func (v *spoolResults) toNaive(writers int) func(storeKind) float64 {
	return func(k storeKind) float64 {
		return lab.Per(find(v.disk, k, objectBytes, writers).rate(), find(v.disk, naive, objectBytes, writers).rate())
	}
}

func (v *spoolResults) slowRate(k storeKind) float64 { return find(v.slow, k, objectBytes, 16).rate() }

func (v *spoolResults) slowWait(k storeKind) float64 {
	return float64(quantile(find(v.slow, k, objectBytes, 16).waits(), 0.99).Microseconds()) / 1000
}

func (v *spoolResults) recoverRate(k storeKind) float64 {
	for _, one := range v.recovered {
		if one.kind.name == k.name {
			return rate(one.objects, one.cold)
		}
	}
	return 0
}

func (v *spoolResults) indexRate(k storeKind) float64 {
	for _, one := range v.recovered {
		if one.kind.name == k.name {
			return rate(one.objects, one.index)
		}
	}
	return 0
}

// tell adds the figures that have no goal.
func (v *spoolResults) tell(s *lab.Section) {
	for _, writers := range spoolWriters {
		plain, encrypted := find(v.disk, spoolPlain, objectBytes, writers), find(v.disk, spoolEncrypted, objectBytes, writers)
		s.Note("Encryption, 512 KiB, writers: %d: objects/s %+.0f %%, CPU an object %+.2f ms.", writers,
			100*(lab.Per(encrypted.rate(), plain.rate())-1), encrypted.cpu()-plain.cpu())
	}
	for _, size := range spoolSizes {
		s.Note("Who is alone, %s: p50 %s ms, the raw loop `write, rename, fdatasync, fsync of the folder` %s ms.", sizeName(size),
			ms(quantile(find(v.disk, spoolPlain, size, 1).waits(), 0.5)), ms(quantile(find(v.disk, rawStore, size, 1).waits(), 0.5)))
	}
}

func (v *spoolResults) noteFigures(figures map[string]string) {
	for _, kind := range []struct {
		storeKind
		prefix string
	}{{spoolPlain, "spool"}, {spoolEncrypted, "encrypted"}} {
		note(figures, kind.prefix+"_flushes_1", "%.2f", v.flushesOf(1)(kind.storeKind))
		note(figures, kind.prefix+"_flushes_16", "%.2f", v.flushesOf(16)(kind.storeKind))
		note(figures, kind.prefix+"_naive_1", "%.2f", v.toNaive(1)(kind.storeKind))
		note(figures, kind.prefix+"_naive_16", "%.2f", v.toNaive(16)(kind.storeKind))
		note(figures, kind.prefix+"_slow_per_s", "%.0f", v.slowRate(kind.storeKind))
		note(figures, kind.prefix+"_slow_p99_ms", "%.0f", v.slowWait(kind.storeKind))
	}
}

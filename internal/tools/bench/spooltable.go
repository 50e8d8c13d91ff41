package main

import (
	"fmt"
	"math"
	"slices"
	"time"

	"edged/internal/tools/lab"
)

func spoolTable(title string, runs int, cells []spoolCell) lab.Section {
	s := lab.Section{Title: title, Head: []string{"object", "writers", "store", "objects/s", "MB/s", "p50, ms", "p99, ms", "flushes an object", "written / object", "CPU ms an object", "to naive"}}
	for i := range cells {
		c := &cells[i]
		s.Row(sizeName(c.size), fmt.Sprint(c.writers), c.kind.name, lab.Spread(c.each(outcome.rate)), fmt.Sprintf("%.0f", c.rate()*float64(c.size)/1e6),
			ms(quantile(c.waits(), 0.5)), ms(quantile(c.waits(), 0.99)), fmt.Sprintf("%.2f", c.flushes()),
			fmt.Sprintf("%.2f", lab.Median(c.each(outcome.written))/float64(c.size)), fmt.Sprintf("%.2f", c.cpu()), times(lab.Per(c.rate(), find(cells, naive, c.size, c.writers).rate())))
	}
	s.Note("Medians of %d interleaved runs (least–greatest), each on an empty folder; p50 and p99, from the first byte to the answer, are over all runs together.", runs)
	s.Note("Flushes are what the kernel sent to the loop device until the last answer (on a journalled file system the commit of the journal is two: before and after its last block); written is everything until nothing was left to write. CPU is of the whole process; the kernel's own threads are not in it.")
	return s
}

// each applies f to the runs.
func (c *spoolCell) each(f func(outcome) float64) (v []float64) {
	for _, o := range c.runs {
		v = append(v, f(o))
	}
	return v
}

func (o outcome) rate() float64    { return rate(o.objects, o.took) }
func (o outcome) flush() float64   { return lab.Per(float64(o.flushes), float64(o.objects)) }
func (o outcome) written() float64 { return lab.Per(float64(o.bytes), float64(o.objects)) }
func (o outcome) cpu() float64 {
	return lab.Per(float64(o.computed.Microseconds())/1000, float64(o.objects))
}

// The medians; 0 for a cell that was not measured.
func (c *spoolCell) rate() float64    { return lab.Median(c.each(outcome.rate)) }
func (c *spoolCell) flushes() float64 { return lab.Median(c.each(outcome.flush)) }
func (c *spoolCell) cpu() float64     { return lab.Median(c.each(outcome.cpu)) }

// waits are those of all runs.
func (c *spoolCell) waits() (all []time.Duration) {
	for _, o := range c.runs {
		all = append(all, o.waits...)
	}
	return all
}

// find returns an empty cell when there is none.
func find(cells []spoolCell, kind storeKind, size int64, writers int) *spoolCell {
	for i := range cells {
		if c := &cells[i]; c.kind.name == kind.name && c.size == size && c.writers == writers {
			return c
		}
	}
	return &spoolCell{}
}

// quantile is the least wait that so many are not above (nearest rank); of none it
// is 0.
func quantile(waits []time.Duration, q float64) time.Duration {
	if len(waits) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(waits))
	return s[max(0, int(math.Ceil(q*float64(len(s))))-1)]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d.Microseconds())/1000) }

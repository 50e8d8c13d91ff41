package main

import (
	"time"

	"edged/internal/tools/lab"
)

// outcome is what one peer did on one line with objects of one size.
type outcome struct {
	objects  int     // that are complete at the receiver
	bytes    int64   // of data sets, partial ones included
	partial  int64   // of them, of objects that were cut off: nothing durable is behind these
	again    string  // why it was measured once more; empty: it was not
	seconds  float64 // from the first packet on the line
	cut      bool    // the time was over
	steady   float64 // bits a second in the second half of the time; 0: not known
	sender   time.Duration
	receiver time.Duration // CPU
	relay    time.Duration
	rss      [2]int64 // peak of sender and receiver; 0: not known
	traffic  traffic
	said     string // about carriers and lanes
}

// rate is the goodput in bits a second.
func (o outcome) rate() float64 { return lab.Per(float64(o.bytes)*8, o.seconds) }

// perGB is CPU seconds for each gigabyte.
func (o outcome) perGB(d time.Duration) float64 { return lab.Per(d.Seconds(), float64(o.bytes)/1e9) }

// middle is the outcome with the median rate.
func middle(all []outcome) outcome {
	var rates []float64
	for _, o := range all {
		rates = append(rates, o.rate())
	}
	median := lab.Median(rates)
	best := all[0]
	for _, o := range all {
		if near(o.rate(), median) < near(best.rate(), median) {
			best = o
		}
	}
	return best
}

func near(a, b float64) float64 { return max(a-b, b-a) }

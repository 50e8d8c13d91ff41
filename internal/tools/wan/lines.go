package main

import (
	"fmt"
	"time"

	"edged/internal/netlab/line"
)

// wire is a line of the table.
type wire struct {
	id    string
	rate  int64         // bits a second; 0: loopback, no relay
	trip  time.Duration // and back
	loss  float64
	goals goals
}

// lines are all that are known.
var lines = []wire{
	{"1g", 1e9, 20 * time.Millisecond, 0, goals{line: 0.85, quic: 0.80, plain: 20, tuned: 6}},
	{"1g-0.01", 1e9, 20 * time.Millisecond, 0.0001, goals{}},
	{"1g-0.1", 1e9, 20 * time.Millisecond, 0.001, goals{line: 0.75, quic: 0.45, plain: 45, tuned: 35}},
	{"1g-1", 1e9, 20 * time.Millisecond, 0.01, goals{line: 0.65, quic: 0.20, plain: 120, tuned: 120}},
	{"100m", 100e6, 40 * time.Millisecond, 0, goals{}},
	{"5g", 5e9, 20 * time.Millisecond, 0, goals{plain: 60}},
	{"loopback", 0, 0, 0, goals{tlsQUIC: 0.40, tlsTCP: 0.90}},
}

func lineID(w wire) string { return w.id }

func (w wire) config(seed uint64) line.Config {
	return line.Config{Rate: w.rate, Delay: w.trip / 2, Loss: w.loss, Queue: w.queue(), Seed: seed}
}

// queue is one bandwidth-delay product of the round trip.
func (w wire) queue() int64 { return w.rate / 8 * int64(w.trip) / int64(time.Second) }

func (w wire) String() string {
	if w.rate == 0 {
		return "loopback, no limit"
	}
	return fmt.Sprintf("%s, %d ms, loss %.4g %%", bits(float64(w.rate)), w.trip.Milliseconds(), w.loss*100)
}

// bits shows a rate.
func bits(v float64) string {
	switch {
	case v >= 1e9:
		return fmt.Sprintf("%.3g Gbit/s", v/1e9)
	case v >= 100e6:
		return fmt.Sprintf("%.0f Mbit/s", v/1e6)
	}
	return fmt.Sprintf("%.3g Mbit/s", v/1e6)
}

// size is of the objects: data sets of exactly so many bytes, with pixels that do
// not compress.
type size struct {
	id    string
	bytes int64
	most  int // objects that are made
}

var sizes = []size{
	{"30KiB", 30 << 10, 24000},
	{"512KiB", 512 << 10, 1 << 20},
	{"30MiB", 30 << 20, 1 << 20},
}

func sizeID(s size) string { return s.id }

// count is how many are made of at most so many megabytes.
func (s size) count(megabytes int64) int { return max(4, min(s.most, int(megabytes*1e6/s.bytes))) }

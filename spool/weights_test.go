package spool

import "testing"

// Four to one counts bytes (DESIGN 7): slices of 30 KiB against the objects of an old
// archive, and the other way round.
func TestWeightsCountBytes(t *testing.T) {
	for _, size := range [][priorities]int64{{0, 30 << 10, 300 << 20}, {0, 300 << 20, 30 << 10}, {0, 512 << 10, 512 << 10}, {0, 30 << 10, 512 << 10}} {
		q, seq := newQueue(), uint64(0)
		push := func(p Priority) {
			seq++
			q.push(&entry{seq: seq, priority: p, content: size[p]})
		}
		push(Routine)
		push(Backfill)
		var bytes [priorities]int64
		for bytes[Routine]+bytes[Backfill] < 20<<30 {
			e := q.pop(Backfill)
			bytes[e.priority] += e.price()
			push(e.priority)
		}
		if ratio := float64(bytes[Routine]) / float64(bytes[Backfill]); ratio < 3.6 || ratio > 4.4 {
			t.Errorf("objects of %v: %v, ratio %.2f", size, bytes, ratio)
		}
	}
}

// Whoever was alone for long is owed nothing for it, and has no debts: when the other
// class comes they share from there on, and an object that was given back costs nothing.
func TestNobodySavesUpWeights(t *testing.T) {
	for _, alone := range []Priority{Routine, Backfill} {
		q, seq := newQueue(), uint64(0)
		push := func(p Priority, size int64) {
			seq++
			q.push(&entry{seq: seq, priority: p, content: size})
		}
		for range 1000 {
			push(alone, 100<<20)
			q.pop(Backfill)
		}
		for range 200 {
			push(Routine, 512<<10)
			push(Backfill, 512<<10)
		}
		var n [priorities]int
		for i := range 100 {
			e := q.pop(Backfill)
			if i%2 == 1 { // the line was cut
				q.ahead -= q.counted
				q.push(e)
				continue
			}
			n[e.priority]++
		}
		if n[Backfill] < 8 || n[Backfill] > 13 {
			t.Errorf("after %v alone: %v of 50", alone, n)
		}
	}
}

package forward

import (
	"os"
	"testing"
	"time"

	"edged/internal/synth"
)

// How fast a backlog of 512 KiB objects drains; a figure, never a limit. It is
// printed with FORWARD_BENCH=1.
func TestDrainFigures(t *testing.T) {
	if os.Getenv("FORWARD_BENCH") == "" {
		t.Skip("set FORWARD_BENCH=1 to measure how fast a backlog drains")
	}
	const n = 300
	for name, open := range map[string]func(t *testing.T) Destination{
		"dir": func(t *testing.T) Destination { return newDir(t, t.TempDir()) },
		"cstore, Go archive that keeps nothing on disk": func(t *testing.T) Destination {
			var kept received
			addr, _ := (&archive{store: kept.keep}).serve(t, "127.0.0.1:0")
			return cstore(addr)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "vna")
			b.receive(synth.Instances(synth.Studies(1, synth.Bench(n, 512<<10)))...)
			d, begin := open(t), time.Now()
			b.run(b.archived(n), d)
			t.Logf("%.0f objects/s", n/time.Since(begin).Seconds())
		})
	}
}

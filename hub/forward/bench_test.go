package forward

import (
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"edged/internal/synth"
)

// How fast a backlog drains, of 30 KiB (one slice) and 512 KiB; a figure, never a
// limit. It is printed with FORWARD_BENCH=1.
func TestDrainFigures(t *testing.T) {
	if os.Getenv("FORWARD_BENCH") == "" {
		t.Skip("set FORWARD_BENCH=1 to measure how fast a backlog drains")
	}
	for _, size := range []struct{ n, length int }{{2000, 30 << 10}, {300, 512 << 10}} {
		for name, open := range map[string]func(t *testing.T) Destination{
			"dir": func(t *testing.T) Destination { return newDir(t, t.TempDir()) },
			"cstore, Go archive that keeps nothing on disk": func(t *testing.T) Destination {
				var kept received
				addr, _ := (&archive{store: kept.keep}).serve(t, "127.0.0.1:0")
				return cstore(addr)
			},
		} {
			t.Run(fmt.Sprintf("%s, %d KiB", name, size.length>>10), func(t *testing.T) {
				b := newBench(t, "vna")
				b.log = slog.New(slog.DiscardHandler)
				b.receive(synth.Instances(synth.Studies(1, synth.Bench(size.n, int64(size.length))))...)
				d, begin := open(t), time.Now()
				b.run(b.archived(size.n), d)
				t.Logf("%.0f objects/s", float64(size.n)/time.Since(begin).Seconds())
			})
		}
	}
}

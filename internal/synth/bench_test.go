package synth

import (
	"io"
	"testing"
)

// What the generator can give bounds what a benchmark with it can show.
func BenchmarkOpen(b *testing.B) {
	for name, i := range map[string]Instance{
		"bench-512KiB": Instances(Studies(1, Bench(1, 512<<10)))[0],
		"ct-slice":     ctStudy(1, Demo).Instances[100],
		"mg-lossless":  mgStudy(1, Demo).Instances[0],
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				r, n := i.Open()
				b.SetBytes(n)
				io.Copy(io.Discard, r)
			}
		})
	}
}

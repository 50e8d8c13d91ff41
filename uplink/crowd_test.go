package uplink

import (
	"math/rand/v2"
	"testing"
	"time"
)

// A hub that restarts ends 8,700 connections at once, each of which lasted long. They
// must not all be back in the same second, neither there nor at the other node.
func TestARestartDoesNotBringTheFleetBackAtOnce(t *testing.T) {
	for _, addrs := range [][]string{{"a"}, {"a", "b"}} {
		bins, most := map[int]int{}, 0
		for seed := range uint64(8700) {
			ns := newNodes(addrs, time.Second, time.Minute)
			ns.random = rand.New(rand.NewPCG(seed, 1)).Float64
			now := time.Unix(1000, 0)
			n, _ := ns.next(now)
			n.worked()
			ns.failed(n, now) // as judge does after a connection of hours
			ns.crowd(now)
			_, pause := ns.next(now)
			bins[int(pause/time.Second)]++
			most = max(most, bins[int(pause/time.Second)])
		}
		if share := float64(most) / 8700; share > 0.05 {
			t.Errorf("%d nodes: %.0f %% of the fleet in one second", len(addrs), 100*share)
		}
	}
}

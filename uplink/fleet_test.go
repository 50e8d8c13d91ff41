package uplink

import (
	"math/rand/v2"
	"testing"
	"time"
)

// fleet is how many appliances hang on one hub.
const fleet = 8700

// TestAFleetDoesNotComeBackInOneSecond: 8,700 appliances lose the hub in the same
// moment, and find it again when an outage is over. The longer it was, the more
// their attempts are spread: after a minute no second sees more than one in twenty.
func TestAFleetDoesNotComeBackInOneSecond(t *testing.T) {
	for _, c := range []struct {
		outage time.Duration
		most   float64 // share of the fleet in the worst second
	}{{30 * time.Second, 0.10}, {time.Minute, 0.05}, {10 * time.Minute, 0.04}} {
		for _, takes := range []time.Duration{0, 5 * time.Second} { // refused at once, or never answered
			after := comeBack(c.outage, takes)
			share := worstSecond(after)
			t.Logf("outage of %s, an attempt takes %s: worst second %.1f %%", c.outage, takes, 100*share)
			if share > c.most {
				t.Errorf("outage of %s, an attempt takes %s: %.1f %% of the fleet in one second", c.outage, takes, 100*share)
			}
			for _, d := range after {
				if d > time.Minute+takes {
					t.Fatalf("one comes back %s after the outage", d)
				}
			}
		}
	}
}

// comeBack says how long after an outage each appliance of the fleet tries.
func comeBack(outage, takes time.Duration) (after []time.Duration) {
	for seed := range uint64(fleet) {
		ns := newNodes([]string{"a"}, time.Second, time.Minute)
		ns.random = rand.New(rand.NewPCG(seed, 1)).Float64
		began := time.Unix(1000, 0)
		n, now := &ns.list[0], began
		for {
			ns.failed(n, now)
			now = now.Add(n.wait(now))
			if now.Sub(began) >= outage {
				break
			}
			now = now.Add(takes)
		}
		after = append(after, now.Sub(began)-outage)
	}
	return after
}

func worstSecond(after []time.Duration) (share float64) {
	seconds, most := map[time.Duration]int{}, 0
	for _, d := range after {
		second := d / time.Second
		seconds[second]++
		most = max(most, seconds[second])
	}
	return float64(most) / float64(len(after))
}

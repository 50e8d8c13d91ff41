package receive

import (
	"runtime"
	"strings"
	"testing"

	"edged/uplink/wire"
)

// P9: what an appliance may have waiting in the hub's memory on one connection over
// TCP, while it does not read its answers, is bounded by something that is small,
// whatever it says: measured as memory, for each frame that may have a list.
func TestControlFramesThatWaitAreBoundedInBytes(t *testing.T) {
	long := strings.Repeat("1", 250<<10) // 64 are legal; checked only when its turn comes
	short := make([]wire.Object, wire.MaxItems)
	for name, f := range map[string]wire.Frame{
		"one long study":        &wire.Offer{Objects: []wire.Object{{Number: 1, Study: long}}},
		"one long transfer":     &wire.Offer{Objects: []wire.Object{{TransferSyntax: long}}},
		"one long calling":      &wire.Offer{Objects: []wire.Object{{Calling: long}}},
		"offers of nothing":     &wire.Offer{Objects: short},
		"an empty page":         &wire.Offer{},
		"acknowledgements":      &wire.ArchivedAck{Seqs: make([]uint64, wire.MaxItems)},
		"a study":               &wire.Study{UID: long[:4000], IDs: make([]wire.ID, wire.MaxItems)},
		"findings with words":   &wire.Findings{Findings: []wire.Finding{{Words: long}}},
		"findings":              &wire.Findings{Findings: make([]wire.Finding, wire.MaxItems)},
		"troubles with words":   &wire.Trouble{Problems: []wire.Problem{{Words: long}}},
		"troubles, destination": &wire.Trouble{Problems: []wire.Problem{{Destination: long}}},
		"a release":             &wire.Release{Reason: long[:4000]},
	} {
		t.Run(name, func(t *testing.T) {
			q, before := newQueue(nil), live()
			frames := 0
			for ; frames < 10_000 && q.put(came(t, f)); frames++ {
			}
			if held := live() - before; held > 5<<20 || frames == 10_000 {
				t.Errorf("%d frames, %d KiB, wait on one connection", frames, held>>10)
			}
			runtime.KeepAlive(q)
		})
	}
}

// came is f as the hub reads it.
func came(t *testing.T, f wire.Frame) wire.Frame {
	t.Helper()
	b, err := wire.Append(nil, f)
	if err != nil {
		t.Fatal(err)
	}
	f, err = wire.NewReader(strings.NewReader(string(b))).Next()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func live() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// The heaviest page that there can be passes an empty queue, also one that is said to
// weigh more than all of it, and the weight is given back.
func TestAPageAlwaysPassesTheQueue(t *testing.T) {
	q := newQueue(nil)
	for _, f := range []wire.Frame{
		&wire.Offer{Objects: make([]wire.Object, wire.MaxItems)},
		&wire.Offer{Objects: []wire.Object{{Study: strings.Repeat("1", 2*maxQueued)}}},
		&wire.Bye{},
	} {
		for range 3 {
			if !q.put(f) {
				t.Fatalf("%T had no room", f)
			}
			if got, ok := q.take(); !ok || got != f || q.weight != 0 {
				t.Fatalf("%T did not pass; %d is left", f, q.weight)
			}
		}
	}
}

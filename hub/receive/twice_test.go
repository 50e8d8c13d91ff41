package receive_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"edged/uplink"
	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

// TestWhatGoesTwiceIsWhatTheNetworkHeld (R10), counted at the sender: when a hub is
// killed one Put goes twice at most, and what lay in kernels and was under way, which
// the sender had given away and the hub's disk did not have. Over TCP no more than the
// kernels may hold, over QUIC no more than a stream's window.
// TestAHubHoldsLessThanOnePutOfAConnection has the hub's own part of it. A hub that began
// anew would have it all sent again, which is more: it is killed every 32 MiB.
func TestWhatGoesTwiceIsWhatTheNetworkHeld(t *testing.T) {
	for _, carrier := range []string{"quic", "tcp"} {
		for _, rate := range []int64{600e6, 0} {
			t.Run(fmt.Sprintf("%s at %d Mbit/s", carrier, rate/1e6), func(t *testing.T) {
				w := newWorld(t)
				w.carrier = carrier
				kills := int64(number(t, "HUB_KILLS", 3))
				twice := w.sentTwice(kills, rate)
				t.Logf("%d KiB twice a kill", twice/kills>>10)
				held := int64(8 << 20) // of QUIC, quicConfig
				if carrier == "tcp" {
					held = kernelHolds(t)
				}
				if twice > kills*(held+wire.MaxBody) {
					t.Errorf("%d bytes went twice in %d kills; the network may hold %d", twice, kills, held)
				}
			})
		}
	}
}

// sentTwice is how many bytes more than an object has were sent of it, by an appliance
// whose hub is killed at random bytes.
func (w *world) sentTwice(kills, rate int64) int64 {
	w.addr = freeAddr(w.t)
	hub := w.addr
	w.ca.SaveHub(w.dir)
	child := spawn(w.t, w.dir, hub)
	link := w.road(hub)
	w.addr = link.addr()
	source, size := uplinktest.NewSource(), kills*36<<20
	source.Add(1, int(size), wire.Routine)
	random := rand.New(rand.NewPCG(1, 2))
	u, _ := w.appliance("one", source, func(c *uplink.Config) { c.Shape.Rate = rate })
	for range kills {
		within(w.t, link.after(32<<20+random.Int64N(3<<20)), "bytes on the wire")
		child.Process.Kill()
		child.Wait()
		child = spawn(w.t, w.dir, hub)
	}
	waitFor(w.t, source, uplinktest.Archived)
	return u.Status().BytesSent - size
}

// kernelHolds is what the kernel may hold of one connection and the relay before it: two
// buffers to send from and one to receive into, tcp(7).
func kernelHolds(t *testing.T) int64 {
	t.Helper()
	most := func(name string) (n int64) {
		text, err := os.ReadFile("/proc/sys/net/ipv4/" + name)
		if _, err1 := fmt.Sscan(string(text), new(int64), new(int64), &n); err != nil || err1 != nil {
			t.Skip("the kernel does not say what its buffers may hold")
		}
		return n
	}
	return 2*most("tcp_wmem") + most("tcp_rmem") + 1<<20 // of the relay itself
}

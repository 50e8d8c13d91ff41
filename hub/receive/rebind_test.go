package receive_test

import (
	"testing"
	"time"

	"edged/uplink"
	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

// forget closes the sockets towards the hub, as a router does that loses its table: the
// hub sees the appliance come from another port from then on.
func (r *relay) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for from, up := range r.ups {
		up.Close()
		delete(r.ups, from)
	}
}

// A QUIC connection goes on when its address changes, in the middle of an object, as
// often as that happens (RFC 9000 §9.3): the hub is told nothing twice, and no new
// connection is made. One lane: what a second one would be for is not the address.
func TestQUICGoesOnWhenTheAddressChanges(t *testing.T) {
	w := newWorld(t)
	w.start()
	r := newRelay(t, w.addr)
	w.addr = r.addr()
	const size, changes = 16 << 20, 4
	source := uplinktest.NewSource()
	source.Add(1, size, wire.Routine)
	u, _ := w.appliance("one", source, func(c *uplink.Config) {
		c.Transport, c.LanesMax, c.Shape.Rate, c.Idle = "quic", 1, 100e6, 20*time.Second
	})
	for range changes {
		within(t, r.after(size/(changes+2)), "bytes on the wire")
		r.forget()
	}
	waitFor(t, source, uplinktest.Archived)
	w.identical(source)
	if s := u.Status(); s.Connects != 1 || s.BytesSent != size {
		t.Errorf("%d connections, %d bytes sent of %d: it did not go on: %s", s.Connects, s.BytesSent, size, s.LastError)
	}
}

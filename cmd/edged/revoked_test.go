package main

import (
	"strings"
	"testing"
	"time"

	"edged/internal/synth"
)

// A device that is revoked while it is connected sends nothing from then on; it
// keeps what it has, and goes on when it is approved again (P11).
func TestRevokedWhileConnected(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", "").up()
	objects := synthetic(t, 1, synth.Bench(8, 64<<10))
	c := r.associate("CT1", objects[0].need())
	r.mustStore(c, objects[:4]...)
	r.mustArriveOnce(r.keep(objects[:4]...))
	r.revoke()
	r.await("the connection to be ended", func() bool { return !r.status().Uplink.Connected })
	r.mustStore(c, objects[4:]...)
	stays(t, 2*time.Second, "everything waits here", func() bool { return r.waiting() == 4 })
	device := strings.Fields(lastLine(r.must("hubd", "devices", "ls", "-c", r.path("hubd.yaml"))))[0]
	r.must("hubd", "devices", "approve", device, "-c", r.path("hubd.yaml"))
	r.mustArriveOnce(r.keep(objects...))
}

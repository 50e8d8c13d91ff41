package main

import (
	"errors"
	"net"
	"testing"
	"time"
)

func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }

// slowly lets the transfer of the stream below last some seconds, so that what
// happens to it happens in the middle.
const slowly = "uplink: {hubs: [\"$HUB\"], rate: 120Mbit/s}\n"

// stream starts a modality with many objects and one with a large one; result
// waits for both and gives what was answered.
func (r *rig) stream() (result func() []sentLine) {
	r.t.Helper()
	args := func(calling, seed, profile string) []string {
		return []string{"send", "--to", "EDGED@" + r.dicom, "--json", "--keep", r.path("sent"), "--calling", calling,
			"--seed", seed, "--profile", profile, "--retry", "200s", "--timeout", "60s"}
	}
	many := start(r.t, bin(r.t, "modsim"), args("MANY", "5", "bench:40x512KiB")...)
	one := start(r.t, bin(r.t, "modsim"), args("LARGE", "6", "large:64MiB")...)
	return func() (all []sentLine) {
		for _, p := range []*proc{many, one} {
			select {
			case <-p.done:
			case <-time.After(patience):
				r.t.Fatal("the modality does not end")
			}
			if p.cmd.ProcessState.ExitCode() != 0 {
				r.t.Fatalf("modsim: not everything was answered 0000:\n%s", p.said.String())
			}
			all = append(all, sentLines(p.said.String())...)
		}
		if len(all) != 41 {
			r.t.Fatalf("%d objects were sent, want 41", len(all))
		}
		return all
	}
}

// waiting are the objects that have not reached the hub.
func (r *rig) waiting() (n int) {
	for _, o := range r.rows() {
		if o.State == "received" || o.State == "sending" {
			n++
		}
	}
	return n
}

// A hub that dies in mid-object, again and again, costs time and nothing else: the
// appliance finds it again by itself, each time.
func TestDisaster10TheHubGoesAndComesBack(t *testing.T) {
	r, line := overRelay(t)
	sent := r.stream()
	const kills = 5
	for range kills {
		began, from := time.Now(), line.toHub.Load()
		r.await("a transfer to be in the middle", func() bool { return line.toHub.Load() > from+3<<20 })
		t.Logf("bytes flowed after %s", time.Since(began).Round(time.Millisecond))
		moment(1, 100)
		if r.count("at_hub")+r.count("archived") == 41 { // nothing may wait because nothing has come yet
			t.Error("a kill came after all was sent")
		}
		r.hubd.kill()
		r.startHub()
	}
	r.mustArriveOnce(sent())
	t.Logf("kills=%d objects=41 bytes to the hub %d for %d of objects", kills, line.toHub.Load(), streamBytes)
}

// streamBytes are the data sets of a stream.
const streamBytes = 40*512<<10 + 64<<20

// overRelay is a rig with a line that can be cut and measured.
func overRelay(t *testing.T) (*rig, *relay) {
	t.Helper()
	r := newRig(t, "", "")
	line := newRelay(t, r.hub)
	r.rewrite("edged.yaml", "uplink: {hubs: [\""+line.address()+"\"], rate: 120Mbit/s}")
	return r.up(), line
}

// An appliance that dies while it receives and sends loses nothing that it
// acknowledged; the modality repeats the rest; each object is archived once.
func TestEdgedKilledInMidRun(t *testing.T) {
	r := newRig(t, slowly, "").up()
	sent := r.stream()
	for range 6 {
		moment(200, 900)
		r.edged.kill()
		r.startEdged()
	}
	r.mustArriveOnce(sent())
	r.must("edged", "spool", "verify", "-c", r.path("edged.yaml"))
	if st := r.status(); st.Counters.Received != 41 || st.Counters.Archived != 41 {
		t.Errorf("counters %+v, want 41 received and archived", st.Counters)
	}
}

// A line that swallows everything for a while is sat out.
func TestLinkCutForAWhile(t *testing.T) {
	r, line := overRelay(t)
	sent := r.stream()
	r.await("the transfer to be in the middle", func() bool { return line.toHub.Load() > 16<<20 })
	line.cut.Store(true)
	before := r.count("archived")
	stays(t, 8*time.Second, "nothing passes a line that is cut", func() bool { return r.waiting() > 0 })
	line.cut.Store(false)
	r.mustArriveOnce(sent())
	// What had arrived before the cut is not sent again: resume, not repeat.
	if n := line.toHub.Load(); n < streamBytes || n > streamBytes*5/4 {
		t.Errorf("%d bytes went to the hub for %d bytes of objects", n, streamBytes)
	}
	t.Logf("archived before the cut %d, bytes to the hub %d for %d of objects", before, line.toHub.Load(), streamBytes)
}

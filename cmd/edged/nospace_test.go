package main

import (
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"edged/agent/status"
	"edged/dimse"
	"edged/internal/synth"
)

// P7 with next to no reserve, so that the write itself finds no room, wherever in
// an object that is: A700, the association lives, nothing partial remains, nothing
// acknowledged is touched, and as soon as there is room the next object is taken on
// the same association. Killed with no byte free it comes back with everything.
func TestDiskFullInTheMiddleOfAWrite(t *testing.T) {
	for _, fs := range []struct {
		name string
		size int64
		mkfs []string
	}{{"ext4", 40 << 20, []string{"mkfs.ext4", "-q", "-m", "0"}}, {"xfs", 320 << 20, []string{"mkfs.xfs", "-q"}}} {
		t.Run(fs.name, func(t *testing.T) {
			r := newRig(t, "spool: {allow_unsafe_filesystem: true, reserve_bytes: 4KiB}\n"+alone, "")
			r.smallDiskOf("edge", fs.size, fs.mkfs...)
			r.startEdged()
			noRoom(r)
		})
	}
}

func noRoom(r *rig) {
	t := r.t
	const step, steps = 256 << 10, 8
	objects := synthetic(t, 21, synth.Bench(160, 150_000))
	c := r.associate("CT1", objects[0].need())
	r.mustStore(c, objects[:3]...)
	kept, next := slices.Clone(objects[:3]), 3
	fill := newFiller(r)
	for k := range int64(steps + 1) {
		fill.leave(k*step + k*4096) // not in step with the objects
		before := len(kept)
		kept = append(kept, r.fill(c, objects[next:])...)
		next += len(kept) - before // the one that was refused comes again below
		fill.leave(0)
		if next == len(objects) {
			t.Fatalf("step %d: the disk does not fill up", k)
		}
		// What the appliance gives back itself is room: an index that is made again, say.
		st := r.store(c, objects[next])
		for try := 0; st.IsSuccess() && try < 3; try++ {
			kept, next = append(kept, objects[next]), next+1
			fill.leave(0)
			st = r.store(c, objects[next])
		}
		if st != dimse.StatusOutOfResources {
			t.Errorf("step %d: with no byte free an object was answered %s", k, st)
		}
		if rsp, err := c.Echo(t.Context()); err != nil || !rsp.Status.IsSuccess() {
			t.Fatalf("step %d: the association did not survive: %s, %v", k, rsp.Status, err)
		}
		if names := r.inSpool("tmp"); len(names) > 0 {
			t.Errorf("step %d: left behind: %v", k, names)
		}
		if k == steps/2 { // the power goes while there is no byte free
			r.restartFull(len(kept))
		}
		fill.empty()
		began := time.Now()
		if k == steps/2 {
			r.await("images to be taken again", func() bool { return r.status().DICOM.Ready })
			c = r.associate("CT1", objects[0].need())
		}
		r.mustStore(c, objects[next])
		if took := time.Since(began); took > time.Minute {
			t.Errorf("step %d: images are taken again after %v", k, took)
		}
		kept, next = append(kept, objects[next]), next+1
	}
	r.await("the commands to reach it, now that there is room", func() bool { return len(r.rows()) == len(kept) })
	r.mustHold(kept)
	t.Logf("steps=%d acked=%d lost=0", steps+1, len(kept))
}

// restartFull kills the appliance and starts it with no byte free. It comes up and
// knows everything, also where the file system has no room for the name of the
// control socket (XFS makes no inode without a free block).
func (r *rig) restartFull(objects int) {
	r.t.Helper()
	r.edged.kill()
	r.edged = start(r.t, bin(r.t, "edged"), "run", "-c", r.path("edged.yaml"))
	r.await("the spool to be recovered", func() bool { return r.objectsShown() == objects })
}

// objectsShown is how many objects the page counts, -1 while there is no page.
func (r *rig) objectsShown() int {
	rsp, err := http.Get("http://" + r.page + "/api/v1/status")
	if err != nil {
		return -1
	}
	defer rsp.Body.Close()
	var st status.Status
	if json.NewDecoder(rsp.Body).Decode(&st) != nil {
		return -1
	}
	return int(st.Spool.Objects)
}

// filler takes space beside the appliance's files, to the block.
type filler struct {
	r    *rig
	f    *os.File
	size int64
}

func newFiller(r *rig) *filler {
	r.t.Helper()
	f, err := os.Create(r.path("edge/filler"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { f.Close() })
	return &filler{r: r, f: f}
}

// leave takes all but free bytes.
func (l *filler) leave(free int64) {
	l.r.t.Helper()
	if err := unix.Syncfs(int(l.f.Fd())); err != nil { // what was freed a moment ago is free only now
		l.r.t.Fatal(err)
	}
	step := l.avail() - free
	for range 100 { // a file system keeps blocks for its own books: the rest is asked for in ever smaller pieces
		if step = min(step, l.avail()-free); step < 4096 {
			return
		}
		switch err := unix.Fallocate(int(l.f.Fd()), 0, l.size, step); err {
		case nil:
			l.size += step
		case unix.ENOSPC:
			step /= 2
		default:
			l.r.t.Fatal(err)
		}
	}
}

// empty gives it all back.
func (l *filler) empty() {
	l.r.t.Helper()
	if err := l.f.Truncate(0); err != nil {
		l.r.t.Fatal(err)
	}
	l.size = 0
}

func (l *filler) avail() int64 {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(l.f.Fd()), &st); err != nil {
		l.r.t.Fatal(err)
	}
	return int64(st.Bavail) * st.Bsize
}

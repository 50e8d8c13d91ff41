package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"testing"

	"edged/dimse"
	"edged/internal/synth"
)

// P4: a modality that repeats itself a thousand times has one object here, and the
// file of the first copy is never touched. The modality is DCMTK's storescu.
func TestThousandResends(t *testing.T) {
	needs(t, "storescu")
	t.Parallel()
	r := newRig(t, alone, "")
	names := r.make("bench:1x96KiB", 1)
	r.startEdged()
	host, port, _ := net.SplitHostPort(r.dicom)
	send := func(times string) {
		t.Helper()
		if said, code := run2(t, "storescu", "-aet", "CT1", "-aec", "EDGED", "--repeat", times, host, port, names[0]); code != 0 {
			t.Fatalf("storescu: exit %d, %s", code, said)
		}
	}
	send("1")
	before := r.onlyFile()
	send("1000")
	if after := r.onlyFile(); !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) || before.Size() != after.Size() {
		t.Error("the first copy was touched")
	}
	r.edged.kill()
	r.startEdged()
	send("10")
	if after := r.onlyFile(); !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
		t.Error("the first copy was touched after a restart")
	}
	if c := r.status().Counters; c.Received != 1 || c.Refused != 0 || len(r.rows()) != 1 {
		t.Errorf("%+v, %d objects; want one", c, len(r.rows()))
	}
	r.must("edged", "spool", "verify", "-c", r.path("edged.yaml"))
}

// onlyFile wants one object on the disk.
func (r *rig) onlyFile() fs.FileInfo {
	r.t.Helper()
	names := r.inSpool("objects")
	if len(names) != 1 {
		r.t.Fatalf("%d files of objects, want one", len(names))
	}
	info, err := os.Stat(names[0])
	if err != nil {
		r.t.Fatal(err)
	}
	return info
}

// breaksOff is a data set whose sender dies after some bytes.
type breaksOff struct {
	from io.Reader
	left int64
	die  func()
}

func (b *breaksOff) Read(p []byte) (int, error) {
	if b.left <= 0 {
		b.die()
		return 0, errors.New("the modality was switched off")
	}
	n, err := b.from.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// P7, R15: a modality that breaks off in the middle, fifty times, by an abort or
// by a connection that just ends, leaves nothing behind, in no list and on no
// disk, and the next one finds the door open.
func TestCutAtFiftyBytes(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
	r.startEdged()
	o := synthetic(t, 5, synth.Bench(1, 8<<20))[0]
	size := int64(len(o.data))
	for i := range 50 {
		cfg := r.dimseConfig("CT1", "EDGED", o.need())
		var line net.Conn
		cfg.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			var err error
			line, err = (&net.Dialer{}).DialContext(ctx, network, address)
			return line, err
		}
		c, err := dimse.Dial(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		cut := &breaksOff{from: &repeated{o.data, 0}, left: rand.Int64N(size), die: func() {}}
		if i%2 == 0 {
			cut.die = func() { line.Close() }
		}
		if rsp, err := c.Store(t.Context(), o.request(), cut); err == nil {
			t.Fatalf("half an object was answered %s", rsp.Status)
		}
		c.Abort()
	}
	r.await("nothing to be left of what was cut", func() bool { return len(r.inSpool("tmp"))+len(r.inSpool("objects")) == 0 })
	if n := len(r.rows()) + len(r.inSpool("quarantine")); n != 0 {
		t.Errorf("%d objects are shown", n)
	}
	r.mustStore(r.associate("CT1", o.need()), o)
	r.mustHold([]object{o})
	if c := r.status().Counters; c.Received != 1 {
		t.Errorf("%+v, want one received", c)
	}
}

// repeated reads b over and over.
type repeated struct {
	b  []byte
	at int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.b[r.at:])
	r.at = (r.at + n) % len(r.b)
	return n, nil
}

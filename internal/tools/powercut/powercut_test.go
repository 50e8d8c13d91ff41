package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"edged/spool"
)

func TestMain(m *testing.M) {
	spool.ProbeMain()
	inOwnMounts()
	code := m.Run()
	os.RemoveAll(programDir)
	os.Exit(code)
}

// needsDisks skips where no disk can be made, and builds the programs.
func needsDisks(t *testing.T) (bin string) {
	t.Helper()
	if why := missing(); why != "" {
		t.Skip(why)
	}
	if testing.Short() {
		t.Skip("builds and runs the real programs")
	}
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// programs builds edged and hubd once for all tests.
var programs = sync.OnceValues(func() (string, error) {
	var err error
	if programDir, err = os.MkdirTemp("", "powercut-bin-"); err != nil {
		return "", err
	}
	return programDir, build(context.Background(), programDir, "", "edged/cmd/edged", "edged/cmd/hubd", "edged/internal/tools/powercut")
})

var programDir string // removed by TestMain

// P1, P2, R1: 400 power cuts on journalled ext4 and XFS, one and eight
// associations, with and without a hub, undisturbed and with a kill and a failing
// write: what a modality was told is stored is there, byte for byte, or in the
// archive, and nothing is listed as whole that is not. The tool runs as it is,
// without the race detector: most of the work is to compare bytes.
func TestPowerCutsLoseNothing(t *testing.T) {
	bin := needsDisks(t)
	seed := fmt.Sprint(time.Now().UnixNano() % 1e6)
	var said strings.Builder
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "powercut"), "-bin", bin, "-cuts", "200", "-seed", seed)
	cmd.Env = withoutOwnMounts()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	lines := sumLine.FindAllStringSubmatch(said.String(), -1)
	if err != nil || len(lines) != 2 {
		t.Fatalf("seed %s: %v: %s", seed, err, said.String())
	}
	for _, l := range lines {
		t.Logf("seed %s: %s", seed, l[0])
		if l[2] != "200" || l[3] == "0" || l[4] != "0" || l[5] != "0" {
			t.Errorf("a promise is broken, or nothing was proved: %s", l[0])
		}
	}
}

// R6, SPOOL-4: from the moment at which the disk's flushes fail no Success is
// answered, and a power cut then takes nothing of what was answered before.
func TestFailedFlushIsNeverAnsweredWithSuccess(t *testing.T) {
	t.Parallel() // mostly it waits until the spool is opened again
	mustOpenAgain(t, "flushes failed", story{associations: 1, objects: 16, seed: 3, badFlushes: true})
}

// R6, P8: after a write that failed nothing is believed; the spool is opened anew
// without help, and what was refused meanwhile is stored. A power cut at any
// moment of that takes nothing that was answered with Success.
func TestFailedWriteIsRecoveredAndLosesNothing(t *testing.T) {
	t.Parallel() // mostly it waits until the spool is opened again
	mustOpenAgain(t, "a write failed", story{associations: 2, objects: 16, seed: 4, badWrite: true})
}

// mustOpenAgain plays a story of a bad disk on each file system.
func mustOpenAgain(t *testing.T, what string, s story) {
	t.Helper()
	bin := needsDisks(t)
	for name, kind := range fileSystems {
		s.kind = kind
		r := mustRecord(t, bin, s)
		if !strings.Contains(r.said, "spool stopped, opening it again") {
			t.Errorf("%s: %s and the spool went on", name, what)
		}
		mustLoseNothing(t, r, 12)
	}
}

func mustRecord(t *testing.T, bin string, s story) *recording {
	t.Helper()
	r, err := s.record(t.Context(), bin)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return r
}

func mustLoseNothing(t *testing.T, r *recording, cuts int) {
	t.Helper()
	var sum tally
	if err := r.replay(t.Context(), cuts, t.TempDir(), &sum); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %s", r.story, &sum)
	if sum.bad() || sum.acked == 0 {
		t.Errorf("%s: %s\n%v", r.story, &sum, sum.words)
	}
}

// S8: no patient is on the raw disk, nor in anything that was ever written to it.
func TestNoPatientIsOnTheRawDisk(t *testing.T) {
	bin := needsDisks(t)
	r := mustRecord(t, bin, story{kind: fileSystems["ext4"], associations: 2, objects: 8, seed: 7})
	disk, written := r.base, 0
	for _, o := range r.log {
		disk.write(o.data, o.off)
		written += len(o.data)
	}
	for _, o := range r.sent {
		for _, text := range []string{"PROVA", o.patient, o.SOPInstance} {
			if disk.contains([]byte(text)) || inLog(r.log, text) {
				t.Errorf("%q is on the disk", text)
			}
		}
	}
	if written < 1<<20 || !disk.contains([]byte("EDGED")) {
		t.Errorf("%d bytes were written, and nothing of the spool was found: the search proves nothing", written)
	}
}

func inLog(log []op, text string) bool {
	whole := newImage(0)
	at := int64(0)
	for _, o := range log {
		whole.write(o.data, at)
		at += int64(len(o.data))
	}
	return whole.contains([]byte(text))
}

// What is kept of a write that no flush covers is nothing, a part, or all of it;
// a flush makes it durable, and a flush that failed leaves it in doubt for good.
func TestCutKeepsWhatIsFlushedAndAnyOfTheRest(t *testing.T) {
	page := func(b byte) []byte { return []byte(fmt.Sprintf("%04096d", b)) }
	log := []op{{kind: opWrite, off: 0, data: page(1)}, {kind: opFlush}, {kind: opWrite, off: 4096, data: page(2)}, {kind: opDoubt},
		{kind: opWrite, off: 8192, data: page(3)}, {kind: opMark, mark: 5}}
	seen := map[string]int{}
	for seed := range uint64(100) {
		p := newPlayer(newImage(1 << 20))
		for _, o := range log {
			p.play(o)
		}
		for k := range keeps {
			disk := p.crash(k, newRandom(seed))
			got := ""
			for at := range int64(3) {
				b := make([]byte, 4096)
				disk.read(b, at*4096)
				got += fmt.Sprint(string(b) == string(page(byte(at+1))), " ")
			}
			seen[got]++
		}
		if len(p.acked) != 1 || p.acked[0] != 5 {
			t.Fatalf("acknowledged %v, want 5", p.acked)
		}
	}
	for _, want := range []string{"true false false ", "true true true ", "true false true ", "true true false "} {
		if seen[want] == 0 {
			t.Errorf("never seen: %s; seen %v", want, seen)
		}
	}
	if len(seen) != 4 {
		t.Errorf("what was flushed is not always there: %v", seen)
	}
}

// An overlay is a disk of its own: what is written to it is not in the one below.
func TestOverlayLeavesTheDiskBelowAlone(t *testing.T) {
	below := newImage(1 << 20)
	below.write([]byte("below"), blockBytes-2)
	over := below.overlay()
	over.write([]byte("above"), blockBytes-2)
	a, b := make([]byte, 5), make([]byte, 5)
	below.read(a, blockBytes-2)
	over.read(b, blockBytes-2)
	if string(a) != "below" || string(b) != "above" {
		t.Errorf("below %q, above %q", a, b)
	}
	if !below.contains([]byte("below")) || below.contains([]byte("above")) {
		t.Error("a text across two blocks is not found, or one that is not there is")
	}
}

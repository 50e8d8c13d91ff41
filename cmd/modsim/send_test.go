package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"edged/internal/dicom"
	"edged/internal/synth"
)

func sendTo(t *testing.T, to string, c sendCommand) error {
	t.Helper()
	if err := c.To.UnmarshalText([]byte(to)); err != nil {
		t.Fatal(err)
	}
	all := small(t)
	return c.send(t.Context(), all, newDialer(c.To, 20*time.Second, all).dial, io.Discard)
}

func idOf(t *testing.T, i synth.Instance) dicom.ID {
	t.Helper()
	id, err := i.ID()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Over real TCP every instance arrives once, byte for byte, in its own transfer
// syntax, under the AE title of its modality.
func TestRealAssociationsCarryEveryByte(t *testing.T) {
	a, to := serve(t)
	if err := sendTo(t, to, sendCommand{Associations: 3, Retry: time.Second}); err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, i := range small(t) {
		if n := a.whole[idOf(t, i)]; n != 1 {
			t.Errorf("%s arrived %d times, want once", i.File, n)
		}
	}
	for _, caller := range []string{"SIMCT", "SIMMR", "SIMUS", "SIMMG", "SIMSR"} {
		if a.callers[caller] == 0 {
			t.Errorf("%s never called", caller)
		}
	}
}

// A peer that appears only after a while, as after a restart, gets everything.
func TestPeerThatComesLate(t *testing.T) {
	a, to := serve(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { relay(l, strings.TrimPrefix(to, "ARCHIVIO@")) })
	t.Cleanup(wg.Wait)
	t.Cleanup(func() { l.Close() })
	if err := sendTo(t, "ARCHIVIO@"+l.Addr().String(), sendCommand{Associations: 1, Retry: 30 * time.Second}); err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, i := range small(t) {
		if a.whole[idOf(t, i)] == 0 {
			t.Errorf("%s is missing", i.File)
		}
	}
	if a.broken == 0 {
		t.Error("nothing was cut: the test proves nothing")
	}
}

// An appliance that goes away in mid-run and comes back on the same port, as
// after a restart, gets everything, unaided.
func TestRestartInMidRun(t *testing.T) {
	a, enough := newArchive(), make(chan struct{})
	a.stored = func(n int) {
		if n == 4 {
			close(enough)
			a.stored = nil
		}
	}
	first, address := a.listen(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(t)))) // nobody takes it meanwhile
	c := sendCommand{To: target{"ARCHIVIO", address}, Associations: 2, Retry: 30 * time.Second}
	sent := make(chan error)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		all := small(t)
		sent <- c.send(t.Context(), all, newDialer(c.To, 20*time.Second, all).dial, io.Discard)
	})
	<-enough
	first.Close()
	a.listen(t, address)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, i := range small(t) {
		if a.whole[idOf(t, i)] == 0 {
			t.Errorf("%s is missing", i.File)
		}
	}
}

// relay passes connections on, but hangs up on the first, and cuts the second
// after 20 kB: in the middle of an object.
func relay(l net.Listener, to string) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for n := 1; ; n++ {
		in, err := l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", to)
		if err != nil || n == 1 {
			in.Close()
			continue
		}
		limit := int64(1) << 40
		if n == 2 {
			limit = 20_000
		}
		wg.Go(func() { io.Copy(out, io.LimitReader(in, limit)); out.Close(); in.Close() })
		wg.Go(func() { io.Copy(in, out); in.Close() })
	}
}

// DCMTK receives with --bit-preserving what was sent, to the byte.
func TestStorescpReceivesEveryByte(t *testing.T) {
	dir := t.TempDir()
	to := storescpInto(t, dir, "--accept-all", "--bit-preserving")
	if err := sendTo(t, to, sendCommand{Associations: 1, Retry: time.Second}); err != nil {
		t.Fatal(err)
	}
	for _, i := range small(t) {
		files, _ := filepath.Glob(filepath.Join(dir, "*"+i.Names.SOPInstance))
		if len(files) != 1 {
			t.Errorf("%s: %d files, want one", i.File, len(files))
			continue
		}
		b, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		r, _ := i.Open()
		if want, _ := io.ReadAll(r); !bytes.HasSuffix(b, want) {
			t.Errorf("%s: data set differs at the peer", i.File)
		}
	}
}

// What the command line may look like, and that a wrong one is told by exit code 2.
func TestCommandLine(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	for _, c := range []struct {
		want int
		args string
	}{
		{0, "make --seed 4 --profile small --out " + out},
		{2, "make --profile nonsense --out " + out},
		{2, "make"},
		{2, "make --profile small --alter " + strings.Repeat("x", 65) + " --out " + out},
		{2, "send --to nowhere"},
		{2, "send --to A@127.0.0.1:1 --associations 0"},
		{2, "misbehave --to A@127.0.0.1:1 politely"},
		{1, "misbehave --to A@127.0.0.1:" + strconv.Itoa(freePort(t)) + " http"},
		{1, "send --profile small --retry 0s --to A@127.0.0.1:" + strconv.Itoa(freePort(t))},
	} {
		if got := run(t.Context(), strings.Fields(c.args)); got != c.want {
			t.Errorf("modsim %s: exit %d, want %d", c.args, got, c.want)
		}
	}
	files, err := filepath.Glob(filepath.Join(out, "*", "*.dcm"))
	if err != nil || len(files) != len(small(t)) {
		t.Errorf("%d files, want %d (%v)", len(files), len(small(t)), err)
	}
}

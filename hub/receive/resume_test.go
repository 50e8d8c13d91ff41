package receive_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"edged/hub/door"
	"edged/hub/objects"
	"edged/hub/receive"
	"edged/internal/dicom"
	"edged/uplink"
	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

// partialSize is how many data set bytes the hub's disk has of an object.
func partialSize(t testing.TB, dir string, it *uplinktest.Item) int64 {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, "partial", "*", it.ID.String()))
	if len(files) == 0 {
		return 0
	}
	info, err := os.Stat(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return info.Size() - int64(len(dicom.Preface(it.Names)))
}

// lastOffset is where the newest Open began and how many there were.
func lastOffset(s *uplinktest.Source, it *uplinktest.Item) (offset int64, opens int) {
	s.With(func(*uplinktest.Source) {
		if opens = len(it.Offsets); opens > 0 {
			offset = it.Offsets[opens-1]
		}
	})
	return offset, opens
}

func within(t testing.TB, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatal("gave up waiting for", what)
	}
}

// reopened waits for the n-th Open of an object.
func reopened(t testing.TB, s *uplinktest.Source, it *uplinktest.Item, n int) int64 {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if offset, opens := lastOffset(s, it); opens >= n {
			return offset
		}
		<-time.After(2 * time.Millisecond) // real processes: nothing to wait on
	}
	t.Fatalf("object not opened %d times", n)
	return 0
}

const hubChild = "UPLINK_TEST_HUB_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(hubChild); dir != "" {
		fmt.Fprintln(os.Stderr, runHub(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// The child is not given the test's CA: it trusts and shows what the parent
// wrote into its directory.
func runHub(dir string) error {
	ledger, err := openLedger(filepath.Join(dir, "ledger"))
	if err != nil {
		return err
	}
	store, err := objects.Open(objects.Config{Dir: filepath.Join(dir, "store")})
	if err != nil {
		return err
	}
	tls, err := uplinktest.LoadHub(dir)
	if err != nil {
		return err
	}
	server, err := receive.New(receive.Config{TLS: tls, Device: uplinktest.Device, Ledger: ledger, Objects: store, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	l, pc, err := samePort(os.Getenv("UPLINK_TEST_HUB_ADDR"))
	if err != nil {
		return err
	}
	d := door.New(door.Config{UplinkTLS: server.TLS(), HTTPTLS: tls, Appliance: server.ServeTCP, Logger: slog.New(slog.DiscardHandler)})
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { d.Serve(context.Background(), l) })
	return server.Serve(context.Background(), pc)
}

// spawn starts a hub as a process of its own.
func spawn(t testing.TB, dir, addr string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), hubChild+"="+dir, "UPLINK_TEST_HUB_ADDR="+addr)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd
}

func freeAddr(t testing.TB) string {
	l, pc, err := samePort("")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	pc.Close()
	return l.Addr().String()
}

// TestHubKilledInMidObject kills the hub with SIGKILL at random bytes of one
// object (R10). Each time the appliance must go on exactly where the hub's
// disk ends, so that at most what was not yet read from the network goes twice.
func TestHubKilledInMidObject(t *testing.T) { overBoth(t, hubKilled) }

func hubKilled(t *testing.T, w *world) { killInMidObject(t, w, 22, 40<<20) }

// TestHubStoppedHardAmongManyObjects cuts the hub off, in process, while many
// objects are under way.
func TestHubStoppedHardAmongManyObjects(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.start()
		link := w.road(w.addr)
		hub := w.addr
		w.addr = link.addr()
		source := uplinktest.NewSource()
		for i := range 60 {
			source.Add(uint64(i), 200_000, uint8(i%wire.Classes))
		}
		u, _ := w.appliance("one", source, nil)
		u.SetShape(uplink.Shape{Rate: 300e6})
		for range 5 {
			within(t, link.after(1<<20), "bytes on the wire")
			w.stop()
			w.addr = hub
			w.start()
		}
		waitFor(t, source, uplinktest.Archived)
		w.identical(source)
	})
}

// TestApplianceRestartedInMidObject: a new process of the appliance goes on
// where the hub is.
func TestApplianceRestartedInMidObject(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		const size = 8 << 20
		w.start()
		link := w.road(w.addr)
		w.addr = link.addr()
		source := uplinktest.NewSource()
		big := source.Add(1, size, wire.Routine)
		for range 5 {
			reached := link.after(1 << 20)
			_, stop := w.appliance("one", source, func(c *uplink.Config) { c.Shape.Rate = 200e6 })
			within(t, reached, "bytes on the wire")
			stop()
		}
		w.appliance("one", source, nil)
		waitFor(t, source, uplinktest.Archived)
		w.identical(source)
		if offset, opens := lastOffset(source, big); opens < 3 || offset < 1<<20 {
			t.Errorf("opened %d times, the last time at %d: it did not resume", opens, offset)
		}
	})
}

// TestLinkCutForAWhile swallows every datagram until both ends gave up.
func TestLinkCutForAWhile(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.start()
		link := w.road(w.addr)
		w.addr = link.addr()
		source := uplinktest.NewSource()
		for i := range 20 {
			source.Add(uint64(i), 500_000, wire.Routine)
		}
		u, _ := w.appliance("one", source, func(c *uplink.Config) {
			c.Idle = time.Second
			c.Shape.Rate = 100e6
		})
		within(t, link.after(2<<20), "bytes on the wire")
		link.cut(true)
		eventually(t, "the loss to be noticed", func() bool { return !u.Status().Connected })
		link.cut(false)
		waitFor(t, source, uplinktest.Archived)
		w.identical(source)
	})
}

// eventually asks until done; only for what can be seen in no other way.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); {
		if time.Now().After(deadline) {
			t.Fatal("gave up waiting for", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

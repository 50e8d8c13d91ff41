package hubtest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"edged/hub/door"
	"edged/hub/hubtest"
	"edged/hub/ledger"
	"edged/hub/objects"
	"edged/hub/receive"
	"edged/internal/dicom"
	"edged/internal/identity"
	"edged/uplink/wire"
)

const patience = 30 * time.Second

// testHub is the hub's rooms over loopback, with real rows and files.
type testHub struct {
	t      *testing.T
	ca     *hubtest.CA
	ledger *ledger.Ledger
	store  *objects.Store
	server *receive.Server
	addr   string
}

func startHub(t *testing.T) *testHub {
	t.Helper()
	dir := t.TempDir()
	h := &testHub{t: t}
	var err error
	if h.ca, err = hubtest.OpenCA(dir); err != nil {
		t.Fatal(err)
	}
	if h.ledger, err = ledger.Open(t.Context(), ledger.Config{Path: filepath.Join(dir, "ledger.db"), Destinations: []ledger.Destination{{Name: "dir", Required: true, Confirm: "dir"}}}); err != nil {
		t.Fatal(err)
	}
	if h.store, err = objects.Open(objects.Config{Dir: filepath.Join(dir, "objects"), Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	authority, err := identity.OpenAuthority(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ids := identity.NewServer(authority, nil)
	h.server, err = receive.New(receive.Config{
		TLS: ids.Uplink(nil), Ledger: h.ledger, Objects: h.store, Logger: slog.New(slog.DiscardHandler), Revoked: h.ledger.Revoked,
		Device: func(st tls.ConnectionState) (string, error) {
			d, err := identity.DeviceOf(st)
			if err == nil {
				_, err = h.ledger.Device(context.Background(), d.ID)
			}
			return d.ID, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	h.serve(ids)
	return h
}

// serve listens on one port number for both carriers.
func (h *testHub) serve(ids *identity.Server) {
	var l net.Listener
	var pc net.PacketConn
	for try := 0; ; try++ {
		var err error
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			h.t.Fatal(err)
		}
		if pc, err = net.ListenPacket("udp", l.Addr().String()); err == nil {
			break
		}
		l.Close()
		if try == 10 {
			h.t.Fatal(err)
		}
	}
	h.addr = l.Addr().String()
	d := door.New(door.Config{UplinkTLS: h.server.TLS(), HTTPTLS: ids.HTTP(), Appliance: h.server.ServeTCP, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { h.server.Serve(ctx, pc) })
	wg.Go(func() { d.Serve(ctx, l) })
	h.t.Cleanup(func() {
		cancel()
		wg.Wait()
		pc.Close()
		h.store.Close()
		h.ledger.Close()
	})
}

// fleet runs one against h until the test ends or the returned function is called.
func (h *testHub) fleet(c hubtest.FleetConfig) (*hubtest.Fleet, func()) {
	h.t.Helper()
	c.Hubs, c.CA = []string{h.addr}, h.ca
	f, err := hubtest.NewFleet(c)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := hubtest.Enrol(h.t.Context(), h.ledger, "TEST", f.IDs()...); err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := f.Run(ctx); err != nil {
			h.t.Error(err)
		}
	})
	stop := sync.OnceFunc(func() { cancel(); wg.Wait() })
	h.t.Cleanup(stop)
	return f, stop
}

func (h *testHub) await(f *hubtest.Fleet, what string, ok func(hubtest.Figures) bool) {
	h.t.Helper()
	ctx, cancel := context.WithTimeoutCause(h.t.Context(), patience, errors.New("waited for "+what))
	defer cancel()
	if err := f.Await(ctx, ok); err != nil {
		h.t.Fatal(err)
	}
}

// A fleet sends over both carriers, and what it counts as received is at the hub, whole.
func TestAFleetSendsAndWhatItCountsIsThere(t *testing.T) {
	h := startHub(t)
	f, _ := h.fleet(hubtest.FleetConfig{Appliances: 20, Carrier: "both"})
	var all []hubtest.Object
	for i := range 20 {
		o := hubtest.Study(uint64(i), 9, hubtest.Kind{Length: 30 << 10, Priority: uint8(i % 3)})
		o = append(o, hubtest.Study(uint64(100+i), 1, hubtest.Kind{Length: 700_000, Priority: uint8(i % 3)})...)
		f.Member(i).Add(o...)
		all = append(all, o...)
	}
	h.await(f, "200 receipts", func(g hubtest.Figures) bool { return g.Received == 200 })
	for _, o := range all {
		stored, err := h.store.Open(o.HubID())
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(stored.DataSet())
		stored.Close()
		if err != nil || !bytes.Equal(data, o.Data()) {
			t.Fatalf("object %s at the hub differs: %v", o.ID, err)
		}
	}
	if missing := f.Missing(false); len(missing) != 0 {
		t.Errorf("%d appliances miss a receipt", len(missing))
	}
	if missing := f.Missing(true); len(missing) != 20 {
		t.Errorf("%d appliances wait for an archive that is not there, want 20", len(missing))
	}
}

// A connection that is cut costs nothing: the next one goes on.
func TestAFleetComesBackAndOffersAgain(t *testing.T) {
	h := startHub(t)
	f, _ := h.fleet(hubtest.FleetConfig{Appliances: 4})
	h.await(f, "all connected", func(g hubtest.Figures) bool { return g.Connected == 4 })
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { h.server.Leave(ctx, 1000) })
	for i := range 4 {
		f.Member(i).Add(hubtest.Study(uint64(i), 50, hubtest.Kind{Length: 100 << 10})...)
	}
	h.await(f, "all sent away", func(g hubtest.Figures) bool { return g.Connected == 0 })
	wg.Wait()
	cancel()
	h.server.Return()
	h.await(f, "all receipts", func(g hubtest.Figures) bool { return g.Received == 200 && g.Dialled > 4 })
}

// What archives confirm is counted once and acknowledged.
func TestConfirmationsAreCountedAndAcknowledged(t *testing.T) {
	h := startHub(t)
	f, _ := h.fleet(hubtest.FleetConfig{Appliances: 2})
	for i := range 2 {
		f.Member(i).Add(hubtest.Study(7, 10, hubtest.Kind{Length: 2 << 10})...) // the same study at both
	}
	h.await(f, "receipts", func(g hubtest.Figures) bool { return g.Received == 20 })
	jobs, err := h.ledger.Lease(t.Context(), "dir", 100, time.Minute)
	if err != nil || len(jobs) != 10 {
		t.Fatalf("%d jobs, %v; want 10 of one study from two appliances", len(jobs), err)
	}
	for _, j := range jobs {
		if err := h.ledger.Done(t.Context(), j, ""); err != nil {
			t.Fatal(err)
		}
	}
	h.await(f, "confirmations", func(g hubtest.Figures) bool { return g.Archived == 20 })
	for deadline := time.Now().Add(patience); ; {
		left, err := h.ledger.Confirmations(t.Context(), f.Member(0).ID(), 0, 10)
		if err == nil && len(left) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d confirmations are not acknowledged, %v", len(left), err)
		}
	}
}

// Objects are data sets that other software reads, of the announced length and ID.
func TestObjectsAreDataSets(t *testing.T) {
	for _, length := range []int64{hubtest.MinLength, 30 << 10, 512 << 10, 3<<20 + 7} {
		objects := hubtest.Study(3, 2, hubtest.Kind{Modality: "DX", Length: length})
		if objects[0].ID == objects[1].ID || objects[0].Study != objects[1].Study {
			t.Fatal("two objects of a study are one, or of two studies")
		}
		o := objects[1]
		data := o.Data()
		h := o.Names().NewHash()
		h.Write(data)
		if int64(len(data)) != o.Length || wire.ID(h.Sum(nil)) != o.ID {
			t.Errorf("%d bytes announced, %d made, or another digest", o.Length, len(data))
		}
		dumped(t, o, data)
	}
	again := hubtest.Study(3, 2, hubtest.Kind{Modality: "DX", Length: 30 << 10})
	if again[1].ID != hubtest.Study(3, 2, hubtest.Kind{Modality: "DX", Length: 30 << 10})[1].ID {
		t.Error("the same seed makes other objects")
	}
}

func dumped(t *testing.T, o hubtest.Object, data []byte) {
	program, err := exec.LookPath("dcmdump")
	if err != nil {
		t.Skip("dcmdump is not installed (Debian: dcmtk)")
	}
	path := filepath.Join(t.TempDir(), "o.dcm")
	if err := os.WriteFile(path, append(dicom.Preface(o.Names()), data...), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program, "-q", "+P", "SOPInstanceUID", "+P", "PixelData", path).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte(o.SOPInstance)) || !bytes.Contains(out, []byte("PixelData")) {
		t.Errorf("dcmdump: %v: %s", err, out)
	}
}

// A day is what its seed says, has the load that the hub is planned for, and is busy
// at its peaks.
func TestADayIsAsBusyAsPlanned(t *testing.T) {
	c := hubtest.DayConfig{Seed: 1, Appliances: 8700, Length: 10 * time.Hour}
	day := hubtest.Day(c)
	objects, bytes, hours := 0, int64(0), [10]int{}
	for _, a := range day {
		objects += a.Count
		bytes += int64(a.Count) * a.Kind.Length
		hours[int(a.At/time.Hour)] += a.Count
	}
	second, gbit := objects/36000, float64(bytes)*8/36000/1e9
	t.Logf("%d studies, %d objects a second, %.1f Gbit/s, by hour %v", len(day), second, gbit, hours)
	if second < 450 || second > 700 || gbit < 5 || gbit > 16 {
		t.Errorf("%d objects a second, %.1f Gbit/s: want about 560 and 7 to 14", second, gbit)
	}
	if peak, low := slices.Max(hours[:]), slices.Min(hours[:]); peak < 2*low {
		t.Errorf("the busiest hour has %d, the calmest %d", peak, low)
	}
	small := hubtest.DayConfig{Seed: 1, Appliances: 300, Objects: 5000, MaxObjects: 100, Shrink: 10, Length: time.Minute}
	if a, b := digest(hubtest.Day(small)), digest(hubtest.Day(small)); a != b {
		t.Error("one seed, two days")
	}
}

func digest(day []hubtest.Arrival) string {
	sum := sha256.Sum256(fmt.Append(nil, day))
	return hex.EncodeToString(sum[:])
}

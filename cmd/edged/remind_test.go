package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"edged/hub/ledger"
	"edged/hub/objects"
	"edged/hub/receive"
	"edged/internal/dicom"
	"edged/spool"
	"edged/uplink"
	"edged/uplink/uplinktest"
)

// offering is a feed with a spool whose clock is an hour slow: what it says to be
// at the hub has been there for an hour.
func offering(t *testing.T, dir string) (*feed, *spool.Spool) {
	t.Helper()
	late := func() time.Time { return time.Now().Add(-time.Hour) }
	s, err := spool.Open(context.Background(), spool.Config{Dir: filepath.Join(dir, "spool"), AllowUnsafeFilesystem: true, BallastBytes: -1, Now: late})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	k := newKeeper(spool.Config{}, slog.New(slog.DiscardHandler), func() {})
	k.set(s, nil)
	return &feed{keeper: k, log: k.log, ledger: filepath.Join(dir, "ledger.json"), device: func() string { return "one" }}, s
}

// kept puts one small object into the spool.
func kept(t *testing.T, s *spool.Spool, instance string) spool.ID {
	t.Helper()
	n := dicom.Names{TransferSyntax: "1.2.840.10008.1.2.1", SOPClass: "1.2.840.10008.5.1.4.1.1.2", SOPInstance: instance}
	m := Meta{TransferSyntax: n.TransferSyntax, SOPClass: n.SOPClass, SOPInstance: n.SOPInstance, Study: "2.25.7"}
	h := n.NewHash()
	h.Write([]byte(instance))
	w, err := s.Create(spool.New{Meta: m.encode(), Preface: dicom.Preface(n), Seed: n.Seed()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(instance)); err != nil {
		t.Fatal(err)
	}
	o, _, err := w.Commit(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if want := spool.ID(h.Sum(nil)); o.ID != want {
		t.Fatalf("the object is %s, want %s", o.ID, want)
	}
	return o.ID
}

func atHub(t *testing.T, f *feed, ids ...spool.ID) {
	t.Helper()
	s, err := f.keeper.get()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		o, err := s.Object(id)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.AtHub(context.Background(), []uplink.Receipt{{ID: dicom.ID(id), Length: o.Length}}); err != nil {
			t.Fatal(err)
		}
	}
}

func wantState(t *testing.T, s *spool.Spool, id spool.ID, want spool.State) {
	t.Helper()
	if o, err := s.Object(id); err != nil || o.State != want {
		t.Errorf("object %s is %v, want %v (%v)", id, o.State, want, err)
	}
}

// P2: the receipts of an identity are nobody's any more when the appliance has
// another one, or when it does not know which hub gave them. The hub would
// confirm them to nobody, and they would stay here for ever.
func TestAnotherIdentityOffersEverythingAgain(t *testing.T) {
	ctx := context.Background()
	f, s := offering(t, t.TempDir())
	l := uplink.Ledger{ID: "ledger", Generation: 1}
	meet := func() {
		t.Helper()
		if err := f.Meet(ctx, l, false); err != nil {
			t.Fatal(err)
		}
	}
	id := kept(t, s, "1.2.3")
	meet()
	f.reminder.last = time.Now() // no round comes in between
	atHub(t, f, id)
	meet()
	wantState(t, s, id, spool.AtHub)
	f.device = func() string { return "two" }
	meet()
	wantState(t, s, id, spool.Received)
	atHub(t, f, id)
	meet()
	wantState(t, s, id, spool.AtHub)
	if err := os.Remove(f.ledger); err != nil {
		t.Fatal(err)
	}
	meet()
	wantState(t, s, id, spool.Received)
}

// What is at the hub for long is offered again at a new connection; what is held
// or archived is not, and not twice within an hour.
func TestLongUnarchivedIsOfferedAgain(t *testing.T) {
	ctx := context.Background()
	f, s := offering(t, t.TempDir())
	l := uplink.Ledger{ID: "ledger", Generation: 1}
	if err := f.Meet(ctx, l, false); err != nil {
		t.Fatal(err)
	}
	waits, held, archived := kept(t, s, "1.2.1"), kept(t, s, "1.2.2"), kept(t, s, "1.2.3")
	atHub(t, f, waits, held, archived)
	if err := s.Hold(ctx, held); err != nil {
		t.Fatal(err)
	}
	if err := f.Archived(ctx, []uplink.Confirmation{{ID: dicom.ID(archived), Length: 5, At: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	if err := f.Meet(ctx, l, false); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, waits, spool.Received)
	wantState(t, s, held, spool.Held)
	wantState(t, s, archived, spool.Archived)
	atHub(t, f, waits)
	if err := f.Meet(ctx, l, false); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, waits, spool.AtHub)
}

// A round is due an hour after the last one if the connection is new since, and
// otherwise after six.
func TestRoundsAreRare(t *testing.T) {
	now := time.Now()
	for _, tc := range []struct {
		fresh bool
		since time.Duration
		age   time.Duration // 0: not due
	}{
		{true, 59 * time.Minute, 0}, {true, time.Hour, 10 * time.Minute}, {true, 10 * time.Hour, 10 * time.Minute},
		{false, 5 * time.Hour, 0}, {false, 6 * time.Hour, 6 * time.Hour},
	} {
		r := reminder{last: now.Add(-tc.since), fresh: tc.fresh}
		if age, ok := r.due(now); age != tc.age || ok != (tc.age > 0) {
			t.Errorf("%+v: %s, %v", tc, age, ok)
		}
	}
}

// site is a hub in this process: ledger, objects and the receiving end.
type site struct {
	t    *testing.T
	ca   *uplinktest.CA
	dir  string
	addr string
}

func (h *site) start() (store *objects.Store, stop func()) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	rows, err := ledger.Open(ctx, ledger.Config{Path: filepath.Join(h.dir, "ledger.db"), Destinations: []ledger.Destination{{Name: "vna", Required: true}}})
	if err != nil {
		h.t.Fatal(err)
	}
	if store, err = objects.Open(objects.Config{Dir: filepath.Join(h.dir, "objects")}); err != nil {
		h.t.Fatal(err)
	}
	pc, err := net.ListenPacket("udp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	server, err := receive.New(receive.Config{TLS: h.ca.Hub(), Device: uplinktest.Device, Ledger: rows, Objects: store, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		h.t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { server.Serve(ctx, pc) })
	stop = sync.OnceFunc(func() { cancel(); wg.Wait(); pc.Close(); store.Close(); rows.Close() })
	h.t.Cleanup(stop)
	return store, stop
}

// P2: a hub that was restored from an older backup without a word has no row of
// what came after it. The appliance brings it again, and nothing is stranded.
func TestAHubRestoredWithoutAWordGetsEverythingAgain(t *testing.T) {
	dir := t.TempDir()
	f, s := offering(t, dir)
	h := &site{t: t, ca: uplinktest.NewCA(t), dir: filepath.Join(dir, "hub"), addr: testAddress()}
	if err := os.Mkdir(h.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	_, stop := h.start()
	stop()
	backup := filepath.Join(dir, "backup")
	if err := os.CopyFS(backup, os.DirFS(h.dir)); err != nil {
		t.Fatal(err)
	}
	_, stop = h.start()
	link, err := uplink.New(uplink.Config{Hubs: []string{h.addr}, TLS: h.ca.Appliance("one"), Source: f, Keeper: f, BootID: []byte("b"), DataDirID: []byte("d"),
		RetryMin: 10 * time.Millisecond, RetryMax: 100 * time.Millisecond, Idle: 3 * time.Second, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { link.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	id := kept(t, s, "1.2.3")
	state := func() spool.State { o, _ := s.Object(id); return o.State }
	awaitFor(t, patience, "the receipt", func() bool { return state() == spool.AtHub })
	stop()
	if err := os.RemoveAll(h.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(backup, h.dir); err != nil {
		t.Fatal(err)
	}
	store, _ := h.start()
	awaitFor(t, patience, "the object to come again", func() bool {
		o, err := store.Open(dicom.ID(id))
		if err == nil {
			o.Close()
		}
		return err == nil && state() == spool.AtHub
	})
}

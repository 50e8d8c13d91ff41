package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"edged/internal/dicom"
	"edged/spool"
	"edged/uplink"
	"edged/uplink/uplinktest"
	"edged/uplink/uplinktest/liar"
	"edged/uplink/wire"
)

// liarCarriers are what each lie is told over.
var liarCarriers = []string{"quic", "tcp"}

// TestALyingHubDeletesNothing (R11): whatever a hub with good certificates says that
// cannot be true, over either carrier, no object of the spool is forgotten, and none
// counts as at the hub. The spool forgets an archived object at once here, so one
// false word that is believed shows as a deletion; TestAnHonestHubDeletes is the
// proof that it would.
func TestALyingHubDeletesNothing(t *testing.T) {
	for _, carrier := range liarCarriers {
		for _, v := range liar.Variants() {
			t.Run(carrier+" "+v.Name, func(t *testing.T) {
				t.Parallel()
				lieTo(t, carrier, v)
			})
		}
	}
}

func lieTo(t *testing.T, carrier string, v liar.Variant) {
	a := newLiedTo(t, 3, max(v.Size, 3000))
	story := liar.NewStory()
	var addrs []string
	hubs := make([]*liar.Hub, max(v.Nodes, 1))
	for i := range hubs {
		hubs[i] = liar.Serve(t, a.ca, v.Script(story))
		addrs = append(addrs, hubs[i].Addr)
	}
	a.call(carrier, max(v.Lanes, 1), addrs...)
	switch v.Verdict {
	case liar.NotBelieved:
		a.await("disbelief", func(s uplink.Status) bool { return s.NotBelieved > 0 && len(s.SetAside) == 1 })
	case liar.Ended:
		a.await("the end", func(s uplink.Status) bool { return s.LastError != "" })
	case liar.Unmoved:
		a.await("the honest receipt", func(uplink.Status) bool { return a.spool.Stats().ByState[spool.AtHub] == 1 })
	}
	a.stop()
	for _, id := range a.ids {
		o, err := a.spool.Object(id)
		if err != nil {
			t.Errorf("object %s: %v", id, err)
			continue
		}
		if fair := story.Fair(wire.ID(id)); o.State != spool.Received && !(fair && o.State == spool.AtHub) {
			t.Errorf("object %s is %s (a receipt that is true: %t)", id, o.State, fair)
		}
	}
	for _, hub := range hubs {
		if n := hub.Accepted.Load(); v.Verdict == liar.NotBelieved && n > int64(2*max(v.Lanes, 1)+1) {
			t.Errorf("%d connections to a hub that is not believed", n)
		}
	}
}

// TestAnHonestHubDeletes: with receipt and confirmation the spool forgets, so that
// the lies above had something to gain.
func TestAnHonestHubDeletes(t *testing.T) {
	for _, carrier := range liarCarriers {
		a := newLiedTo(t, 3, 3000)
		hub := liar.Serve(t, a.ca, func(c *liar.Conn) {
			c.Welcome()
			for i := range 3 {
				if o := c.Offers(i + 1); len(o) > i && c.Take(o[i]) {
					c.Receipt(o[i])
					c.Archived(o[i])
				}
			}
		})
		a.call(carrier, 1, hub.Addr)
		for _, id := range a.ids {
			a.await("to be forgotten", func(uplink.Status) bool {
				_, err := a.spool.Object(id)
				return errors.Is(err, spool.ErrUnknown)
			})
		}
		a.stop()
	}
}

// liedTo is an appliance's spool and feed, as the daemon has them, and an uplink.
type liedTo struct {
	t     *testing.T
	ca    *uplinktest.CA
	spool *spool.Spool
	feed  *feed
	ids   []spool.ID
	link  *uplink.Uplink
	stop  func()
}

func newLiedTo(t *testing.T, objects, size int) *liedTo {
	t.Helper()
	s, err := spool.Open(t.Context(), spool.Config{Dir: t.TempDir(), AllowUnsafeFilesystem: true, BallastBytes: -1, ReserveBytes: -1, RetainArchived: -1})
	if err != nil {
		t.Fatal(err)
	}
	k := newKeeper(spool.Config{}, slog.New(slog.DiscardHandler), func() {})
	k.set(s, nil)
	a := &liedTo{t: t, ca: uplinktest.NewCA(t), spool: s, feed: &feed{keeper: k, log: k.log, ledger: filepath.Join(t.TempDir(), "ledger.json")}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) }) // it deletes what may be forgotten
	t.Cleanup(func() { cancel(); wg.Wait(); s.Close() })
	for i := range objects {
		a.store(i, size)
	}
	return a
}

func (a *liedTo) store(i, size int) {
	a.t.Helper()
	n := dicom.Names{TransferSyntax: "1.2.840.10008.1.2.1", SOPClass: "1.2.840.10008.5.1.4.1.1.2", SOPInstance: "2.25." + string(rune('1'+i))}
	meta := Meta{TransferSyntax: n.TransferSyntax, SOPClass: n.SOPClass, SOPInstance: n.SOPInstance, Study: "2.25.7", Calling: "CT1"}
	w, err := a.spool.Create(spool.New{Group: "2.25.7", Name: n.SOPInstance, Priority: spool.Routine, Meta: meta.encode(), Preface: dicom.Preface(n), Seed: n.Seed()})
	if err != nil {
		a.t.Fatal(err)
	}
	if _, err := io.CopyN(w, rand.NewChaCha8([32]byte{byte(i)}), int64(size)); err != nil {
		a.t.Fatal(err)
	}
	o, _, err := w.Commit(context.Background())
	if err != nil {
		a.t.Fatal(err)
	}
	a.ids = append(a.ids, o.ID)
}

// call has an uplink send to hubs until stop.
func (a *liedTo) call(carrier string, lanes int, hubs ...string) {
	a.t.Helper()
	u, err := uplink.New(uplink.Config{
		Hubs: hubs, TLS: a.ca.Appliance("one"), Source: a.feed, Keeper: a.feed, BootID: []byte("b"), DataDirID: []byte("d"),
		Transport: carrier, LanesMin: lanes, LanesMax: lanes, RetryMin: time.Millisecond, RetryMax: 10 * time.Millisecond,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		a.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := u.Run(ctx); err != nil {
			a.t.Error(err)
		}
	})
	a.link, a.stop = u, sync.OnceFunc(func() { cancel(); wg.Wait() })
	a.t.Cleanup(a.stop)
}

func (a *liedTo) await(what string, done func(uplink.Status) bool) {
	a.t.Helper()
	for deadline := time.Now().Add(patience); !done(a.link.Status()); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			a.t.Fatalf("waited for %s: %+v", what, a.link.Status())
		}
	}
}

// TestABadNodeQuarantinesNothing: one node of the hub finds a digest mismatch in
// whatever it gets. The copies here are good, and are read to see it: they stay what they
// are, the node is set aside, and the other one gets them (P14).
func TestABadNodeQuarantinesNothing(t *testing.T) {
	for _, carrier := range liarCarriers {
		t.Run(carrier, func(t *testing.T) {
			a := newLiedTo(t, 3, 3000)
			bad := liar.Serve(t, a.ca, func(c *liar.Conn) {
				c.Welcome()
				for n := 0; ; n++ {
					o := c.Offers(n + 1)
					if len(o) == n || !c.Take(o[n]) {
						return
					}
					c.Trouble(wire.ProblemDigest, o[n].ID, 0)
				}
			})
			good := liar.Serve(t, a.ca, func(c *liar.Conn) {
				c.Welcome()
				for n := 0; ; n++ {
					o := c.Offers(n + 1)
					if len(o) == n || !c.Take(o[n]) {
						return
					}
					c.Receipt(o[n])
				}
			})
			a.call(carrier, 1, bad.Addr, good.Addr)
			a.await("the other node to have all", func(uplink.Status) bool { return a.spool.Stats().ByState[spool.AtHub] == 3 })
			if s := a.link.Status(); len(s.SetAside) != 1 || s.SetAside[0] != bad.Addr || s.Hub != good.Addr {
				t.Errorf("set aside %v, in use %s", s.SetAside, s.Hub)
			}
			if n := a.spool.Stats().ByState[spool.Quarantined]; n != 0 {
				t.Errorf("%d good objects are in quarantine", n)
			}
			a.stop()
		})
	}
}

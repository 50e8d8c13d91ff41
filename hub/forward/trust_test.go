package forward

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edged/dimse"
	"edged/hub"
	"edged/internal/dicom"
)

// classes are SOP classes for tests.
const (
	ctClass = "1.2.840.10008.5.1.4.1.1.2"
	scClass = "1.2.840.10008.5.1.4.1.1.7"
)

// receiveOf receives n objects of a class.
func (b *bench) receiveOf(class string, n int) {
	b.Helper()
	var list []arrival
	for i := range n {
		names := dicom.Names{TransferSyntax: "1.2.840.10008.1.2", SOPClass: class, SOPInstance: fmt.Sprintf("2.25.5%05d", len(b.data)+i)}
		list = append(list, arrival{hub.Object{Names: names, Length: 200, Study: "2.25.98", Device: "d"}, make([]byte, 200)})
	}
	b.receiveAll(list)
}

// mended is an archive that refuses everything in one of its ways until it is put in order.
func mended(refuse string, good *atomic.Bool, kept *received) *archive {
	a := &archive{store: func(rq dimse.StoreRequest, data []byte) dimse.Status {
		if refuse == "contexts" || good.Load() {
			return kept.keep(rq, data)
		}
		return map[string]dimse.Status{"0122": 0x0122, "A900": 0xA900, "C000": 0xC000}[refuse]
	}}
	if refuse == "contexts" {
		a.accepts = func(dimse.Peer, string) bool { return good.Load() }
	}
	return a
}

// A wrong access list or licence on a Friday night: the archive is there, and refuses
// whatever comes, for good as it says. Nothing is given up, the status says what is
// wrong, and when it is mended everything arrives by itself.
func TestAnArchiveThatRefusesEverythingIsNotBelieved(t *testing.T) {
	for _, refuse := range []string{"contexts", "0122", "A900", "C000"} {
		t.Run(refuse, func(t *testing.T) {
			b := newBench(t, "vna")
			b.receiveOf(ctClass, 30)
			b.receiveOf(scClass, 30)
			var good atomic.Bool
			var kept received
			d := cstore(served(t, mended(refuse, &good, &kept)))
			d.trust.probe = 20 * time.Millisecond
			rounds := 0
			f := b.run(func() bool {
				s := b.forwarder.Status()[0]
				if strings.Contains(s.Error, "refused everything") {
					rounds++
				}
				return rounds > 30
			}, d)
			if s := b.stats(); s.Archived != 0 || s.Backlog["vna"].Objects != 60 || s.Backlog["vna"].Quarantined != 0 || !strings.Contains(f.Status()[0].Error, "licence") {
				t.Fatalf("%+v %+v", s, f.Status())
			}
			good.Store(true)
			if f = b.run(b.archived(60), d); f.Status()[0].Error != "" {
				t.Errorf("%+v", f.Status())
			}
			kept.check(b)
		})
	}
}

// The same after it has taken some: so many in a row are believed and no more.
func TestAnArchiveThatBeginsToRefuseEverythingIsSoonNotBelieved(t *testing.T) {
	b := newBench(t, "vna")
	b.receiveOf(ctClass, 10)
	var good atomic.Bool
	var kept received
	good.Store(true)
	d := cstore(served(t, mended("C000", &good, &kept)))
	d.trust.probe = 20 * time.Millisecond
	b.run(b.archived(10), d)
	good.Store(false)
	b.receiveOf(ctClass, 100)
	b.run(func() bool { return strings.Contains(b.forwarder.Status()[0].Error, "has refused the last") }, d)
	if s := b.stats().Backlog["vna"]; s.Quarantined == 0 || s.Quarantined > maxRefused || s.Objects+s.Quarantined != 100 {
		t.Errorf("%+v", s)
	}
	good.Store(true)
	b.run(func() bool { return b.stats().Backlog["vna"].Objects == 0 }, d)
	if s := b.stats(); s.Archived+s.Backlog["vna"].Quarantined != 110 || s.Backlog["vna"].Quarantined > maxRefused {
		t.Errorf("%+v", s)
	}
}

// P6: a long row of one kind that it does not take, before it has taken anything, does
// not keep another kind away, however soon it is tried again; that it refuses the one is
// believed then.
func TestAKindThatIsRefusedHoldsUpNoOther(t *testing.T) {
	b := newBench(t, "vna")
	b.object = Backoff{1, 1} // all are due again when the next are leased
	b.receiveOf(scClass, 200)
	b.receiveOf(ctClass, 3)
	var mu sync.Mutex
	sent, first := 0, 0
	d := cstore(served(t, &archive{store: func(rq dimse.StoreRequest, _ []byte) dimse.Status {
		mu.Lock()
		defer mu.Unlock()
		if rq.SOPClassUID == scClass {
			sent++
			return 0xC000
		}
		if first == 0 {
			first = sent
		}
		return dimse.StatusSuccess
	}}))
	d.trust.probe = time.Hour
	b.run(b.archived(3), d)
	if first > 3*maxWorn {
		t.Errorf("%d were sent in vain first, want about %d", first, maxWorn)
	}
}

// A poison object in the first batch is found to be one as soon as its neighbours are taken.
func TestTheFirstObjectMayBePoison(t *testing.T) {
	b := newBench(t, "vna")
	b.receiveOf(ctClass, 5)
	poison := atomic.Bool{}
	d := NewCStore(CStoreConfig{Name: "vna", Called: "A", Calling: "B", Associations: 1, Address: served(t, &archive{store: func(dimse.StoreRequest, []byte) dimse.Status {
		if poison.CompareAndSwap(false, true) {
			return 0xC000
		}
		return dimse.StatusSuccess
	}})})
	b.run(func() bool { s := b.stats(); return s.Archived == 4 && s.Backlog["vna"].Quarantined == 1 }, d)
}

// Also a STOW-RS answer that lists all as refused for good.
func TestAStowArchiveThatListsEverythingAsRefusedIsNotBelieved(t *testing.T) {
	b := newStowBench(t, 5)
	v := &vna{T: t}
	v.answer = refuseAll
	d := stow(t, StowConfig{URL: v.serve()})
	got, err := b.turn(d)
	if why, _ := d.trust.status(); err != nil || !strings.Contains(why, "refused everything") || len(got) != 5 {
		t.Errorf("%v, %q, %d outcomes", err, why, len(got))
	}
	for _, o := range got {
		if o.verdict != transient || !strings.Contains(o.words, "C000") {
			t.Errorf("%+v", o)
		}
	}
}

func refuseAll(w http.ResponseWriter, _ *http.Request, uids []string) {
	failed := map[string]int{}
	for _, uid := range uids {
		failed[uid] = 0xC000
	}
	said{failed: failed}.write(w, 409)
}

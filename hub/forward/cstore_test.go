package forward

import (
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"edged/dimse"
	"edged/hub"
	"edged/hub/ledger"
	"edged/internal/dicom"
)

func TestWhatAnArchivesAnswerMeans(t *testing.T) {
	for status, want := range map[dimse.Status]verdict{
		0x0000: done, 0xB000: done, 0xB006: done, 0xB007: done,
		0xA700: transient, 0xA701: transient, 0x0210: transient, 0x0211: transient, 0x0110: transient, 0x0124: transient, 0xFE00: transient, 0xFF00: transient,
		0xA900: permanent, 0xA9FF: permanent, 0xC000: permanent, 0xC123: permanent, 0x0122: permanent, 0x0117: permanent, 0x0111: permanent,
	} {
		if got := judge(dimse.Response{Status: status}, ledger.Job{}); got.verdict != want {
			t.Errorf("%v: got %v, want %v", status, got.verdict, want)
		}
	}
	if got := judge(dimse.Response{Status: 0x0111}, ledger.Job{Unanswered: true}); got.verdict != done {
		t.Error("a duplicate after a lost answer is our own")
	}
	if got := judge(dimse.Response{Status: 0x0111}, ledger.Job{Unanswered: true, Conflict: true}); got.verdict != permanent || !strings.Contains(got.words, "other contents") {
		t.Errorf("a duplicate of a UID with two contents: %+v", got)
	}
	if got := judge(dimse.Response{Status: 0xC001, Comment: "no\nroom \x1b[31m"}, ledger.Job{}); got.words != "C001 cannot understand: no room  [31m" || got.why != "C001 cannot understand" {
		t.Errorf("words %q, for the log %q", got.words, got.why)
	}
}

// received is an archive's memory.
type received struct {
	mu sync.Mutex
	by map[string][]byte // SOP Instance UID -> data set
}

func (r *received) keep(rq dimse.StoreRequest, data []byte) dimse.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by == nil {
		r.by = map[string][]byte{}
	}
	r.by[rq.SOPInstanceUID] = data
	return dimse.StatusSuccess
}

func (r *received) check(b *bench) {
	b.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, data := range r.by {
		found := false
		for _, want := range b.data {
			found = found || string(want) == string(data)
		}
		if !found {
			b.Error("the archive has a data set that nobody sent")
		}
	}
}

// P6: a class that the archive's contexts refuse, one that it answers with a
// failure, and one that kills the association: the others arrive.
func TestRefusedObjectsDelayNobodyElse(t *testing.T) {
	b := newBench(t, "vna")
	all := small()
	b.receive(all...)
	classes := map[string]int{}
	for _, in := range all {
		classes[in.Names.SOPClass]++
	}
	const mr, us = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.3.1"
	if classes[mr] == 0 || classes[us] == 0 {
		t.Fatalf("the samples have no MR or US: %v", classes)
	}
	var kept received
	var full atomic.Int32
	a := &archive{accepts: func(_ dimse.Peer, class string) bool { return class != mr }}
	a.store = func(rq dimse.StoreRequest, data []byte) dimse.Status {
		if rq.SOPClassUID == us {
			return 0xC001
		}
		if full.Add(1) <= 2 {
			return dimse.StatusOutOfResources // twice, then there is room
		}
		return kept.keep(rq, data)
	}
	addr, _ := a.serve(t, "127.0.0.1:0")
	refused := classes[mr] + classes[us]
	b.run(func() bool {
		s := b.stats()
		return s.Archived == int64(len(all)-refused) && s.Backlog["vna"].Quarantined == int64(refused)
	}, cstore(addr))
	kept.check(b)
	troubles, err := b.ledger.Troubles(t.Context(), "d", 0, 100)
	if err != nil || len(troubles) != refused {
		t.Errorf("%d troubles, want %d (%v)", len(troubles), refused, err)
	}
}

func TestPoisonThatKillsAssociationsWaitsAlone(t *testing.T) {
	b := newBench(t, "vna")
	all := small()
	b.receive(all...)
	poison := all[3].Names.SOPInstance
	var kept received
	a := &archive{}
	a.store = func(rq dimse.StoreRequest, data []byte) dimse.Status {
		if rq.SOPInstanceUID == poison {
			panic("the archive crashes on this one")
		}
		return kept.keep(rq, data)
	}
	addr, _ := a.serve(t, "127.0.0.1:0")
	b.run(b.archived(len(all)-1), cstore(addr))
	kept.check(b)
	if s := b.stats().Backlog["vna"]; s.Objects != 1 || s.Quarantined != 0 {
		t.Errorf("the poison object: %+v", s)
	}
}

func TestArchiveThatIsDownIsWaitedForAndNoObjectIsJudged(t *testing.T) {
	b := newBench(t, "vna", "dir")
	b.receive(small()...)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	dir := newDir(t, t.TempDir())
	dir.c.Name = "dir"
	total := int64(len(b.data))
	f := b.run(func() bool { return b.stats().Backlog["dir"].Objects == 0 }, cstore(addr), dir) // the other is not delayed
	if s := b.stats(); s.Archived != 0 || s.Backlog["vna"].Objects != total || s.Backlog["vna"].Quarantined != 0 {
		t.Errorf("while down: %+v", s)
	}
	if f.Status()[0].Error == "" || f.Status()[1].Error != "" {
		t.Errorf("status %+v", f.Status())
	}
	var kept received
	var calls atomic.Int32
	a := &archive{store: kept.keep}
	a.admit = func(dimse.Peer) *dimse.Reject { // rejects for a while, in both ways
		switch calls.Add(1) {
		case 1:
			return &dimse.RejectLocalLimit
		case 2:
			return &dimse.RejectCalling
		}
		return nil
	}
	a.serve(t, addr)
	f = b.run(b.archived(int(total)), cstore(addr), dir)
	kept.check(b)
	if f.Status()[0].Error != "" {
		t.Errorf("status %+v", f.Status())
	}
}

// An association carries many objects, not one each.
func TestAssociationsAreReused(t *testing.T) {
	b := newBench(t, "vna")
	b.receive(small()...)
	var associations atomic.Int32
	var kept received
	a := &archive{store: kept.keep, admit: func(dimse.Peer) *dimse.Reject { associations.Add(1); return nil }}
	addr, _ := a.serve(t, "127.0.0.1:0")
	b.run(b.archived(len(b.data)), NewCStore(CStoreConfig{Name: "vna", Address: addr, Called: "A", Calling: "B", Associations: 1}))
	if n := int(associations.Load()); n > 1+len(b.data)/batchSize {
		t.Errorf("%d associations for %d objects", n, len(b.data))
	}
}

func TestDamagedCopyIsNeverSent(t *testing.T) {
	b := newBench(t, "vna")
	b.receive(small()[:3]...)
	for id := range b.data {
		damage(t, b.dir, id)
		break
	}
	var kept received
	a := &archive{store: kept.keep}
	addr, _ := a.serve(t, "127.0.0.1:0")
	b.run(func() bool { s := b.stats(); return s.Archived == 2 && s.Backlog["vna"].Quarantined == 1 }, cstore(addr))
	kept.check(b)
}

// P2: A700 says that the archive has not taken it. A duplicate after that is
// somebody else's, and counting it as archived would lose the image.
func TestDuplicateAfterARefusalIsNotOurs(t *testing.T) {
	b := newBench(t, "vna")
	b.receive(small()[0])
	var calls atomic.Int32
	a := &archive{store: func(dimse.StoreRequest, []byte) dimse.Status {
		if calls.Add(1) == 1 {
			return dimse.StatusOutOfResources
		}
		return dimse.StatusDuplicateInstance
	}}
	addr, _ := a.serve(t, "127.0.0.1:0")
	b.run(func() bool { s := b.stats(); return s.Backlog["vna"].Quarantined == 1 || s.Archived > 0 }, cstore(addr))
	if s := b.stats(); s.Archived != 0 {
		t.Errorf("archived on the word of somebody else's duplicate: %+v", s)
	}
	if last := b.forwarder.Status()[0].Last; !strings.Contains(last, "A700") {
		t.Errorf("why it had to wait: %q", last)
	}
}

// The same when the association was lost before the last byte had left.
func TestDuplicateAfterHalfAnObjectIsNotOurs(t *testing.T) {
	b := newBench(t, "vna")
	n := dicom.Names{TransferSyntax: "1.2.840.10008.1.2", SOPClass: "1.2.840.10008.5.1.4.1.1.7", SOPInstance: "2.25.99"}
	big := make([]byte, 64<<20) // more than the sockets between hold
	b.receiveBytes(hub.Object{Names: n, Length: int64(len(big)), Study: "2.25.98", Device: "d"}, big)
	var calls atomic.Int32
	a := &archive{raw: func(data io.Reader) dimse.Status {
		if calls.Add(1) == 1 {
			io.ReadFull(data, make([]byte, 1000))
			panic("the archive crashes in the middle")
		}
		io.Copy(io.Discard, data)
		return dimse.StatusDuplicateInstance
	}}
	addr, _ := a.serve(t, "127.0.0.1:0")
	b.run(func() bool { s := b.stats(); return s.Backlog["vna"].Quarantined == 1 || s.Archived > 0 }, cstore(addr))
	if s := b.stats(); s.Archived != 0 || calls.Load() < 2 {
		t.Errorf("archived after half an object: %+v", s)
	}
}

// P4: all of it was sent and the answer was lost, also over a restart of the hub:
// the duplicate is our own.
func TestDuplicateAfterALostAnswerIsOurOwn(t *testing.T) {
	b := newBench(t, "vna")
	b.receive(small()[0])
	var calls atomic.Int32
	a := &archive{store: func(dimse.StoreRequest, []byte) dimse.Status {
		switch calls.Add(1) {
		case 1:
			panic("the archive crashes when it has the object")
		case 2:
			return dimse.StatusOutOfResources // says nothing about the first time
		}
		return dimse.StatusDuplicateInstance
	}}
	addr, _ := a.serve(t, "127.0.0.1:0")
	b.run(func() bool { return calls.Load() == 1 && b.stats().Backlog["vna"].Objects == 1 }, cstore(addr))
	b.reopenLedger()
	b.run(func() bool { s := b.stats(); return s.Backlog["vna"].Quarantined == 1 || s.Archived > 0 }, cstore(addr))
	if s := b.stats(); s.Archived != 1 {
		t.Errorf("not archived: %+v", s)
	}
}

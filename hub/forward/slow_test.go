package forward

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"edged/dimse"
	"edged/hub"
	"edged/hub/ledger"
	"edged/internal/dicom"
)

// P6: an object whose bytes the archive does not take within a lease is not always the
// first again: what waits behind it is delivered.
func TestAnObjectThatTakesLongerThanALeaseHoldsUpNoOther(t *testing.T) {
	const large = 32 << 20 // more than sockets hold
	b := newBench(t, "vna")
	names := dicom.Names{TransferSyntax: "1.2.840.10008.1.2", SOPClass: ctClass, SOPInstance: "2.25.77777"}
	b.receiveBytes(hub.Object{Names: names, Length: large, Study: "2.25.98", Device: "d"}, make([]byte, large))
	b.receiveOf(ctClass, 5)
	b.lease = 3 * time.Second
	ended := make(chan struct{})
	addr := served(t, &archive{raw: func(data io.Reader) dimse.Status {
		if n, _ := io.CopyN(io.Discard, data, 1<<16); n == 1<<16 {
			<-ended
		}
		return dimse.StatusSuccess
	}})
	defer close(ended)
	b.run(b.archived(5), NewCStore(CStoreConfig{Name: "vna", Address: addr, Called: "ARCHIVE", Calling: "HUBD", Associations: 1}))
	if s := b.stats(); s.Backlog["vna"].Objects != 1 || s.Backlog["vna"].Quarantined != 0 {
		t.Errorf("%+v", s)
	}
}

// P6: a request of several that takes the rest of a lease says not whose fault that is. They
// go alone then, so that the next lease that runs out is the culprit's.
func TestWhoIsTooSlowInARequestIsFoundWithinAnotherLease(t *testing.T) {
	const n, slow = 12, 9
	b := newBench(t, "vna")
	b.receiveOf(ctClass, n)
	var mu sync.Mutex // guards what follows
	var requests [][]string
	culprit, over := "", func() {}
	v := &vna{T: t, answer: func(w http.ResponseWriter, rq *http.Request, uids []string) {
		mu.Lock()
		requests = append(requests, uids)
		hangs, end := slices.Contains(uids, culprit), over
		mu.Unlock()
		if hangs {
			end() // the lease
			<-rq.Context().Done()
			return
		}
		said{stored: uids}.write(w, 200)
	}}
	d := stow(t, StowConfig{URL: v.serve(), Requests: 1})
	f := New(Config{Jobs: b.ledger, Destinations: []Destination{d}, Open: func(id dicom.ID) (Object, error) { return b.store.Open(id) }})
	jobs, err := b.ledger.Lease(t.Context(), "vna", batchSize, time.Hour)
	if err != nil || len(jobs) != n {
		t.Fatal(len(jobs), err)
	}
	mu.Lock()
	culprit = jobs[slow].Object.Names.SOPInstance
	mu.Unlock()
	s := d.open(f)
	defer s.close()
	lease := func(jobs []ledger.Job) (told int) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		mu.Lock()
		requests, over = nil, cancel
		mu.Unlock()
		if err := s.deliver(ctx, jobs, func(j ledger.Job, o outcome) {
			if o.verdict == done {
				told++
			}
		}); err == nil {
			t.Error("delivered")
		}
		return told
	}
	if told := lease(jobs); told != 0 || len(requests) != 1 {
		t.Errorf("the first lease: %d are stored, %d requests", told, len(requests))
	}
	told := lease(jobs)
	last := requests[len(requests)-1]
	if told != slow || fmt.Sprint(last) != fmt.Sprint([]string{culprit}) {
		t.Errorf("the second lease: %d are stored, want %d; %d in the last request", told, slow, len(last))
	}
}

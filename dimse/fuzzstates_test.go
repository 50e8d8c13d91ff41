package dimse

import (
	"context"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// servedState is a state in which a connection is when a fuzzer begins to talk, by
// what the peer has said before.
type servedState struct {
	name   string
	before []byte
	report bool // a report to the peer is asked for, and out
}

func servedStates() []servedState {
	rq := AssociateRQ{ProtocolVersion: 1, Called: "EDGED", Calling: "CT1", ApplicationContext: ApplicationContext,
		Contexts: []Proposal{{1, Verification, []string{ImplicitVRLE}}, {3, ctImage, []string{ExplicitVRLE}}, {5, StudyRootFind, []string{ExplicitVRLE}}, {7, StorageCommitmentPush, []string{ImplicitVRLE}}, {9, PerformedProcedureStep, []string{ImplicitVRLE}}},
		User:     UserInfo{MaxPDU: 16384, ImplementationClassUID: "2.25.3", Async: &AsyncWindow{5, 5}}}
	associated := rq.append(nil)
	cmd := storeCommand(7, "2.25.1")
	store := pdata(pdv(3, isCommand|isLast, cmd))
	return []servedState{
		{"before the association", nil, false},
		{"in the request", associated[:60], false},
		{"idle", associated, false},
		{"in a PDU header", slices.Concat(associated, store[:3]), false},
		{"in a command", slices.Concat(associated, pdata(pdv(3, isCommand, cmd[:50]))), false},
		{"before the data set", slices.Concat(associated, store), false},
		{"in the data set", slices.Concat(associated, store, pdata(pdv(3, 0, []byte("half")))), false},
		{"in a fragment", slices.Concat(associated, store, pdata(pdv(3, 0, make([]byte, 100)))[:60]), false},
		{"after a release", slices.Concat(associated, releaseRQ), false},
		{"during a report", associated, true},
	}
}

// longest is how long a connection may last after the last byte of its peer:
// the idle time, the wait for a report, and the last seconds.
const longest = 13 * time.Minute

// FuzzServedStates: in whatever state a connection is, and whatever the peer
// says next and then falls silent: it ends in A-ABORT or close, in bounded
// virtual time; its slot is free; and no handler took half an object for a
// whole one. A hang is a deadlock of the bubble, which is a failure.
func FuzzServedStates(f *testing.F) {
	store := pdata(pdv(3, isCommand|isLast, storeCommand(9, "2.25.2")), pdv(3, isLast, []byte("data")))
	echo := pdata(pdv(1, isCommand|isLast, echoCommand(8)))
	answer := command{}
	answer.setUint16(tagCommandField, nEventReportRQ|responseBit)
	answer.setUint16(tagRespondedTo, 1)
	answer.setUint16(tagDataSetType, noDataSet)
	answer.setUint16(tagStatus, 0)
	for i, s := range servedStates() {
		state := byte(i)
		f.Add(state, []byte{})
		f.Add(state, abortPDU)
		f.Add(state, releaseRQ)
		f.Add(state, slices.Concat(store, echo, releaseRQ))
		f.Add(state, pdata(pdv(3, isLast, []byte("the rest"))))
		f.Add(state, slices.Concat(releaseRP, releaseRQ))
		f.Add(state, scriptRQ()[:len(s.before)%len(scriptRQ())])
		f.Add(state, lying(1<<32-1))
		f.Add(state, slices.Concat(echo, pdata(pdv(7, isCommand|isLast, answer.append(nil))), echo))
		f.Add(state, []byte("GET / HTTP/1.1\r\n\r\n"))
	}
	states := servedStates()
	f.Fuzz(func(t *testing.T, state byte, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		synctest.Test(t, func(t *testing.T) { fuzzServed(t, states[int(state)%len(states)], b) })
	})
}

func fuzzServed(t *testing.T, state servedState, b []byte) {
	o := newOffice()
	var whole int
	h := handlerFunc(func(_ context.Context, _ *Association, _ StoreRequest, data io.Reader) Status {
		n, err := io.Copy(io.Discard, data)
		if err != nil {
			return StatusProcessingFailure
		}
		whole += int(n)
		return StatusSuccess
	})
	opened := make(chan *Association, 1)
	s := newTestServer(t, ServerConfig{Handler: h, Commitment: o, Query: &shelf{}, Observer: &openedOnly{open: func(a *Association) { opened <- a }}, ReadBuffer: 512})
	l := newPipeListener()
	var running sync.WaitGroup
	running.Go(func() { s.Serve(l) })
	conn := l.dial()
	ended := make(chan time.Time, 1)
	running.Go(func() { io.Copy(io.Discard, conn); ended <- time.Now() })
	conn.SetWriteDeadline(time.Now().Add(time.Hour))
	conn.Write(state.before)
	if state.report {
		a := <-opened
		running.Go(func() { a.ReportCommitment(context.Background(), halfResult) })
	}
	synctest.Wait()
	conn.Write(b)
	began := time.Now()
	if took := (<-ended).Sub(began); took > longest {
		t.Errorf("%s: it lasted %v", state.name, took)
	}
	synctest.Wait()
	if s.Established() != 0 || len(s.live) != 0 || len(s.crowd.waiting) != 0 {
		t.Errorf("%s: %d established, %d live, %d waiting", state.name, s.Established(), len(s.live), len(s.crowd.waiting))
	}
	if whole > len(state.before)+len(b) {
		t.Errorf("%s: %d bytes stored of %d", state.name, whole, len(state.before)+len(b))
	}
	conn.Close()
	s.Close()
	running.Wait()
}

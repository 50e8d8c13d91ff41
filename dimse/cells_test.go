package dimse

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// PS3.8 Table 9-10 once more, not as a table: the real upper layer is brought
// into a state by a scripted peer, an event happens, and what the actions of
// Tables 9-6 to 9-9 say must be seen from outside: what is sent, whether the
// connection is closed, which timer runs. Every one of the 13 x 19 cells is
// either driven so, as acceptor or as requestor or as both, or is listed below
// as one that nothing can reach, with the reason. A cell in neither list fails.

// effect is what an action does that can be seen.
type effect struct {
	sends  []byte // nil: nothing
	closes bool
	clock  clock
}

type clock byte

const (
	untouched clock = iota
	stopped
	full   // ARTIM
	linger // the same after an abort, shorter: nobody has anything left to say
)

var (
	stateRQ   = scriptRQ()
	stateAC   = contextAnswer()
	stateRJ   = shortPDU(typeRJ, 1, 1, 3)
	stateData = pdata(pdv(3, isCommand|isLast, echoCommand(7)))
)

// effects is what the standard says of each action, seen from outside.
var effects = map[action]effect{
	ae1: {}, // the connection is there already; see Dial
	ae2: {sends: stateRQ},
	ae3: {clock: stopped},
	ae4: {closes: true, clock: stopped},
	ae5: {clock: full},
	ae6: {}, // ARTIM runs on until the answer is out; see sendAccept
	ae7: {sends: stateAC, clock: stopped},
	ae8: {sends: stateRJ, clock: full},
	dt1: {sends: stateData}, dt2: {},
	ar1: {sends: releaseRQ}, ar2: {}, ar3: {closes: true, clock: stopped}, ar4: {sends: releaseRP, clock: full},
	ar5: {closes: true, clock: stopped}, ar6: {}, ar7: {sends: stateData}, ar8: {}, ar9: {sends: releaseRP}, ar10: {},
	aa1: {sends: userAbort, clock: linger},
	aa2: {closes: true, clock: stopped}, aa3: {closes: true, clock: stopped}, aa4: {closes: true, clock: stopped}, aa5: {closes: true, clock: stopped},
	aa6: {}, aa7: {sends: unexpectedPDU}, aa8: {sends: unexpectedPDU, clock: linger},
}

// peerSends is how the peer makes an event happen.
var peerSends = map[event][]byte{
	evtPeerAC: stateAC, evtPeerRJ: stateRJ, evtPeerRQ: stateRQ, evtPeerData: stateData, evtPeerReleaseRQ: releaseRQ,
	evtPeerReleaseRP: releaseRP, evtPeerAbort: abortPDU, evtInvalidPDU: {0x55},
}

// weSend is what is prepared when an event is ours.
var weSend = map[event][]byte{
	evtTransportOpen: stateRQ, evtAccept: stateAC, evtReject: stateRJ, evtData: stateData, evtRelease: releaseRQ, evtReleaseResponse: releaseRP,
}

// unreachable says why nothing can bring an event about in a state.
func unreachable(s state, e event) string {
	_, fromPeer := peerSends[e]
	switch {
	case s == sta1 && (fromPeer || e == evtTransportClosed):
		return "idle: there is no connection that something could come over"
	case s == sta4 && fromPeer:
		return "the transport is not open: nothing is read before A-ASSOCIATE-RQ is out"
	case s == sta4 && e == evtTransportClosed:
		return "Dial opens the transport before it makes the upper layer, and its failure is an error of Dial"
	case e == evtARTIM && s != sta2 && s != sta13:
		return "ARTIM does not run here (PS3.8 Table 9-10 has no action); other limits of ours that end here are an abort (Evt15)"
	}
	return ""
}

// lab is one upper layer between a test and a scripted peer.
type lab struct {
	t      *testing.T
	u      *upper
	peer   net.Conn
	closed bool

	mu  sync.Mutex
	got []byte // by the peer
}

// watched tells when the upper layer closes.
type watched struct {
	net.Conn
	l *lab
}

func (w *watched) Close() error { w.l.closed = true; return w.Conn.Close() }

func newLab(t *testing.T, requestor bool) *lab {
	ours, theirs := net.Pipe()
	l := &lab{t: t, peer: theirs}
	l.u = newUpper(newWire(&watched{ours, l}, time.Minute, time.Minute), requestor, 30*time.Second, 1<<16)
	go func() {
		for p := make([]byte, 4096); ; {
			n, err := theirs.Read(p)
			l.mu.Lock()
			l.got = append(l.got, p[:n]...)
			l.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return l
}

// we lets us do something, peerDoes the peer: both as they happen in life.
func (l *lab) we(e event) error { l.u.out = weSend[e]; return l.u.step(e) }

func (l *lab) peerDoes(e event) error {
	go l.peer.Write(peerSends[e])
	p, err := l.u.next()
	if err == nil && p.kind == typeData {
		_, err = io.CopyN(io.Discard, l.u.r, int64(p.length))
	}
	return err
}

// ways lead from Sta1 to each state.
var ways = map[bool]map[state][]event{
	false: {
		sta1: {}, sta2: {evtTransportIncoming}, sta3: {evtTransportIncoming, evtPeerRQ}, sta6: {evtTransportIncoming, evtPeerRQ, evtAccept},
		sta7:  {evtTransportIncoming, evtPeerRQ, evtAccept, evtRelease},
		sta8:  {evtTransportIncoming, evtPeerRQ, evtAccept, evtPeerReleaseRQ},
		sta10: {evtTransportIncoming, evtPeerRQ, evtAccept, evtRelease, evtPeerReleaseRQ},
		sta12: {evtTransportIncoming, evtPeerRQ, evtAccept, evtRelease, evtPeerReleaseRQ, evtPeerReleaseRP},
		sta13: {evtTransportIncoming, evtPeerRQ, evtAccept, evtPeerReleaseRQ, evtReleaseResponse},
	},
	true: {
		sta1: {}, sta4: {evtAssociateRequest}, sta5: {evtAssociateRequest, evtTransportOpen}, sta6: {evtAssociateRequest, evtTransportOpen, evtPeerAC},
		sta7:  {evtAssociateRequest, evtTransportOpen, evtPeerAC, evtRelease},
		sta8:  {evtAssociateRequest, evtTransportOpen, evtPeerAC, evtPeerReleaseRQ},
		sta9:  {evtAssociateRequest, evtTransportOpen, evtPeerAC, evtRelease, evtPeerReleaseRQ},
		sta11: {evtAssociateRequest, evtTransportOpen, evtPeerAC, evtRelease, evtPeerReleaseRQ, evtReleaseResponse},
		sta13: {evtAssociateRequest, evtTransportOpen, evtPeerAC, evtPeerReleaseRQ, evtReleaseResponse},
	},
}

func (l *lab) bring(to state, way []event) {
	l.t.Helper()
	for _, e := range way {
		err := error(nil)
		if _, fromPeer := peerSends[e]; fromPeer {
			err = l.peerDoes(e)
		} else {
			err = l.we(e)
		}
		if err != nil {
			l.t.Fatalf("on the way to %v: %v: %v", to, e, err)
		}
	}
	synctest.Wait()
	if l.u.state != to {
		l.t.Fatalf("the way leads to %v, want %v", l.u.state, to)
	}
	l.mu.Lock()
	l.got = nil
	l.mu.Unlock()
}

// happen lets the event come about, however it does.
func (l *lab) happen(e event) error {
	_, fromPeer := peerSends[e]
	switch {
	case fromPeer:
		return l.peerDoes(e)
	case e == evtTransportClosed:
		l.peer.Close()
		_, err := l.u.next()
		return err
	case e == evtARTIM:
		_, err := l.u.next() // waits
		return err
	}
	return l.we(e)
}

// TestEveryCell drives every cell of PS3.8 Table 9-10 that can be reached.
func TestEveryCell(t *testing.T) {
	driven, listed := map[bool]int{}, map[string]int{}
	for s := sta1; s <= sta13; s++ {
		for e := evtAssociateRequest; e <= evtInvalidPDU; e++ {
			why := unreachable(s, e)
			if _, has := byState[s][e]; has && why != "" && s != sta4 {
				t.Errorf("%v in %v has an action in the standard, and is listed as unreachable: %s", e, s, why)
			}
			if why != "" {
				listed[why]++
				continue
			}
			reached := false
			for _, requestor := range []bool{false, true} {
				if way, ok := ways[requestor][s]; ok {
					reached = true
					driven[requestor]++
					driveCell(t, requestor, s, e, way)
				}
			}
			if !reached {
				t.Errorf("%v in %v is neither driven nor listed as unreachable", e, s)
			}
		}
	}
	t.Logf("cells driven as acceptor %d, as requestor %d", driven[false], driven[true])
	for why, n := range listed {
		t.Logf("not reachable %3d: %s", n, why)
	}
}

func driveCell(t *testing.T, requestor bool, s state, e event, way []event) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, requestor)
		l.bring(s, way)
		before, began := l.u.limit, time.Now()
		err := l.happen(e)
		synctest.Wait()
		what := e.String() + " in " + s.String()
		if requestor {
			what += " as requestor"
		}
		want, has := byState[s][e]
		if !has { // only what we do ourselves can be out of place, and is refused
			if err == nil || l.u.state != s || len(l.got) != 0 || l.closed {
				t.Errorf("%s: got %v, %v, sent % X, closed %v, want a refusal and nothing else", what, err, l.u.state, l.got, l.closed)
			}
			return
		}
		if want.do == ar8 && !requestor {
			want.to = sta10
		}
		if l.u.state != want.to {
			t.Errorf("%s: got to %v, want %v", what, l.u.state, want.to)
		}
		l.check(what, e, effects[want.do], before, began)
		checkError(t, what, want.do, err)
	})
}

// check compares what can be seen with what the standard says.
func (l *lab) check(what string, e event, want effect, before, began time.Time) {
	l.t.Helper()
	sends := want.sends
	if e == evtInvalidPDU && bytes.Equal(sends, unexpectedPDU) {
		sends = unknownPDU // the reason is another (PS3.8 Table 9-26)
	}
	if !bytes.Equal(l.got, sends) {
		l.t.Errorf("%s: sent % X, want % X", what, l.got, sends)
	}
	if l.closed != want.closes {
		l.t.Errorf("%s: closed %v, want %v", what, l.closed, want.closes)
	}
	limit := map[clock]time.Time{untouched: before, stopped: {}, full: began.Add(l.u.artim), linger: began.Add(l.u.linger)}[want.clock]
	if !l.u.limit.Equal(limit) {
		l.t.Errorf("%s: the timer runs until %v, want %v", what, l.u.limit, limit)
	}
	if e == evtARTIM && time.Since(began) != before.Sub(began) {
		l.t.Errorf("%s: ARTIM ran out after %v, want %v", what, time.Since(began), before.Sub(began))
	}
}

// checkError: what the standard calls an indication is what callers get.
func checkError(t *testing.T, what string, do action, err error) {
	t.Helper()
	switch do {
	case aa1: // by us, or for something that the peer did
	case aa2, aa3, aa8, aa7:
		if !errors.Is(err, ErrAborted) && !errors.Is(err, ErrTimeout) && err != nil {
			t.Errorf("%s: %v", what, err)
		}
	case aa4, aa5, ar5:
		if !errors.Is(err, ErrLost) {
			t.Errorf("%s: %v, want a lost connection", what, err)
		}
	default:
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

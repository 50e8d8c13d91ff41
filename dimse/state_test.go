package dimse

import "testing"

// The table of the standard once more, written another way: for each state the
// events that it knows, with action and next state. Typing it twice is the
// point; a slip in one of the two shows.
var byState = map[state]map[event]struct {
	do action
	to state
}{
	sta1: {evtAssociateRequest: {ae1, sta4}, evtTransportIncoming: {ae5, sta2}},
	sta2: {
		evtPeerRQ: {ae6, sta3}, evtPeerAC: {aa1, sta13}, evtPeerRJ: {aa1, sta13}, evtPeerData: {aa1, sta13}, evtPeerReleaseRQ: {aa1, sta13},
		evtPeerReleaseRP: {aa1, sta13}, evtPeerAbort: {aa2, sta1}, evtTransportClosed: {aa5, sta1}, evtARTIM: {aa2, sta1}, evtInvalidPDU: {aa1, sta13},
	},
	sta3: {
		evtAccept: {ae7, sta6}, evtReject: {ae8, sta13}, evtAbort: {aa1, sta13}, evtPeerAbort: {aa3, sta1}, evtTransportClosed: {aa4, sta1},
		evtPeerRQ: {aa8, sta13}, evtPeerAC: {aa8, sta13}, evtPeerRJ: {aa8, sta13}, evtPeerData: {aa8, sta13}, evtPeerReleaseRQ: {aa8, sta13},
		evtPeerReleaseRP: {aa8, sta13}, evtInvalidPDU: {aa8, sta13},
	},
	sta4:  {evtTransportOpen: {ae2, sta5}, evtAbort: {aa2, sta1}, evtTransportClosed: {aa4, sta1}},
	sta5:  with(open(), map[event]cell{evtPeerAC: {ae3, sta6}, evtPeerRJ: {ae4, sta1}}),
	sta6:  with(open(), map[event]cell{evtData: {dt1, sta6}, evtPeerData: {dt2, sta6}, evtRelease: {ar1, sta7}, evtPeerReleaseRQ: {ar2, sta8}}),
	sta7:  with(open(), map[event]cell{evtPeerData: {ar6, sta7}, evtPeerReleaseRQ: {ar8, sta9}, evtPeerReleaseRP: {ar3, sta1}}),
	sta8:  with(open(), map[event]cell{evtData: {ar7, sta8}, evtReleaseResponse: {ar4, sta13}}),
	sta9:  with(open(), map[event]cell{evtReleaseResponse: {ar9, sta11}}),
	sta10: with(open(), map[event]cell{evtPeerReleaseRP: {ar10, sta12}}),
	sta11: with(open(), map[event]cell{evtPeerReleaseRP: {ar3, sta1}}),
	sta12: with(open(), map[event]cell{evtReleaseResponse: {ar4, sta13}}),
	sta13: {
		evtPeerRQ: {aa7, sta13}, evtPeerAC: {aa6, sta13}, evtPeerRJ: {aa6, sta13}, evtPeerData: {aa6, sta13}, evtPeerReleaseRQ: {aa6, sta13},
		evtPeerReleaseRP: {aa6, sta13}, evtPeerAbort: {aa2, sta1}, evtTransportClosed: {ar5, sta1}, evtARTIM: {aa2, sta1}, evtInvalidPDU: {aa7, sta13},
	},
}

type cell = struct {
	do action
	to state
}

// open is what every state with an open association does with what it does not
// expect: abort as provider.
func open() map[event]cell {
	m := map[event]cell{evtAbort: {aa1, sta13}, evtPeerAbort: {aa3, sta1}, evtTransportClosed: {aa4, sta1}}
	for _, e := range []event{evtPeerAC, evtPeerRJ, evtPeerRQ, evtPeerData, evtPeerReleaseRQ, evtPeerReleaseRP, evtInvalidPDU} {
		m[e] = cell{aa8, sta13}
	}
	return m
}

func with(m map[event]cell, more map[event]cell) map[event]cell {
	for e, c := range more {
		m[e] = c
	}
	return m
}

// TestStateTable walks every cell of PS3.8 Table 9-10.
func TestStateTable(t *testing.T) {
	for s := sta1; s <= sta13; s++ {
		for e := evtAssociateRequest; e <= evtInvalidPDU; e++ {
			do, to, ok := next(s, e, true)
			want, exists := byState[s][e]
			if ok != exists || ok && (do != want.do || to != want.to) {
				t.Errorf("%v in %v: got %v to %v (%v), want %v to %v (%v)", e, s, do, to, ok, want.do, want.to, exists)
			}
			if !ok && to != s {
				t.Errorf("%v in %v: an event that cannot happen led to %v", e, s, to)
			}
		}
	}
	if _, to, _ := next(sta7, evtPeerReleaseRQ, false); to != sta10 {
		t.Errorf("release collision at the acceptor: got %v, want Sta10", to)
	}
}

// TestPeerIsNeverImpossible: whatever arrives from outside has a cell in every
// state in which something can arrive. So a peer never makes the machine fail.
func TestPeerIsNeverImpossible(t *testing.T) {
	outside := []event{evtPeerAC, evtPeerRJ, evtPeerRQ, evtPeerData, evtPeerReleaseRQ, evtPeerReleaseRP, evtPeerAbort, evtTransportClosed, evtInvalidPDU}
	for s := sta2; s <= sta13; s++ {
		if s == sta4 { // nothing is read before the transport is open
			continue
		}
		for _, e := range outside {
			if _, _, ok := next(s, e, false); !ok {
				t.Errorf("%v in %v has no action", e, s)
			}
		}
	}
}

// TestEveryStateEnds: from every state the closing of the transport leads to
// Sta1: nothing is held for a peer that is gone.
func TestEveryStateEnds(t *testing.T) {
	for s := sta2; s <= sta13; s++ {
		if _, to, ok := next(s, evtTransportClosed, true); !ok || to != sta1 {
			t.Errorf("transport closed in %v leads to %v", s, to)
		}
	}
	if s := aa8.String() + ae1.String() + dt2.String() + ar10.String() + __.String(); s != "AA-8AE-1DT-2AR-10none" {
		t.Errorf("names of actions: %s", s)
	}
}

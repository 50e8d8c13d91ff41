package dimse

import "fmt"

// The association state machine of PS3.8 §9.2. It is a table and a cursor: it
// knows nothing of connections, bytes or time. upper performs what it says.

type state uint8

const (
	sta1  state = iota + 1 // idle
	sta2                   // transport open, waiting for A-ASSOCIATE-RQ
	sta3                   // waiting for our own answer to it
	sta4                   // waiting for the transport to open
	sta5                   // waiting for A-ASSOCIATE-AC or -RJ
	sta6                   // association established
	sta7                   // waiting for A-RELEASE-RP
	sta8                   // waiting for our own A-RELEASE response
	sta9                   // release collision, requestor, waiting for our own response
	sta10                  // release collision, acceptor, waiting for A-RELEASE-RP
	sta11                  // release collision, requestor, waiting for A-RELEASE-RP
	sta12                  // release collision, acceptor, waiting for our own response
	sta13                  // waiting for the transport to close
)

type event uint8

const (
	evtAssociateRequest  event = iota + 1 // 1: we want an association
	evtTransportOpen                      // 2: transport connection confirmed
	evtPeerAC                             // 3
	evtPeerRJ                             // 4
	evtTransportIncoming                  // 5: transport connection indicated
	evtPeerRQ                             // 6
	evtAccept                             // 7: our answer is accept
	evtReject                             // 8: our answer is reject
	evtData                               // 9: we send P-DATA
	evtPeerData                           // 10
	evtRelease                            // 11: we want to release
	evtPeerReleaseRQ                      // 12
	evtPeerReleaseRP                      // 13
	evtReleaseResponse                    // 14: we answer a release
	evtAbort                              // 15: we abort
	evtPeerAbort                          // 16
	evtTransportClosed                    // 17
	evtARTIM                              // 18: the timer ran out
	evtInvalidPDU                         // 19: unrecognized or invalid PDU
)

type action uint8

const (
	__ action = iota // this cannot happen here
	ae1
	ae2
	ae3
	ae4
	ae5
	ae6
	ae7
	ae8
	dt1
	dt2
	ar1
	ar2
	ar3
	ar4
	ar5
	ar6
	ar7
	ar8
	ar9
	ar10
	aa1
	aa2
	aa3
	aa4
	aa5
	aa6
	aa7
	aa8
)

// transitions is PS3.8 Table 9-10: a row an event, a column a state.
var transitions = [evtInvalidPDU + 1][sta13 + 1]action{
	//                     Sta1 Sta2 Sta3 Sta4 Sta5 Sta6 Sta7 Sta8 Sta9 St10 St11 St12 St13
	evtAssociateRequest:  {__, ae1, __, __, __, __, __, __, __, __, __, __, __, __},
	evtTransportOpen:     {__, __, __, __, ae2, __, __, __, __, __, __, __, __, __},
	evtPeerAC:            {__, __, aa1, aa8, __, ae3, aa8, aa8, aa8, aa8, aa8, aa8, aa8, aa6},
	evtPeerRJ:            {__, __, aa1, aa8, __, ae4, aa8, aa8, aa8, aa8, aa8, aa8, aa8, aa6},
	evtTransportIncoming: {__, ae5, __, __, __, __, __, __, __, __, __, __, __, __},
	evtPeerRQ:            {__, __, ae6, aa8, __, aa8, aa8, aa8, aa8, aa8, aa8, aa8, aa8, aa7},
	evtAccept:            {__, __, __, ae7, __, __, __, __, __, __, __, __, __, __},
	evtReject:            {__, __, __, ae8, __, __, __, __, __, __, __, __, __, __},
	evtData:              {__, __, __, __, __, __, dt1, __, ar7, __, __, __, __, __},
	evtPeerData:          {__, __, aa1, aa8, __, aa8, dt2, ar6, aa8, aa8, aa8, aa8, aa8, aa6},
	evtRelease:           {__, __, __, __, __, __, ar1, __, __, __, __, __, __, __},
	evtPeerReleaseRQ:     {__, __, aa1, aa8, __, aa8, ar2, ar8, aa8, aa8, aa8, aa8, aa8, aa6},
	evtPeerReleaseRP:     {__, __, aa1, aa8, __, aa8, aa8, ar3, aa8, aa8, ar10, ar3, aa8, aa6},
	evtReleaseResponse:   {__, __, __, __, __, __, __, __, ar4, ar9, __, __, ar4, __},
	evtAbort:             {__, __, __, aa1, aa2, aa1, aa1, aa1, aa1, aa1, aa1, aa1, aa1, __},
	evtPeerAbort:         {__, __, aa2, aa3, __, aa3, aa3, aa3, aa3, aa3, aa3, aa3, aa3, aa2},
	evtTransportClosed:   {__, __, aa5, aa4, aa4, aa4, aa4, aa4, aa4, aa4, aa4, aa4, aa4, ar5},
	evtARTIM:             {__, __, aa2, __, __, __, __, __, __, __, __, __, __, aa2},
	evtInvalidPDU:        {__, __, aa1, aa8, __, aa8, aa8, aa8, aa8, aa8, aa8, aa8, aa8, aa7},
}

// after says where an action leads (PS3.8 Tables 9-6 to 9-9). Two depend on
// more: ae6 may also reject at once, which we always do from sta3 instead, one
// moment later and the same on the wire; ar8 depends on who opened.
var after = [aa8 + 1]state{
	ae1: sta4, ae2: sta5, ae3: sta6, ae4: sta1, ae5: sta2, ae6: sta3, ae7: sta6, ae8: sta13,
	dt1: sta6, dt2: sta6,
	ar1: sta7, ar2: sta8, ar3: sta1, ar4: sta13, ar5: sta1, ar6: sta7, ar7: sta8, ar8: sta9, ar9: sta11, ar10: sta12,
	aa1: sta13, aa2: sta1, aa3: sta1, aa4: sta1, aa5: sta1, aa6: sta13, aa7: sta13, aa8: sta13,
}

// next returns what to do and where it leads. ok is false for what cannot
// happen in s: only our own primitives can be out of place like that, so it is
// a mistake of the caller, never of the peer.
func next(s state, ev event, requestor bool) (a action, to state, ok bool) {
	a = transitions[ev][s]
	if a == __ {
		return __, s, false
	}
	to = after[a]
	if a == ar8 && !requestor {
		to = sta10
	}
	return a, to, true
}

func (s state) String() string { return fmt.Sprintf("Sta%d", uint8(s)) }

func (e event) String() string { return fmt.Sprintf("Evt%d", uint8(e)) }

func (a action) String() string {
	switch {
	case a == __:
		return "none"
	case a <= ae8:
		return fmt.Sprintf("AE-%d", a-ae1+1)
	case a <= dt2:
		return fmt.Sprintf("DT-%d", a-dt1+1)
	case a <= ar10:
		return fmt.Sprintf("AR-%d", a-ar1+1)
	}
	return fmt.Sprintf("AA-%d", a-aa1+1)
}

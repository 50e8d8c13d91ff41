package dimse

import (
	"fmt"
	"reflect"
	"testing"
)

var policy = Policy{Titles: []string{"EDGED", "URGENT"}, ImplementationClassUID: testUID, ImplementationVersion: testVersion}

// TestNegotiateAnswers: every proposed context is answered once, storage and
// unknown classes in any transfer syntax, other services are not taken, and
// nothing is answered that was not asked.
func TestNegotiateAnswers(t *testing.T) {
	rq := fullRequest()
	rq.Contexts = []Proposal{
		{1, ctImage, []string{jpegLossy, ExplicitVRLE}},
		{3, Verification, []string{ImplicitVRLE}},
		{5, "1.3.46.670589.5.0.1", []string{"1.3.46.670589.99"}}, // private class, private syntax
		{7, "1.2.840.10008.5.1.4.1.2.2.1", []string{ImplicitVRLE}},
		{9, "1.2.840.10008.5.1.4.1.1.999", []string{ImplicitVRLE, ExplicitVRBE, ExplicitVRLE}}, // not invented yet
		{11, ctImage, nil},
		{12, ctImage, []string{ImplicitVRLE}},
		{1, ctImage, []string{ImplicitVRLE}},
		{13, "", []string{ImplicitVRLE}},
	}
	ac, reject := Negotiate(rq, Peer{}, policy)
	if reject != nil {
		t.Fatal(reject)
	}
	want := []ContextAnswer{
		{1, ContextAccepted, jpegLossy},
		{3, ContextAccepted, ImplicitVRLE},
		{5, ContextAccepted, "1.3.46.670589.99"},
		{7, ContextAbstractSyntaxUnsupported, ImplicitVRLE},
		{9, ContextAccepted, ExplicitVRLE},
		{11, ContextTransferSyntaxUnsupported, ImplicitVRLE},
		{12, ContextNoReason, ImplicitVRLE},
		{13, ContextAbstractSyntaxUnsupported, ImplicitVRLE},
	}
	if !reflect.DeepEqual(ac.Contexts, want) {
		t.Errorf("got  %v\nwant %v", ac.Contexts, want)
	}
	u := ac.User
	if u.MaxPDU != 128<<10 || *u.Async != (AsyncWindow{1, 1}) || u.IdentityResponse == nil || u.Identity != nil {
		t.Errorf("user information: %+v", u)
	}
	if !reflect.DeepEqual(u.Roles, []Role{{ctImage, true, false}}) || !reflect.DeepEqual(u.Extended, []Extended{{ctImage, []byte{2, 0, 3, 0, 0, 0}}}) {
		t.Errorf("roles %v, extended %v", u.Roles, u.Extended)
	}
	rq.User = UserInfo{}
	ac, _ = Negotiate(rq, Peer{}, policy)
	if u := ac.User; u.Async != nil || u.Roles != nil || u.Extended != nil || u.IdentityResponse != nil {
		t.Errorf("answered what was not asked: %+v", u)
	}
}

// TestNegotiateRefuses: result, source and reason of PS3.8 Table 9-21, and the
// peer is asked about only when all else is in order.
func TestNegotiateRefuses(t *testing.T) {
	p := policy
	asked := 0
	p.Admit = func(peer Peer) *Reject {
		asked++
		if peer.Calling == "FULL" {
			return &RejectCongestion
		}
		return &RejectCalling
	}
	for _, c := range []struct {
		change func(*AssociateRQ)
		want   Reject
		asked  int
	}{
		{func(rq *AssociateRQ) { rq.ProtocolVersion = 2 }, Reject{1, 2, 2}, 0},
		{func(rq *AssociateRQ) { rq.ApplicationContext = "1.2.3" }, Reject{1, 1, 2}, 0},
		{func(rq *AssociateRQ) { rq.Called = "edged" }, Reject{1, 1, 7}, 0},
		{func(rq *AssociateRQ) {}, Reject{1, 1, 3}, 1},
		{func(rq *AssociateRQ) { rq.Called, rq.Calling = "URGENT", "FULL" }, Reject{2, 3, 1}, 1},
	} {
		rq := fullRequest()
		c.change(rq)
		asked = 0
		ac, got := Negotiate(rq, Peer{Calling: rq.Calling}, p)
		if ac != nil || got == nil || *got != c.want || asked != c.asked {
			t.Errorf("got %v (asked %d times), want %v (%d)", got, asked, c.want, c.asked)
		}
	}
}

// TestChooseSyntax: the sender's first choice, except that Explicit VR Little
// Endian goes before other uncompressed ones.
func TestChooseSyntax(t *testing.T) {
	for _, c := range []struct {
		in   []string
		want string
	}{
		{[]string{ImplicitVRLE}, ImplicitVRLE},
		{[]string{ImplicitVRLE, ExplicitVRLE}, ExplicitVRLE},
		{[]string{ExplicitVRBE, ExplicitVRLE, ImplicitVRLE}, ExplicitVRLE},
		{[]string{ExplicitVRBE, ImplicitVRLE}, ExplicitVRBE},
		{[]string{jpegLossy, ImplicitVRLE, ExplicitVRLE}, jpegLossy},
		{[]string{"1.2.3.4", ExplicitVRLE}, "1.2.3.4"},
	} {
		if got := chooseSyntax(c.in); got != c.want {
			t.Errorf("%v: got %s, want %s", c.in, got, c.want)
		}
	}
}

// TestIsStorage: the table of what is not stored, at its edges.
func TestIsStorage(t *testing.T) {
	for uid, want := range map[string]bool{
		ctImage: true, "1.2.840.10008.5.1.4.1.1.104.1": true, "1.2.840.10008.5.1.4.34.7": true, "1.2.840.10008.5.1.4.34.10": true,
		"1.2.840.10008.5.1.4.38.1": true, "1.2.840.10008.5.1.4.45.1": true, "1.2.840.10008.5.1.1.29": true, "1.2.840.10008.5.1.4.1.1.201.1": true,
		"1.2.840.10008.5.1.4.1.1.200.2": true, "2.16.840.1": true, "not a uid": true,
		"": false, Verification: false, "1.2.840.10008.1.20.1": false, "1.2.840.10008.5.1.4.31": false, "1.2.840.10008.5.1.1.9.1": false,
		"1.2.840.10008.5.1.4.1.2.1.1": false, "1.2.840.10008.3.1.2.3.3": false, "1.2.840.10008.1.3.10": false, "1.2.840.10008.5.1.4.34.5.1": false,
		"1.2.840.10008.5.1.4.34.6.1": false, "1.2.840.10008.5.1.4.1.1.201.2": false,
	} {
		if got := IsStorage(uid); got != want {
			t.Errorf("%q: got %v, want %v", uid, got, want)
		}
	}
}

// TestAgreed: an answer to what was not proposed, or with a transfer syntax that
// was not, is not believed.
func TestAgreed(t *testing.T) {
	proposals := []Proposal{{1, ctImage, []string{ExplicitVRLE}}, {3, ctImage, []string{jpegLossy}}, {5, ctImage, []string{ImplicitVRLE}}}
	answers := []ContextAnswer{{1, 0, ExplicitVRLE}, {3, 0, ImplicitVRLE}, {5, 4, ImplicitVRLE}, {7, 0, ImplicitVRLE}}
	if got := agreed(proposals, answers); !reflect.DeepEqual(got, []Context{{1, ctImage, ExplicitVRLE}}) {
		t.Errorf("got %v", got)
	}
}

// TestPropose: one context for each kind of instance, 128 at most, the rest for
// another association.
func TestPropose(t *testing.T) {
	var needs []Need
	for i := range 300 {
		needs = append(needs, Need{fmt.Sprintf("1.2.%d", i/2), ExplicitVRLE})
	}
	proposals, rest := Propose(needs...)
	if len(proposals) != 128 || len(rest) != 150-128 {
		t.Errorf("%d proposed, %d left", len(proposals), len(rest))
	}
	if proposals[127].ID != 255 || proposals[0].ID != 1 {
		t.Errorf("identifiers %d to %d", proposals[0].ID, proposals[127].ID)
	}
}

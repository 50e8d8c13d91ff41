package dimse

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func fullRequest() *AssociateRQ {
	return &AssociateRQ{
		ProtocolVersion: 1, Called: "EDGED", Calling: "CT1", ApplicationContext: ApplicationContext,
		Contexts: []Proposal{
			{ID: 1, AbstractSyntax: ctImage, TransferSyntaxes: []string{ImplicitVRLE, jpegLossy}},
			{ID: 3, AbstractSyntax: Verification, TransferSyntaxes: []string{ImplicitVRLE}},
		},
		User: UserInfo{
			MaxPDU: 16384, ImplementationClassUID: "2.25.7", ImplementationVersion: "SCANNER_1",
			Async:    &AsyncWindow{5, 3},
			Roles:    []Role{{ctImage, true, true}},
			Extended: []Extended{{ctImage, []byte{2, 0, 0, 0, 1, 0}}},
			Identity: &UserIdentity{Type: 2, ResponseRequested: true, Primary: []byte("user"), Secondary: []byte("secret")},
		},
	}
}

// TestAssociateRoundTrip: what is written is read, item by item.
func TestAssociateRoundTrip(t *testing.T) {
	rq := fullRequest()
	got, err := parseAssociateRQ(rq.append(nil)[headerSize:])
	if err != nil || !reflect.DeepEqual(got, rq) {
		t.Errorf("A-ASSOCIATE-RQ: got %+v, %v, want %+v", got, err, rq)
	}
	ac, _ := Negotiate(rq, Peer{}, Policy{ImplementationClassUID: testUID, ImplementationVersion: testVersion})
	back, err := parseAssociateAC(ac.append(nil)[headerSize:])
	if err != nil || !reflect.DeepEqual(back, ac) {
		t.Errorf("A-ASSOCIATE-AC: got %+v, %v, want %+v", back, err, ac)
	}
}

// TestBytesOfTheStandard: the layout, byte by byte (PS3.8 §9.3.2).
func TestBytesOfTheStandard(t *testing.T) {
	rq := &AssociateRQ{ProtocolVersion: 1, Called: "AB", Calling: "C", ApplicationContext: "1.2",
		Contexts: []Proposal{{ID: 1, AbstractSyntax: "1.3", TransferSyntaxes: []string{"1.4"}}},
		User:     UserInfo{MaxPDU: 0x4000, ImplementationClassUID: "1.5", ImplementationVersion: "V"}}
	want := "\x01\x00\x00\x00\x00\x79" + "\x00\x01\x00\x00" + "AB" + strings.Repeat(" ", 14) + "C" + strings.Repeat(" ", 15) + strings.Repeat("\x00", 32) +
		"\x10\x00\x00\x031.2" +
		"\x20\x00\x00\x12\x01\x00\x00\x00" + "\x30\x00\x00\x031.3" + "\x40\x00\x00\x031.4" +
		"\x50\x00\x00\x14" + "\x51\x00\x00\x04\x00\x00\x40\x00" + "\x52\x00\x00\x031.5" + "\x55\x00\x00\x01V"
	if got := string(rq.append(nil)); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestUnknownAndPaddedIsTolerated: unknown items are skipped, reserved bytes are
// not looked at, padded UIDs are trimmed, a refused context may lack its
// transfer syntax (PS3.8 §9.3.1, §9.3.3.2).
func TestUnknownAndPaddedIsTolerated(t *testing.T) {
	b := fullRequest().append(nil)[headerSize:]
	b = appendItem(b, 0x77, "what is this")
	b[2], b[3], b[40] = 0xff, 0xff, 0xff // reserved
	b = bytes.Replace(b, []byte(jpegLossy), []byte(jpegLossy[:20]+"\x00\x00"), 1)
	rq, err := parseAssociateRQ(b)
	if err != nil || rq.Contexts[0].TransferSyntaxes[1] != jpegLossy[:20] {
		t.Errorf("got %+v, %v", rq, err)
	}
	c, err := parseContextAnswer([]byte{3, 0, 3, 0})
	if err != nil || c.Result != ContextAbstractSyntaxUnsupported {
		t.Errorf("refused context without transfer syntax: %+v, %v", c, err)
	}
	u, err := parseUserInfo([]byte{0x57, 0, 0, 2, 1, 2, userRole, 0, 0, 1, 9, userIdentity, 0, 0, 3, 1, 1, 0, userAsync, 0, 0, 1, 1})
	if err != nil || u.Roles != nil || u.Async != nil || u.Identity == nil {
		t.Errorf("sub-items that are too short: %+v, %v", u, err)
	}
}

// TestBoundsOfARequest: more than 128 contexts are an error, transfer syntaxes
// beyond 128 in one context are left out (P9).
func TestBoundsOfARequest(t *testing.T) {
	rq := fullRequest()
	for range maxContexts {
		rq.Contexts = append(rq.Contexts, rq.Contexts[0])
	}
	if _, err := parseAssociateRQ(rq.append(nil)[headerSize:]); err == nil {
		t.Error("130 contexts were accepted")
	}
	rq = fullRequest()
	for i := range 500 {
		rq.Contexts[0].TransferSyntaxes = append(rq.Contexts[0].TransferSyntaxes, fmt.Sprintf("2.25.%d", i))
	}
	got, err := parseAssociateRQ(rq.append(nil)[headerSize:])
	if err != nil || len(got.Contexts[0].TransferSyntaxes) != maxSyntaxes {
		t.Errorf("%d transfer syntaxes kept, %v", len(got.Contexts[0].TransferSyntaxes), err)
	}
	for cut := range fixedSize + 40 {
		if _, err := parseAssociateRQ(rq.append(nil)[headerSize : headerSize+cut]); err == nil && cut != fixedSize && cut != fixedSize+4+len(ApplicationContext) {
			t.Errorf("a request cut after %d bytes was accepted", cut)
		}
	}
}

// TestCommandRoundTrip: elements ascend, lengths are even, the group length is exact.
func TestCommandRoundTrip(t *testing.T) {
	rq := StoreRequest{MessageID: 7, SOPClassUID: ctImage, SOPInstanceUID: "2.25.12", Priority: PriorityHigh, MoveOriginator: "PACS", MoveOriginatorID: 9}
	b := rq.command().append(nil)
	if got := binary.LittleEndian.Uint32(b[8:]); int(got) != len(b)-12 {
		t.Errorf("group length %d, %d bytes follow", got, len(b)-12)
	}
	c, err := parseCommand(b)
	if err != nil || !c.carriesData() {
		t.Fatal(c, err)
	}
	last := -1
	for _, e := range c {
		if int(e.tag) <= last || len(e.value)%2 == 1 {
			t.Errorf("element %04X behind %04X with %d bytes", e.tag, last, len(e.value))
		}
		last = int(e.tag)
	}
	got := storeRequest(c, Context{5, ctImage, jpegLossy})
	rq.ContextID, rq.TransferSyntaxUID = 5, jpegLossy
	if got != rq {
		t.Errorf("got %+v, want %+v", got, rq)
	}
}

// TestCommandBounds: lengths that do not fit, and endless sets, are errors; a
// missing or wrong group length is not.
func TestCommandBounds(t *testing.T) {
	good := StoreRequest{MessageID: 7, SOPClassUID: ctImage, SOPInstanceUID: "2.25.12"}.command().append(nil)
	if c, err := parseCommand(good[12:]); err != nil || c.uint16(tagMessageID) != 7 {
		t.Errorf("without group length: %v, %v", c, err)
	}
	if _, err := parseCommand(good[:len(good)-1]); err == nil {
		t.Error("a cut value was accepted")
	}
	if _, err := parseCommand([]byte{0, 0, 2, 0, 0xff, 0xff, 0xff, 0xff}); err == nil {
		t.Error("a value of 4 GiB was accepted")
	}
	if _, err := parseCommand(bytes.Repeat([]byte{0, 0, 2, 0, 0, 0, 0, 0}, maxElements+1)); err == nil {
		t.Error("an endless command set was accepted")
	}
}

// TestStatus: the classes of a status decide what a sender does next.
func TestStatus(t *testing.T) {
	for _, c := range []struct {
		s    Status
		kind string
		text string
	}{
		{0x0000, "success", "0000 success"}, {0xB007, "warning", "B007 data set does not match SOP class (stored)"}, {0xB123, "warning", "B123 warning"},
		{0xA700, "failure", "A700 out of resources"}, {0xA712, "failure", "A712 out of resources"}, {0xC123, "failure", "C123 cannot understand"},
		{0xA901, "failure", "A901 data set does not match SOP class"},
		{0x0122, "failure", "0122 SOP class not supported"}, {0x0999, "failure", "0999 failure"}, {0xFF01, "pending", "FF01 pending, with a warning"}, {0xFE00, "cancel", "FE00 cancelled"},
	} {
		kinds := map[string]bool{"success": c.s.IsSuccess(), "warning": c.s.IsWarning(), "failure": c.s.IsFailure(), "pending": c.s.IsPending(), "cancel": c.s.IsCancel()}
		for kind, is := range kinds {
			if is != (kind == c.kind) {
				t.Errorf("%v: %s is %v", c.s, kind, is)
			}
		}
		if c.s.String() != c.text {
			t.Errorf("got %q, want %q", c.s.String(), c.text)
		}
	}
	if !Status(0xA701).IsTransient() || Status(0xA900).IsTransient() {
		t.Error("A7xx alone is transient")
	}
}

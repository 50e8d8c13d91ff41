package dimse

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
)

// Every status of PS3.4 §B.2.3 and PS3.7 §9.1.1.1.9 means to the requestor what
// the standard says: done, done with a reservation, not done, not done now.
func TestStoreStatuses(t *testing.T) {
	const success, warning, failure, transient = "success", "warning", "failure", "transient"
	for st, want := range map[Status]string{
		0x0000: success,
		0xB000: warning, 0xB006: warning, 0xB007: warning, 0x0001: warning, 0x0107: warning, 0x0116: warning,
		0xA700: transient, 0xA701: transient, 0xA7FF: transient, 0x0213: transient,
		0xA900: failure, 0xA9FF: failure, 0xC000: failure, 0xCFFF: failure, 0xA800: failure,
		0x0110: failure, 0x0111: failure, 0x0112: failure, 0x0117: failure, 0x0122: failure, 0x0124: failure, 0x0210: failure, 0x0211: failure, 0x0212: failure,
	} {
		got := failure
		switch {
		case st.IsSuccess():
			got = success
		case st.IsWarning():
			got = warning
		case st.IsTransient():
			got = transient
		}
		if got != want || st.IsFailure() != (want == failure || want == transient) || st.IsPending() || st.IsCancel() {
			t.Errorf("%v is a %s, want %s", st, got, want)
		}
	}
}

// What the handler answers is what the peer hears, whether all of the data set was
// read or nothing of it; the association goes on (PS3.4 §B.2.3). Only success
// without reading cannot be.
func TestStoreStatusOnTheWire(t *testing.T) {
	status, read := StatusSuccess, false
	h := handlerFunc(func(_ context.Context, _ *Association, _ StoreRequest, data io.Reader) Status {
		if read {
			if _, err := io.Copy(io.Discard, data); err != nil {
				return StatusProcessingFailure
			}
		}
		return status
	})
	_, port := serveTCP(t, ServerConfig{Handler: h})
	c := testDial(t, port, ctProposal)
	for _, read = range []bool{true, false} {
		for _, status = range []Status{0x0000, 0xA700, 0xA900, 0xC001, 0xB000, 0xB006, 0xB007, 0x0110, 0x0117, 0x0122, 0x0124} {
			want := status
			if !read && !status.IsFailure() {
				want = StatusProcessingFailure
			}
			rsp, err := c.Store(t.Context(), ctStore, strings.NewReader(strings.Repeat("data", 100_000)))
			if err != nil || rsp.Status != want || rsp.InstanceUID != ctStore.SOPInstanceUID {
				t.Fatalf("%v, read %v: got %+v, %v, want %v", status, read, rsp, err, want)
			}
		}
	}
	if err := c.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

// The same Message ID again is no duplicate invocation (0210): the first has been
// answered when the second is read, whenever it was sent, for one operation is
// under way at a time (PS3.7 §D.3.3.3).
func TestMessageIDMayComeAgain(t *testing.T) {
	k := &keeper{}
	bubble(t, ServerConfig{Handler: k}, func(t *testing.T, _ *Server, l *pipeListener) {
		s := play(t, l).associate()
		one := pdata(pdv(3, isCommand|isLast, storeCommand(7, "2.25.1")), pdv(3, isLast, []byte("data")))
		sent := make(chan struct{})
		go func() { s.send(one, one); close(sent) }()
		s.expectResponse(0x8001, 7, StatusSuccess)
		s.expectResponse(0x8001, 7, StatusSuccess)
		<-sent
		s.release()
	})
	if got := k.all(); len(got) != 2 {
		t.Errorf("%d instances", len(got))
	}
}

// Disaster 15: a data set that no parser takes (LO in an SQ, lengths that lie, no
// DICOM at all) is stored as it is: nothing here looks at it.
func TestDisaster15DataSetsAreNotParsed(t *testing.T) {
	k := &keeper{}
	_, port := serveTCP(t, ServerConfig{Handler: k})
	c := testDial(t, port, ctProposal)
	sick := [][]byte{
		{0x08, 0, 0x40, 0x11, 'S', 'Q', 0, 0, 6, 0, 0, 0, 'L', 'O', 'T', 'E', 'X', 'T'}, // text where items should be
		{0x08, 0, 0x18, 0, 'U', 'I', 0xFF, 0xFF, '1'},                                   // a length that lies
		[]byte("GIF89a, no DICOM at all"),
		{0},
	}
	for _, data := range sick {
		if rsp, err := c.Store(t.Context(), ctStore, bytes.NewReader(data)); err != nil || rsp.Status != StatusSuccess {
			t.Errorf("% X: %v, %v", data, rsp, err)
		}
	}
	if err := c.Release(t.Context()); err != nil {
		t.Error(err)
	}
	for i, got := range k.all() {
		if !bytes.Equal(got.data, sick[i]) {
			t.Errorf("% X arrived as % X", sick[i], got.data)
		}
	}
}

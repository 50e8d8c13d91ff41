package main

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"edged/agent/status"
	"edged/dimse"
	"edged/internal/synth"
	"edged/spool"
)

// whenEmpty does something when everything before it has been read.
type whenEmpty func()

func (f whenEmpty) Read([]byte) (int, error) { f(); return 0, io.EOF }

// P1: all bytes arrived and are written, but what makes them durable fails: the
// modality hears a refusal for now, and never Success.
func TestNoSuccessWhenCommitFails(t *testing.T) {
	s, err := spool.Open(t.Context(), spool.Config{Dir: t.TempDir(), AllowUnsafeFilesystem: true, BallastBytes: -1, ReserveBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	k := newKeeper(spool.Config{}, slog.New(slog.DiscardHandler), func() {})
	k.set(s, nil)
	d := &door{keeper: k, log: k.log, refuse: func() {}, roster: newRoster(Dicom{AETitle: "EDGED", AcceptUnknown: true}, time.Now, func() {})}
	rq := dimse.StoreRequest{SOPClassUID: "1.2.840.10008.5.1.4.1.1.2", SOPInstanceUID: "1.2.3", TransferSyntaxUID: "1.2.840.10008.1.2.1"}
	data := io.MultiReader(bytes.NewReader(make([]byte, 200_000)), whenEmpty(func() { s.Close() }))
	st, err := d.store(t.Context(), 1, caller{calling: "CT1", called: "EDGED"}, rq, data)
	if st != dimse.StatusOutOfResources || err == nil {
		t.Errorf("answered %s, %v", st, err)
	}
	if st, err := d.store(t.Context(), 1, caller{}, rq, bytes.NewReader(nil)); st.IsSuccess() || err == nil {
		t.Errorf("a closed spool answered %s, %v", st, err)
	}
}

// P7: what is full refuses who brings images, and nobody who only looks for them.
func TestFullSpoolStillAnswersQueries(t *testing.T) {
	s, err := spool.Open(t.Context(), spool.Config{Dir: t.TempDir(), AllowUnsafeFilesystem: true, BallastBytes: -1, ReserveBytes: 1 << 60})
	ok(t, err)
	t.Cleanup(func() { s.Close() })
	if s.Admission() != spool.Refuse {
		t.Fatal("the spool is not full")
	}
	k := newKeeper(spool.Config{}, slog.New(slog.DiscardHandler), func() {})
	k.set(s, nil)
	d := &door{keeper: k, log: k.log, refuse: func() {}, roster: newRoster(Dicom{AETitle: "EDGED", Devices: []Device{
		{AETitle: "WS", Services: []string{serviceQuery, serviceGet}}, {AETitle: "CT", Services: []string{serviceStore, serviceQuery}}}}, time.Now, func() {})}
	peer := func(title string) dimse.Peer {
		return dimse.Peer{Calling: title, Called: "EDGED", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 4711}}
	}
	if r := d.admit(peer("WS")); r != nil {
		t.Errorf("who stores nothing is refused: %v", r)
	}
	if r := d.admit(peer("CT")); r != &dimse.RejectCongestion {
		t.Errorf("who stores is answered %v", r)
	}
}

// What a device may fetch it may not store: that it tried is counted on the device,
// with a reason that the page and `edged devices ls` say.
func TestAnImageOfADeviceWithoutStoreLeavesATrace(t *testing.T) {
	t.Parallel()
	r := newRig(t, `dicom: {listen: "$DICOM", devices: [{ae_title: WS1, address: 127.0.0.1, services: [query, get]}]}`+"\n"+alone, "")
	r.startEdged()
	o := synthetic(t, 1, synth.Bench(1, 64<<10))[0]
	c := r.associate("WS1", o.need())
	for range 2 {
		if st := r.store(c, o); st != dimse.StatusNotAuthorized {
			t.Errorf("answered %s", st)
		}
	}
	r.hasCode("WS1", status.NotOffered)
	if d := r.device("WS1"); d.Refused != 2 || d.Stored != 0 {
		t.Errorf("the device is shown with %+v", d)
	}
	const says = "It sent an image; storing is not switched on for this device."
	if page := r.page0("/?lang=en"); !strings.Contains(page, says) {
		t.Error("the page does not say it")
	}
	if said := r.must("edged", "devices", "ls", "-c", r.path("edged.yaml")); !strings.Contains(said, says) {
		t.Errorf("edged devices ls: %s", said)
	}
}

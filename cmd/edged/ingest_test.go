package main

import (
	"bytes"
	"io"
	"log/slog"
	"testing"
	"time"

	"edged/dimse"
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

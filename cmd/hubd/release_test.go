package main

import (
	"path/filepath"
	"strings"
	"testing"

	"edged/hub"
	"edged/hub/ledger"
	"edged/internal/dicom"
)

// P5: who releases the second of two contents learns that some archives ignore it
// and say Success.
func TestReleaseSaysWhatASuccessMayBeWorth(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HUBD_DATA_DIR", dir)
	l, err := ledger.Open(t.Context(), ledger.Config{Path: filepath.Join(dir, "ledger.db"), Destinations: []ledger.Destination{{Name: "vna", Required: true}}})
	if err != nil {
		t.Fatal(err)
	}
	n := dicom.Names{TransferSyntax: "1.2.840.10008.1.2", SOPClass: "1.2.840.10008.5.1.4.1.1.7", SOPInstance: "2.25.99"}
	both := []hub.Object{{ID: hub.ID{1}, Names: n, Length: 1, Device: "d"}, {ID: hub.ID{2}, Names: n, Length: 1, Device: "d"}}
	if err := l.Receive(t.Context(), both); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var out, errOut strings.Builder
	if code := run(t.Context(), []string{"objects", "release", both[1].ID.String()}, &out, &errOut); code != exitDone || !strings.Contains(errOut.String(), "silently ignores the second") {
		t.Errorf("exit %d: %s", code, errOut.String())
	}
	errOut.Reset()
	if code := run(t.Context(), []string{"objects", "release", both[0].ID.String()}, &out, &errOut); code != exitFailed || strings.Contains(errOut.String(), "warning") {
		t.Errorf("of one that is not held: exit %d: %s", code, errOut.String())
	}
}

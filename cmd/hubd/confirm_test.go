package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edged/hub"
	"edged/hub/ledger"
	"edged/internal/dicom"
)

// What the hub lost and somebody has seen in the archive is archived when that one says
// so; a list goes on behind what cannot be confirmed.
func TestConfirmTakesAListOfWhatWasSeen(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "hubd.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "data_dir: %s\ndestinations:\n- {name: vna, type: dir, path: %s/vna, create: true}\n", dir, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.Context(), ledger.Config{Path: filepath.Join(dir, "ledger.db"), Destinations: []ledger.Destination{{Name: "vna", Required: true}}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var ids []string
	for n := range 3 {
		names := dicom.Names{TransferSyntax: "1.2.840.10008.1.2", SOPClass: "1.2.840.10008.5.1.4.1.1.7", SOPInstance: fmt.Sprintf("2.25.%d", n+1)}
		o := hub.Object{ID: hub.ID{byte(n + 1)}, Names: names, Length: 1, Device: "d"}
		ids = append(ids, o.ID.String())
		if err := l.Receive(t.Context(), []hub.Object{o}); err != nil {
			t.Fatal(err)
		}
	}
	jobs, err := l.Lease(t.Context(), "vna", 2, time.Hour) // the third is not lost
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range jobs {
		if err := l.Lost(t.Context(), j, "no such file"); err != nil {
			t.Fatal(err)
		}
	}
	var out, errOut strings.Builder
	confirm := func(args ...string) int {
		out.Reset()
		errOut.Reset()
		return run(t.Context(), append([]string{"-c", config, "objects", "confirm"}, args...), &out, &errOut)
	}
	if code := confirm(ids[0]); code != exitFailed {
		t.Errorf("nobody has seen it: exit %d", code)
	}
	if code := confirm("--destination", "vna", ids[0]); code != exitUsage {
		t.Errorf("a destination alone: exit %d", code)
	}
	code := confirm("--seen", "N. N. in the viewer, today", ids[0], ids[2], ids[1])
	if code != exitFailed || !strings.Contains(out.String(), "2 of 3") || !strings.Contains(errOut.String(), ids[2]) {
		t.Errorf("exit %d: %s%s", code, out.String(), errOut.String())
	}
	s, err := l.Stats(t.Context())
	if err != nil || s.Archived != 2 || s.Lost != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// A list is what objects ls writes, filtered by whoever has compared.
func TestAListOfObjectsIsReadAsItIsWritten(t *testing.T) {
	one, other := hub.ID{1}.String(), hub.ID{2}.String()
	ids, err := idsOf([]string{one, "-"}, strings.NewReader("ID  DESTINATION\n\n"+other+"  vna  permanent\n"))
	if err != nil || len(ids) != 2 || ids[1] != (hub.ID{2}) {
		t.Errorf("%v, %v", ids, err)
	}
	if _, err := idsOf([]string{"-"}, strings.NewReader("vna "+one+"\n")); err == nil {
		t.Error("what is no ID is passed over")
	}
}

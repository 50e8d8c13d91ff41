package main

import (
	"strings"
	"testing"
)

// What others said or are called does not leave with the journal, however it is written;
// what the program says itself does.
func TestTheJournalOfTheBundleHasOurWordsOnly(t *testing.T) {
	const name = "ROSSIMARIO"
	text := `2026-11-20T10:00:00+0100 box edged[71]: level=INFO msg="association rejected" calling="ROSSIMARIO A" called=ROSSIMARIO remote=10.0.0.9 why="not known"
2026-11-20T10:00:01+0100 box edged[71]: level=WARN msg="logged in" name=ROSSIMARIO
2026-11-20T10:00:02+0100 box edged[71]: level=WARN msg="the hub refuses" words="Patient ID mismatch: \"ROSSIMARIO\" level=INFO msg=x" objects=3
2026-11-20T10:00:03+0100 box edged[71]: level=ERROR msg="an object does not reach the archive" err="archive: ROSSIMARIO" status=A700 object=1.2.840.10008.1
2026-11-20T10:00:04+0100 box edged[71]: panic: ROSSIMARIO
2026-11-20T10:00:04+0100 box edged[71]:         /src/edged/cmd/edged/door.go:71 +0x1d
2026-11-20T10:00:05+0100 box systemd[1]: edged.service: Main process exited, code=exited, status=2
`
	got := ownJournal(text)
	for _, never := range []string{name, "10.0.0.9", "1.2.840"} {
		if strings.Contains(got, never) {
			t.Errorf("it says %q:\n%s", never, got)
		}
	}
	for _, want := range []string{`msg="association rejected"`, "level=ERROR", "objects=3", "status=A700", "door.go:71", "Main process exited", "2026-11-20T10:00:01", "(more is left out)"} {
		if !strings.Contains(got, want) {
			t.Errorf("it lacks %q:\n%s", want, got)
		}
	}
	if n := strings.Count(got, "\n"); n != 7 {
		t.Errorf("%d lines", n)
	}
}

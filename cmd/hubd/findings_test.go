package main

import (
	"strings"
	"testing"

	"edged/internal/quality"
)

// What an appliance says in codes is said to operators in words, behind the code; what is
// none stays as it came.
func TestFindingsAreSaidInWords(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"":                            "",
		"another patient":             "another patient",
		"a\x1b[2Jb\nc":                "a [2Jb c",
		"object.cut":                  "object.cut: The image arrived cut off: its end is missing. Send it again from the device.",
		"study.patients":              "study.patients: The same study belongs to two different patients. Check whose it is, correct it in the RIS and send again.",
		"pixels.short 524288 1000":    "pixels.short: The image is incomplete: it should have 524288 bytes, it has 1000 bytes. Send it again from the device.",
		"pixels.frames 12 7":          "pixels.frames: The image is incomplete: it declares 12 frames and has 7 at most. Send it again from the device.",
		"pixels.short":                "pixels.short: The image is incomplete: it should have –, it has –. Send it again from the device.",
		"pixels.short 1 Rossi":        "pixels.short 1 Rossi",
		"object.cut; of.tomorrow 1 2": "object.cut; of.tomorrow 1 2",
		"object.cut; pixels.open":     "object.cut: The image arrived cut off: its end is missing. Send it again from the device. pixels.open: The compressed image stops before its end. Send it again from the device.",
	} {
		if got := foundWords(said); got != want {
			t.Errorf("%q\n got %q\nwant %q", said, got, want)
		}
	}
	for _, e := range quality.Table() {
		if got := foundWords(string(e.Code)); !strings.HasPrefix(got, string(e.Code)+": ") || strings.ContainsAny(got, "{}") {
			t.Errorf("%s: %q", e.Code, got)
		}
	}
}

package main

import (
	"os"
	"strings"
	"testing"

	"edged/internal/synth"
)

// The export of a damaged object leaves no file and says that it is damaged, in
// one line, whoever reads it: the command itself or the running daemon (P14).
func TestExportSaysDamaged(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
	r.startEdged()
	o := synthetic(t, 5, synth.Bench(1, 300<<10))[0]
	r.mustStore(r.associate("CT1", o.need()), o)
	r.edged.stop()
	file := r.inSpool("objects")[0]
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 4
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	export := func(when string) {
		said, code := r.call("edged", "spool", "export", "-c", r.path("edged.yaml"), r.path("out"))
		first, _, _ := strings.Cut(said, "\n")
		if code != 1 || !strings.HasPrefix(first, "edged: "+o.id()+": ") || !strings.Contains(first, "damaged") || strings.Count(said, "\n") != 3 {
			t.Errorf("%s: exit %d, says %s", when, code, said)
		}
		if names, _ := os.ReadDir(r.path("out")); len(names) != 0 {
			t.Errorf("%s: there is %v", when, names)
		}
	}
	export("while the daemon is down")
	r.startEdged()
	export("while the daemon runs")
}

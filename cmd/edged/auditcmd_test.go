package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edged/internal/synth"
)

// Who has the exported file and nothing of the appliance verifies and reads it; that its
// end was cut off is told, and with a head from the audit repository also that the log was
// cut off before it was exported.
func TestTheAuditLogIsVerifiedFromItsExportAlone(t *testing.T) {
	repo := newRepository(t)
	repo.up()
	r := newRig(t, alone+repo.section(""), "")
	r.startEdged()
	o := synthetic(t, 33, synth.Bench(1, 10<<10))[0]
	r.mustStore(r.associate("CT1", o.need()), o)
	r.mustSpool("discard", "--reason", "sent twice", "--export", r.path("out"), o.id())
	r.edged.stop()
	r.startEdged() // says the head, at a start
	m := repo.find("the head of the log", func(m heard) bool { return m.is("110101") && strings.Contains(m.x.Event.Reason, "head ") })
	_, head, _ := strings.Cut(m.x.Event.Reason, "head ")

	file := filepath.Join(t.TempDir(), "audit.jsonl")
	if said := r.must("edged", "audit", "export", "-c", r.path("edged.yaml"), file); !strings.Contains(said, "the chain is whole") {
		t.Errorf("export says %s", said)
	}
	if _, code := r.call("edged", "audit", "export", "-c", r.path("edged.yaml"), file); code == 0 {
		t.Error("an export was overwritten")
	}
	elsewhere := t.TempDir()
	t.Chdir(elsewhere)
	said, code := run2(t, bin(t, "edged"), "audit", "verify", "--head", head, file)
	if code != 0 || !strings.Contains(said, "the chain is whole") || !strings.Contains(said, "sent twice") {
		t.Errorf("exit %d: %s", code, said)
	}
	b, err := os.ReadFile(file)
	ok(t, err)
	lines := strings.SplitAfter(string(b), "\n")
	ok(t, os.WriteFile("cut", []byte(strings.Join(lines[:len(lines)-2], "")), 0o600))
	if said, code := run2(t, bin(t, "edged"), "audit", "verify", "cut"); code != 1 || !strings.Contains(said, "cut off") {
		t.Errorf("cut off: exit %d: %s", code, said)
	}
	sealed := filepath.Join(elsewhere, "sealed.jsonl")
	r.must("edged", "audit", "export", "--sealed", "-c", r.path("edged.yaml"), sealed)
	if said, code := run2(t, bin(t, "edged"), "audit", "verify", sealed); code != 0 || strings.Contains(said, "sent twice") {
		t.Errorf("sealed: exit %d: %s", code, said)
	}
	logs, _ := filepath.Glob(r.path("edge/audit/*.log"))
	ok(t, os.Remove(logs[0])) // as somebody would who is root
	if said, code := r.call("edged", "audit", "-c", r.path("edged.yaml"), "--head", head); code != 1 || !strings.Contains(said, "rows were cut off") {
		t.Errorf("removed: exit %d: %s", code, said)
	}
}

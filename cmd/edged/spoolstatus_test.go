package main

import (
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edged/agent/status"
	"edged/internal/synth"
	"edged/spool"
)

// What scripts and people read about the space and the check of all images, from
// the real daemon.
func TestStatusTellsSpaceAndCheck(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
	r.startEdged()
	objects := synthetic(t, 31, synth.Bench(3, 100<<10))
	r.mustStore(r.associate("CT1", objects[0].need()), objects...)
	r.await("the days left to be known", func() bool { d := r.status().Spool.DaysLeft; return d != nil && *d > 0 })
	var raw struct{ Spool map[string]any }
	ok(t, json.Unmarshal([]byte(r.page0("/api/v1/status")), &raw))
	for _, key := range []string{"days_left", "unfinished", "damage", "scrub"} {
		if _, there := raw.Spool[key]; !there {
			t.Errorf("spool.%s is not in the status: %v", key, raw.Spool)
		}
	}
	metrics := r.page0("/metrics")
	for _, name := range []string{"edged_spool_full_seconds ", "edged_spool_unfinished_objects 0", "edged_spool_damaged_no_copy_objects 0", "edged_spool_scrub_objects_total ",
		"edged_spool_recovering_files 0", `edged_warning{warning="not_recoverable"} 1`, `edged_warning{warning="unencrypted"} 0`} {
		if !strings.Contains(metrics, "\n"+name) {
			t.Errorf("no %s in the metrics", name)
		}
	}
	if said := r.must("edged", "status", "-c", r.path("edged.yaml")); !strings.Contains(said, "at today’s pace") || !strings.Contains(said, "Read again since the start") {
		t.Errorf("the terminal says %s", said)
	}

	// Damage that nobody has met yet is found in the background, by itself.
	r.edged.stop()
	flipOneBit(t, r.path("edge/spool/objects"))
	r.startEdged()
	r.await("the damage to be found", func() bool {
		st := r.status()
		return st.State == status.Attention && st.Spool.Scrub.Damaged == 3 && st.Spool.Damage == (status.Damage{NoOtherCopy: 3})
	})
	if list := r.mustSpool("ls"); !strings.Contains(list, "send it again from the modality") {
		t.Errorf("the list says %s", list)
	}
}

// A start that takes long says how far it is, and stops saying so when it is there.
func TestAStartSaysHowFarItIs(t *testing.T) {
	k := newKeeper(spool.Config{Dir: t.TempDir(), AllowUnsafeFilesystem: true}, slog.New(slog.DiscardHandler), func() {})
	if k.recovering() != nil {
		t.Error("something is told before anything was counted")
	}
	k.cfg.Progress(3000, 48000)
	if got := k.recovering(); got == nil || *got != (status.Recovering{Done: 3000, Total: 48000}) {
		t.Errorf("%v", got)
	}
	k.set(new(spool.Spool), nil)
	if k.recovering() != nil {
		t.Error("it is told although the spool is open")
	}
}

// Who asks is the kernel's word.
func TestTheSocketKnowsWhoAsks(t *testing.T) {
	path := filepath.Join(t.TempDir(), controlSocket)
	l, err := (&control{}).listen(path)
	ok(t, err)
	defer l.Close()
	c, err := net.Dial("unix", path)
	ok(t, err)
	defer c.Close()
	served, err := l.Accept()
	ok(t, err)
	defer served.Close()
	if got := served.RemoteAddr().String(); got != whoami() || got == "" || got == "unknown" {
		t.Errorf("the peer is %q, want %q", got, whoami())
	}
	if got := nameOf(4242, os.Getpid()); !strings.HasPrefix(got, "uid 4242") {
		t.Errorf("a user without a name is %q", got)
	}
}

// A record that somebody has changed is told by `edged audit`, with exit code 1,
// and can be read all the same.
func TestAChangedRecordIsTold(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
	r.startEdged()
	objects := synthetic(t, 32, synth.Bench(2, 10<<10))
	r.mustStore(r.associate("CT1", objects[0].need()), objects...)
	for _, o := range objects {
		r.mustSpool("discard", "--reason", "PROVA^MARIA asked for it", "--export", r.path("out"), o.id())
	}
	if n := len(r.events()); n != 4 {
		t.Fatalf("%d events", n)
	}
	logs, _ := filepath.Glob(r.path("edge/audit/*.log"))
	if len(logs) != 1 {
		t.Fatalf("logs %v", logs)
	}
	b, err := os.ReadFile(logs[0])
	ok(t, err)
	if strings.Contains(string(b), "PROVA") {
		t.Error("the reason can be read on the disk (P10)")
	}
	rows := strings.SplitAfter(string(b), "\n")
	ok(t, os.WriteFile(logs[0], []byte(rows[0]+strings.Join(rows[2:], "")), 0o600))
	said, code := r.call("edged", "audit", "-c", r.path("edged.yaml"))
	if code != 1 || !strings.Contains(said, "rows are missing") || !strings.Contains(said, "has no outcome") || strings.Count(said, "PROVA^MARIA asked for it") != 3 {
		t.Errorf("exit %d, says %s", code, said)
	}
}

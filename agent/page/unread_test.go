package page

import (
	"strings"
	"testing"

	"edged/agent/status"
)

// While the spool cannot be asked nobody says nothing, none or zero of it: not on a page, not
// in the terminal, and to Prometheus nothing at all, which would take a jump from zero for
// so many that came at once.
func TestWhatIsNotKnownIsNotCalledNone(t *testing.T) {
	starting := scenes()["starting"]
	said := map[string]string{"terminal": terminalOf(starting.status, morning, "en")}
	for _, path := range []string{"/?lang=en", "/line?lang=en"} {
		said[path] = text(t, ask(t, starting, path))
	}
	for where, body := range said {
		if !strings.Contains(body, "not known now") {
			t.Errorf("%s does not say it", where)
		}
		for _, none := range []string{"none yet", "No studies yet", "0 images", "nothing<", "| nothing", "0 B", "0\u00a0B", "not yet"} {
			if i := strings.Index(body, none); i >= 0 {
				t.Errorf("%s says %q: %s", where, none, body[max(0, i-80):i+20])
			}
		}
	}
	if !strings.Contains(said["/?lang=en"], "as soon as the disk has been read") {
		t.Error("nobody says where the studies are")
	}
	rows := diskOf(System{TotalBytes: 1}, facts{Status: starting.status, Now: morning}, catalogues["en"])
	for i, says := range map[int]string{0: "not known now", 1: "not known now", 2: "1\u00a0B", 4: "not known now", 5: "not known now"} {
		if len(rows) != 6 || rows[i].Says != says || rows[i].Mark != "" {
			t.Errorf("row %d of %d: %+v", i, len(rows), rows[i])
		}
	}
}

func TestWhatIsNotKnownIsNoSample(t *testing.T) {
	open, shut := ordinary(), ordinary()
	shut.status.SpoolUnknown = true
	is, was := text(t, ask(t, shut, "/metrics")), text(t, ask(t, open, "/metrics"))
	for _, m := range []string{"objects_received_total", "objects_quarantined_total", "refused_total", "spool_free_bytes", "uplink_backlog_objects", "last_received_timestamp_seconds"} {
		if !strings.Contains(was, "\nedged_"+m+" ") || strings.Contains(is, "\nedged_"+m+" ") {
			t.Errorf("%s: %t while the spool is open, %t while it is not", m, strings.Contains(was, "\nedged_"+m+" "), strings.Contains(is, "\nedged_"+m+" "))
		}
	}
	for _, m := range []string{"ready", "uplink_connected", "spool_recovering_files", `state{state="` + string(status.OK) + `"}`} {
		if !strings.Contains(is, "\nedged_"+m+" ") {
			t.Errorf("%s is not told", m)
		}
	}
}

package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"edged/agent/account"
	"edged/agent/page"
	"edged/agent/status"
)

// All that `edged status` says stands in two columns, with what the daemon says besides.
func TestStatusStandsInColumns(t *testing.T) {
	now := time.Date(2026, 11, 21, 8, 42, 0, 0, time.UTC)
	st := status.Status{State: status.Stopped, At: now, StartedAt: now, Reasons: []status.Reason{{Code: status.LinkDown, Count: 3}, {Code: status.Quarantined, Count: 1}},
		Uplink: status.Uplink{Connected: true, Transport: status.TCP, CapBackfill: 50e6}, Warnings: []status.Warning{status.KeepHub}}
	var out strings.Builder
	ok(t, printStatus(&out, st, now, "en", page.Fact{What: "page", Says: "none"}, page.Fact{What: "audit", Says: "here"}))
	top, rest, _ := strings.Cut(strings.TrimRight(out.String(), "\n"), "\n\n")
	for part, begins := range map[string]string{top: "Images are safe", rest: "Connected"} {
		column := columnOf(part, begins)
		for line := range strings.Lines(part) {
			r := []rune(line)
			if len(r) <= column || r[column] == ' ' || string(r[column-2:column]) != "  " {
				t.Errorf("not in columns of %d:\n%s", column, line)
			}
		}
	}
	lines := strings.Split(rest, "\n")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "audit ") || !strings.HasSuffix(last, " here") {
		t.Errorf("the last row is %q", last)
	}
}

// columnOf is where a text stands in its line.
func columnOf(in, text string) int {
	before, _, _ := strings.Cut(in, text)
	return utf8.RuneCountInString(before[strings.LastIndex(before, "\n")+1:])
}

// The daemon tells who is locked out, and the list says so; without a daemon it says that
// nobody knows.
func TestTheListOfAccountsSaysWhoIsLockedOut(t *testing.T) {
	until := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	all := []account.Account{{Name: "anna", Role: account.Technician, LockedUntil: until}, {Name: "luca", Role: account.Technician}}
	c := &control{view: &view{people: func() ([]account.Account, error) { return all, nil }}}
	w := httptest.NewRecorder()
	c.handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/locked", nil))
	if got, want := strings.TrimSpace(w.Body.String()), `{"anna":"2026-11-21T09:00:00Z"}`; got != want {
		t.Errorf("the daemon says %s, want %s", got, want)
	}
	for known, want := range map[bool][2]string{true: {"2026-11-21T09:00:00Z", "no"}, false: {"not known", "not known"}} {
		locked := map[string]time.Time{"anna": until}
		if !known {
			locked = nil
		}
		var out strings.Builder
		ok(t, printAccounts(&out, all, locked, known))
		for i, line := range strings.Split(strings.TrimSpace(out.String()), "\n")[1:] {
			if !strings.HasSuffix(line, "  "+want[i]) {
				t.Errorf("known %t: %q, want %q at its end", known, line, want[i])
			}
		}
	}
}

// One is not "1 devices".
func TestCheckCountsInWords(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for devices, want := range map[string]string{"[{ae_title: CT1}]": ", 1 device, 0 hubs", "[{ae_title: CT1}, {ae_title: CT2}]": ", 2 devices, 0 hubs"} {
		m.write("dicom: {devices: " + devices + "}\n")
		if out, code := m.run("", "check"); code != 0 || !strings.Contains(out, want) {
			t.Errorf("exit code %d, says %q; want %q", code, out, want)
		}
	}
}

// write replaces the configuration.
func (m *machine) write(more string) {
	m.t.Helper()
	ok(m.t, os.WriteFile(m.cfg, []byte("data_dir: "+m.data+"\n"+more), 0o644))
}

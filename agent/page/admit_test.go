package page

import (
	"html"
	"os/exec"
	"strings"
	"testing"

	"edged/agent/status"
)

// Below an unknown device stands what admits it, in every language, from the
// address at which it was seen; below the others it does not.
func TestAnUnknownDeviceSaysHowToAdmitIt(t *testing.T) {
	for lang, says := range map[string]string{"it": "Per ammetterla:", "en": "To admit it:", "de": "Zum Zulassen:"} {
		body := text(t, ask(t, scenes()["attention"], "/?lang="+lang))
		if want := says + " <code>edged devices admit ECO_NEW --address 192.0.2.40</code>"; strings.Count(body, want) != 1 || strings.Count(body, "devices admit") != 1 {
			t.Errorf("the page in %s does not say once %q", lang, want)
		}
	}
}

// Who copies the line into a shell runs one command with these words and nothing
// else, whatever the device calls itself; of what is no AE title or no address there
// is no line.
func TestTheLineThatAdmitsIsSafeInAShell(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no sh on this machine")
	}
	for _, title := range []string{"CT1", "A B", "$(id)", "`id`", "'; id; '", `";id;"`, "x|id>y", "A  B", "<b>&amp;", "~", "#1", "*", "!x", "{a,b}", "a=b", "'", "-c", "--name"} {
		d := ordinary()
		d.devices = []status.Device{{AETitle: title, Address: "10.0.0.9", Refused: 1, LastSeen: morning}}
		body := text(t, ask(t, d, "/?lang=en"))
		_, rest, _ := strings.Cut(body, "<code>")
		code, _, found := strings.Cut(rest, "</code>")
		if !found || strings.Contains(code, "<") {
			t.Errorf("%q: the page shows %q", title, code)
			continue
		}
		out, err := exec.Command(sh, "-c", "edged() { printf '%s|' \"$@\"; }\n"+html.UnescapeString(code)).CombinedOutput()
		want := "devices|admit|" + title + "|--address|10.0.0.9"
		if title[0] == '-' {
			want = "devices|admit|--address|10.0.0.9|--|" + title
		}
		if got := strings.TrimSuffix(string(out), "|"); err != nil || got != want {
			t.Errorf("%q: the shell reads %q, want %q (%v)", title, got, want, err)
		}
	}
	for _, d := range []status.Device{{AETitle: "", Address: "10.0.0.9"}, {AETitle: "   ", Address: "10.0.0.9"}, {AETitle: "A\nid", Address: "10.0.0.9"}, {AETitle: `A\B`, Address: "10.0.0.9"},
		{AETitle: "SEVENTEEN_LETTERS", Address: "10.0.0.9"}, {AETitle: "È", Address: "10.0.0.9"}, {AETitle: "CT1", Address: ""}, {AETitle: "CT1", Address: "$(id)"}, {AETitle: "CT1", Address: "fe80::1%$(id)"}} {
		if got := admitCommand(d); got != "" {
			t.Errorf("%q at %q: %s", d.AETitle, d.Address, got)
		}
	}
}

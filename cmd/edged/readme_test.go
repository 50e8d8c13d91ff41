package main

import (
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// What the README tells a stranger to type works as it stands there: its list of
// devices, and its commands with HOST, port, FOLDER and FILE put in.
func TestReadmeToTryIt(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	devices := regexp.MustCompile(`(?m)^ *devices:\n((?: +- .*\n)+)`).FindStringSubmatch(string(text))
	if devices == nil {
		t.Fatal("the README has no list of devices")
	}
	r := newRig(t, "dicom: {listen: \"$DICOM\"}\n"+alone, "")
	r.rewrite("edged.yaml", "dicom:\n  listen: \""+r.dicom+"\"\n  devices:\n"+devices[1])
	r.startEdged()
	files := r.make("bench:3x64KiB", 3)
	host, port, _ := net.SplitHostPort(r.dicom)
	known := strings.NewReplacer("HOST:11112", r.dicom, "HOST", host, "11112", port, "FOLDER", r.path("made"), "FILE", files[0])
	for verb, want := range map[string]string{"bin/edged echo": "answered C-ECHO", "bin/edged send": "3 stored", "storescu": ""} {
		line := regexp.MustCompile(`(?m)^    (` + verb + ` .*HOST[^#\n]*)`).FindStringSubmatch(string(text))
		if line == nil {
			t.Errorf("the README has no %s", verb)
			continue
		}
		words := strings.Fields(known.Replace(strings.Replace(line[1], "bin/edged", bin(t, "edged"), 1)))
		if _, err := exec.LookPath(words[0]); err != nil {
			t.Logf("%s is not installed: left out", words[0])
			continue
		}
		if said, code := run2(t, words[0], words[1:]...); code != 0 || !strings.Contains(said, want) {
			t.Errorf("%s: exit %d, says %s", line[1], code, said)
		}
	}
	if n := len(r.rows()); n < 3 { // storescu may write a data set anew: another object
		t.Errorf("%d objects are there, want the 3 that were sent", n)
	}
}

// A rejection that a name has caused says which name, and where it is to be put.
func TestRejectionSaysWhatToDo(t *testing.T) {
	t.Parallel()
	r := newRig(t, `dicom: {listen: "$DICOM", devices: [{ae_title: CT1}]}`+"\n"+alone, "")
	r.startEdged()
	r.make("bench:1x4KiB", 1)
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"echo", "--to", "EDGED@" + r.dicom}, "add AE title EDGED to dicom.devices"},
		{[]string{"send", "--to", "EDGED@" + r.dicom, "--calling", "MR7", r.path("made")}, "add AE title MR7 to dicom.devices"},
		{[]string{"echo", "--to", "NESSUNO@" + r.dicom, "--calling", "CT1"}, "does not call itself NESSUNO"},
	} {
		said, code := r.call("edged", c.args...)
		if code != 1 || !strings.Contains(said, c.says) {
			t.Errorf("edged %s: exit %d, says %s", strings.Join(c.args, " "), code, said)
		}
	}
}

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Two commands to one node have nothing to do with each other; the same command
// twice at once is told; and what has nothing to remember leaves nothing behind.
func TestSendLogs(t *testing.T) {
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	left := func() int { names, _ := os.ReadDir(filepath.Join(state, "edged")); return len(names) }
	open := func(again bool, paths ...string) *sendLog {
		t.Helper()
		l, err := openSendLog(target{"EDGED", "host:104"}, "CT1", paths, again)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	file := candidate{path: "/a/1", size: 7, mtime: time.Unix(1, 0)}

	a, b := open(false, "/a"), open(false, "/b")
	for _, l := range []*sendLog{a, b} {
		if err := l.add(file); err != nil {
			t.Fatal(err)
		}
		if err := l.finish(); err != nil {
			t.Errorf("one of two at once: %v", err)
		}
		l.close()
	}
	if left() != 0 {
		t.Errorf("%d logs are left of runs that finished", left())
	}

	a = open(false, "/a")
	if _, err := openSendLog(target{"EDGED", "host:104"}, "CT1", []string{"/a"}, true); !errors.Is(err, errSending) {
		t.Errorf("the same command at once: %v", err)
	}
	a.add(file)
	a.close() // interrupted
	b, a = open(false, "/b"), open(false, "/a")
	if !a.has(file) || b.has(file) || left() != 2 {
		t.Errorf("after an interruption: its own file %v, the other's %v, %d logs", a.has(file), b.has(file), left())
	}
	a.close()
	b.close()
	if again := open(true, "/a"); again.has(file) {
		t.Error("--again goes by an old log")
	} else {
		again.close()
	}
	if left() != 0 {
		t.Errorf("%d empty logs are left", left())
	}
}

// A run that was refused altogether leaves no log, and neither does one that has
// sent everything.
func TestSendLeavesNoEmptyLog(t *testing.T) {
	t.Parallel()
	r := newRig(t, `dicom: {listen: "$DICOM", devices: [{ae_title: CT1}]}`+"\n"+alone, "")
	r.startEdged()
	r.make("bench:1x4KiB", 1)
	state := t.TempDir()
	for calling, want := range map[string]int{"STRANGER": 1, "CT1": 0} {
		p := startEnv(t, []string{"XDG_STATE_HOME=" + state}, bin(t, "edged"), "send", "--calling", calling, "--to", "EDGED@"+r.dicom, r.path("made"))
		<-p.done
		if code := p.cmd.ProcessState.ExitCode(); code != want || strings.Contains(p.said.String(), "no such file") {
			t.Errorf("send as %s: exit %d, says %s", calling, code, p.said.String())
		}
		if names, _ := os.ReadDir(filepath.Join(state, "edged")); len(names) != 0 {
			t.Errorf("send as %s left %v", calling, names)
		}
	}
}

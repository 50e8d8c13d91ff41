package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"edged/internal/synth"
)

// A key that does not exist is a typing mistake that would else go unnoticed for
// months: one line names file, line and key, and nothing starts.
func TestUnknownConfigurationKey(t *testing.T) {
	t.Parallel()
	r := newRig(t, "dicom:\n", "")
	r.write("edged.yaml", "data_dir: "+r.path("edge")+"\ndicom:\n  listen: \":0\"\n  accept_unknwon: true\n")
	r.write("hubd.yaml", "data_dir: "+r.path("hub")+"\nlisten: \":0\"\ndestinatons: []\n")
	for _, c := range []struct{ name, verb, file, want string }{
		{"edged", "check", "edged.yaml", ":4: dicom.accept_unknwon: "},
		{"edged", "run", "edged.yaml", ":4: dicom.accept_unknwon: "},
		{"hubd", "check", "hubd.yaml", ":3: destinatons: "},
		{"hubd", "run", "hubd.yaml", ":3: destinatons: "},
	} {
		said, code := r.call(c.name, c.verb, "-c", r.path(c.file))
		want := c.name + ": " + r.path(c.file) + c.want
		if code != 2 || !strings.HasPrefix(said, want) || strings.Count(said, "\n") != 1 {
			t.Errorf("%s %s: exit %d, says %q, want 2 and one line %q", c.name, c.verb, code, said, want)
		}
	}
	if _, err := os.Stat(r.path("edge")); err == nil {
		t.Error("edged made its data directory all the same")
	}
}

// Whoever types something wrong gets one line that says what to do, and the exit
// code says whether it was the typing (2) or the world (1).
func TestCommandsExplainThemselves(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
	nowhere := testAddress()
	for _, c := range []struct {
		program string
		args    []string
		code    int
		says    string
		lines   int // 0: any number
	}{
		{"edged", nil, 2, "edged demo", 0},
		{"edged", []string{"--help"}, 0, "spool", 0},
		{"edged", []string{"version"}, 0, "edged ", 1},
		{"edged", []string{"check", "-c", r.path("edged.yaml")}, 0, "in order", 0},
		{"edged", []string{"check", "-c", r.path("none.yaml")}, 2, "none.yaml", 1},
		{"edged", []string{"status", "--jsn"}, 2, "--jsn", 1},
		{"edged", []string{"status", "--language", "fr"}, 2, "it, en or de", 1},
		{"edged", []string{"frobnicate"}, 2, "frobnicate", 1},
		{"edged", []string{"status", "-c", r.path("edged.yaml")}, 1, "edged run", 1},
		{"edged", []string{"spool", "ls", "-c", r.path("edged.yaml")}, 1, "-c", 1},
		{"edged", []string{"echo", "--to", "EDGED"}, 2, "AET@HOST:PORT", 1},
		{"edged", []string{"echo", "--to", "EDGED@" + nowhere}, 1, "refused", 1},
		{"edged", []string{"send", "--to", "EDGED@" + nowhere, r.path("nothing")}, 1, "nothing", 1},
		{"edged", []string{"send", "--calling", "SEVENTEEN_OR_MORE", "--to", "EDGED@" + nowhere, r.path("nothing")}, 2, "16 characters", 1},
		{"edged", []string{"enroll", "-c", r.path("edged.yaml"), "--hub", nowhere, "--code", "not a code"}, 0, "code", 1},
		{"hubd", nil, 2, "hubd --help", 0},
		{"hubd", []string{"check", "-c", r.path("hubd.yaml")}, 0, "", 0},
		{"hubd", []string{"check", "-c", r.path("none.yaml")}, 2, "none.yaml", 1},
		{"hubd", []string{"run", "--fast"}, 2, "--fast", 1},
	} {
		said, code := r.call(c.program, c.args...)
		if strings.Contains(strings.Join(c.args, " "), "not a code") {
			if code == 0 {
				t.Errorf("a wrong claim code is taken: %s", said)
			}
			c.code = code // 1 or 2: typing or the world, a code may be either
		}
		if code != c.code || !strings.Contains(said, c.says) || c.lines > 0 && strings.Count(said, "\n") != c.lines {
			t.Errorf("%s %s: exit %d, says %q; want exit %d, %d lines and %q in it", c.program, strings.Join(c.args, " "), code, said, c.code, c.lines, c.says)
		}
	}
}

// One flipped bit on the disk is found, by the program and by its exit code,
// whether the daemon runs or not (P14).
func TestVerifyFindsOneBit(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
	r.startEdged()
	objects := synthetic(t, 5, synth.Bench(3, 300<<10))
	r.mustStore(r.associate("CT1", objects[0].need()), objects...)
	if code := r.edged.stop(); code != 0 {
		t.Fatalf("edged stopped with exit %d", code)
	}
	r.must("edged", "spool", "verify", "-c", r.path("edged.yaml"))
	file := r.inSpool("objects")[1]
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 4
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	finds := func(when string) {
		said, code := r.call("edged", "spool", "verify", "-c", r.path("edged.yaml"))
		if code != 1 || !strings.Contains(said, "3 objects") || !strings.Contains(said, "1 damaged") {
			t.Errorf("%s: exit %d, says %s", when, code, said)
		}
	}
	finds("while the daemon is down")
	r.startEdged()
	finds("while the daemon runs")
	for _, o := range objects {
		said, code := r.call("edged", "spool", "export", "-c", r.path("edged.yaml"), r.path("out"), o.id())
		_, err := os.Stat(r.path("out/" + o.id() + ".dcm"))
		if (code == 0) != (err == nil) {
			t.Errorf("export: exit %d, file: %v, says %s", code, err, said)
		}
	}
	if n := len(byID(t, r.path("out/*.dcm"))); n != 2 {
		t.Errorf("%d objects could be exported, want the 2 that are whole", n)
	}
}

// edged send goes on where it stopped.
func TestSendResumes(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
	r.startEdged()
	r.make("bench:40x256KiB", 40)
	state := t.TempDir()
	args := []string{"send", "--retry", "1s", "--to", "EDGED@" + r.dicom, r.path("made")}
	first := startEnv(t, []string{"XDG_STATE_HOME=" + state}, bin(t, "edged"), args...)
	r.await("some to be stored", func() bool { return len(r.rows()) >= 5 })
	r.edged.kill()
	<-first.done
	if code := first.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(first.said.String(), "goes on where this one stopped") {
		t.Errorf("the server died: exit %d, says %s", code, first.said.String())
	}
	r.startEdged()
	second := startEnv(t, []string{"XDG_STATE_HOME=" + state}, bin(t, "edged"), args...)
	<-second.done
	said := second.said.String()
	var stored, earlier int
	if m := regexp.MustCompile(`(?m)^(\d+) stored at .*, (\d+) stored earlier`).FindStringSubmatch(said); m != nil {
		fmt.Sscan(m[1]+" "+m[2], &stored, &earlier)
	}
	if second.cmd.ProcessState.ExitCode() != 0 || stored+earlier != 40 || earlier < 4 || stored == 0 {
		t.Errorf("the second run: exit %d, says %s", second.cmd.ProcessState.ExitCode(), said)
	}
	if len(r.rows()) != 40 {
		t.Errorf("%d objects are there, want 40", len(r.rows()))
	}
	t.Log(strings.TrimSpace(said))
}

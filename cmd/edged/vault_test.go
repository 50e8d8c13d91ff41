package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edged/agent/status"
	"edged/internal/synth"
	"edged/spool/vault"
)

// config is that of the appliance, as its own commands read it.
func (r *rig) config() Config {
	r.t.Helper()
	c, err := loadConfig(r.path("edged.yaml"))
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// filesThatHold are the files below dir with one of these byte strings in them.
func filesThatHold(t *testing.T, dir string, needles ...string) (found []string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		text, err := os.ReadFile(name)
		for _, n := range needles {
			if bytes.Contains(text, []byte(n)) {
				found = append(found, strings.TrimPrefix(name, dir)+": "+n)
			}
		}
		return err
	})
	if err != nil || files < 3 {
		t.Fatalf("%d files below %s: %v", files, dir, err)
	}
	return found
}

// Nothing below data_dir says whose images are there: no name, no ID, no UID, in no
// file, while the daemon runs, after a kill, after a stop. The same search finds
// all of it where encryption is off, so it can find (S8).
func TestNoPatientIsOnTheDisk(t *testing.T) {
	t.Parallel()
	objects := synthetic(t, 11, synth.Bench(3, 64<<10))
	o := objects[0]
	study := string(bytes.TrimRight(valueOf(t, o.data, 0x0020, 0x000D), "\x00 "))
	needles := []string{"PROVA", o.names.SOPInstance, study}
	for _, encrypted := range []bool{true, false} {
		r := newRig(t, alone, "")
		if !encrypted {
			r.rewrite("edged.yaml", "spool: {allow_unsafe_filesystem: true, reserve_bytes: 64MiB, encryption: false}")
		}
		r.startEdged()
		r.mustStore(r.associate("CT1", o.need()), objects...)
		look := func(when string) {
			found := filesThatHold(t, r.path("edge"), needles...)
			if encrypted && len(found) > 0 {
				t.Errorf("%s: %q", when, found)
			}
			for _, n := range needles {
				if !encrypted && !strings.Contains(strings.Join(found, "\n"), n) {
					t.Errorf("%s, without encryption: %q is not found: this search proves nothing", when, n)
				}
			}
		}
		look("while it runs")
		r.edged.kill()
		look("after a kill")
		r.startEdged()
		r.mustStore(r.associate("CT1", o.need()), objects...)
		r.mustHold(objects)
		r.edged.stop()
		look("after a stop")
	}
}

// valueOf finds a short explicit VR element of a synthetic object.
func valueOf(t *testing.T, data []byte, group, number uint16) []byte {
	t.Helper()
	tag := []byte{byte(group), byte(group >> 8), byte(number), byte(number >> 8)}
	i := bytes.Index(data, tag)
	if i < 0 {
		t.Fatalf("no element %04x,%04x", group, number)
	}
	n := int(data[i+6]) | int(data[i+7])<<8
	return data[i+8 : i+8+n]
}

// As long as not both copies of the key are written, no association is accepted;
// the page stays up and says why; the daemon goes on by itself (D-S12, P8).
func TestNoSuccessBeforeTwoCopiesOfTheKey(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
	c := r.config()
	inTheWay := filepath.Join(c.keysDir(), "2")
	if err := os.MkdirAll(c.keysDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(inTheWay, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.edged = start(t, bin(t, "edged"), "run", "-c", r.path("edged.yaml"))
	r.mustSayNotReady("keys")
	if _, err := os.Stat(c.spoolDir()); !os.IsNotExist(err) {
		t.Error("the spool was opened before its key was in two copies")
	}
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	r.mustBecomeReady()
	o := synthetic(t, 3, synth.Bench(1, 32<<10))[0]
	r.mustStore(r.associate("CT1", o.need()), o)
	one, err1 := os.ReadFile(filepath.Join(c.keysDir(), "1", "spool.key"))
	two, err2 := os.ReadFile(filepath.Join(c.keysDir(), "2", "spool.key"))
	if err := errors.Join(err1, err2); err != nil || !bytes.Equal(one, two) {
		t.Errorf("the copies are equal: %v, %v", bytes.Equal(one, two), err)
	}
}

func (r *rig) mustSayNotReady(want string) {
	r.t.Helper()
	said := ""
	r.await("the page to say "+want, func() bool {
		st, err := r.control().status(r.t.Context())
		said = st.DICOM.NotReady
		return err == nil && !st.DICOM.Ready && strings.Contains(said, want)
	})
}

func (r *rig) mustBecomeReady() {
	r.t.Helper()
	r.await("the appliance to be ready", func() bool {
		st, err := r.control().status(r.t.Context())
		return err == nil && st.DICOM.Ready
	})
}

// A spool whose key is gone is neither opened with another one nor given up: what
// is on the disk stays as it is, and the daemon goes on when the key is back.
func TestAMissingKeyIsWaitedForAndNeverReplaced(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
	r.startEdged()
	objects := synthetic(t, 4, synth.Bench(4, 32<<10))
	r.mustStore(r.associate("CT1", objects[0].need()), objects...)
	r.edged.kill()
	c := r.config()
	if err := os.Rename(c.keysDir(), r.path("safe")); err != nil {
		t.Fatal(err)
	}
	before := contentsOf(t, c.spoolDir())
	r.edged = start(t, bin(t, "edged"), "run", "-c", r.path("edged.yaml"))
	r.mustSayNotReady("recover-key")
	if st := r.status(); len(st.Reasons) == 0 || st.State != status.Stopped || st.Reasons[0].Code != status.KeyMissing || !st.SpoolUnknown {
		t.Errorf("without the key it is %s %v", st.State, st.Reasons)
	}
	if said := r.must("edged", "status", "-c", r.path("edged.yaml")); !strings.Contains(said, "put back keys/1/spool.key") || strings.Contains(said, "fault") {
		t.Errorf("the terminal says %s", said)
	}
	for _, args := range [][]string{{"spool", "ls"}, {"spool", "export", r.path("out")}, {"retire", "--yes"}} {
		if said, code := r.call("edged", append(args, "-c", r.path("edged.yaml"))...); code == 0 {
			t.Errorf("%s without the key: exit 0, %s", args, said)
		}
	}
	r.edged.stop()
	if said, code := r.call("edged", "spool", "ls", "-c", r.path("edged.yaml")); code != 1 || !strings.Contains(said, "recover-key") {
		t.Errorf("ls without daemon and key: exit %d, %s", code, said)
	}
	if vault.Exists(c.keysDir()) {
		t.Fatal("another key was made")
	}
	if after := contentsOf(t, c.spoolDir()); after != before {
		t.Error("something in the spool was changed")
	}
	r.edged = start(t, bin(t, "edged"), "run", "-c", r.path("edged.yaml"))
	r.mustSayNotReady("recover-key")
	os.RemoveAll(c.keysDir())
	if err := os.Rename(r.path("safe"), c.keysDir()); err != nil {
		t.Fatal(err)
	}
	r.mustBecomeReady()
	r.mustHold(objects)
}

// contentsOf is every file below dir, but for the lock and what is made anew.
func contentsOf(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(name)
		all.WriteString(name + "\x00" + string(text) + "\x00")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// An appliance that was set up before there was encryption: what it has stays
// readable, what comes is encrypted, and there is no way back by a switch.
func TestAPlainSpoolGoesOnEncrypted(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
	plain, encrypted := "spool: {allow_unsafe_filesystem: true, reserve_bytes: 64MiB, encryption: false}", "spool: {allow_unsafe_filesystem: true, reserve_bytes: 64MiB}"
	objects := synthetic(t, 6, synth.Bench(3, 32<<10))
	for i, line := range []string{plain, encrypted, plain} {
		r.rewrite("edged.yaml", line)
		r.startEdged()
		r.mustStore(r.associate("CT1", objects[i].need()), objects[i])
		r.edged.stop()
		r.must("edged", "spool", "verify", "-c", r.path("edged.yaml"))
	}
	if !strings.Contains(r.edged.said.String(), "it stays so") {
		t.Error("not told that the spool stays encrypted")
	}
	c := r.config()
	if plain, err := filesThat(notSealed, filepath.Join(c.spoolDir(), "objects")); err != nil || len(plain) != 1 {
		t.Errorf("%d objects are plain, want 1; %v", len(plain), err)
	}
	r.startEdged()
	r.mustHold(objects)
}

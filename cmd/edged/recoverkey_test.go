package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"edged/agent/status"
	"edged/internal/audit"
	"edged/internal/synth"
	"edged/spool/vault"
	"edged/spool/vault/recovery"
)

// withRecovery makes a recovery key and names its public half at the hub.
func (r *rig) withRecovery(dir string) (private string) {
	r.t.Helper()
	r.must("hubd", "recovery", "new", "--out", r.path(dir))
	r.rewrite("hubd.yaml", "recovery_key: "+r.path(dir+"/recovery-public.pem"))
	return r.path(dir + "/recovery-private.pem")
}

// moved is the data directory in another machine: everything but the copies of the
// key, which stay with the old one or are gone.
func (r *rig) moved() *rig {
	r.t.Helper()
	to := &rig{t: r.t, dir: r.t.TempDir(), hub: r.hub, page: testAddress(), dicom: testAddress()}
	text, err := os.ReadFile(r.path("edged.yaml"))
	if err != nil {
		r.t.Fatal(err)
	}
	known := strings.NewReplacer(r.dir, to.dir, r.page, to.page, r.dicom, to.dicom)
	to.write("edged.yaml", known.Replace(string(text)))
	os.Remove(r.path("edge/" + controlSocket)) // no file that can be copied; no daemon listens
	if err := os.CopyFS(to.path("edge"), os.DirFS(r.path("edge"))); err != nil {
		r.t.Fatal(err)
	}
	c := to.config()
	for _, n := range []string{"1", "2"} {
		if err := os.RemoveAll(filepath.Join(c.keysDir(), n)); err != nil {
			r.t.Fatal(err)
		}
	}
	return to
}

// A disk in another machine is opened by whoever holds the recovery key, by nobody
// else, and its objects are what they were (D-S12).
func TestADiskInAnotherMachineOpensWithTheRecoveryKey(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", "")
	private := r.withRecovery("usb")
	r.startHub()
	r.enroll()
	if c := r.config(); !c.recoverable() {
		t.Error("after the enrolment, before the first image, the key is not wrapped")
	}
	r.hubd.kill() // so that everything stays here
	r.startEdged()
	objects := synthetic(t, 12, synth.Bench(5, 64<<10))
	r.mustStore(r.associate("CT1", objects[0].need()), objects...)
	r.edged.kill()

	there := r.moved()
	there.must("hubd", "recovery", "new", "--out", there.path("stranger"))
	recover := func(file string) (string, int) {
		return there.call("edged", "spool", "recover-key", "-c", there.path("edged.yaml"), "--recovery-key", file)
	}
	for file, want := range map[string]string{
		there.path("stranger/recovery-private.pem"): "for another recovery key",
		there.path("stranger/recovery-public.pem"):  "this is no recovery private key",
		there.path("nothing"):                       "no such file",
	} {
		if said, code := recover(file); code == 0 || !strings.Contains(said, want) {
			t.Errorf("%s: exit %d, %s", file, code, said)
		}
	}
	c := there.config()
	if said, code := there.call("edged", "spool", "export", "-c", there.path("edged.yaml"), there.path("out")); code != 1 || vault.Exists(c.keysDir()) {
		t.Errorf("export without the key: exit %d, %s", code, said)
	}
	// A daemon that waits for its key finds it.
	there.edged = start(t, bin(t, "edged"), "run", "-c", there.path("edged.yaml"))
	there.mustSayNotReady("recover-key")
	if st := there.status(); len(st.Reasons) == 0 || st.Reasons[0].Code != status.KeyMissing || slices.Contains(st.Warnings, status.NotRecoverable) {
		t.Errorf("with its key gone, and wrapped: %v, warnings %v", st.Reasons, st.Warnings)
	}
	there.await("the log to say what is wrapped", func() bool {
		return strings.Contains(there.edged.said.String(), "stays wrapped to the recovery key")
	})
	if strings.Contains(there.edged.said.String(), "is not wrapped to a recovery key of the hub") {
		t.Error("the log says that the key is not wrapped, and it is")
	}
	if said, code := recover(private); code != 0 {
		t.Fatalf("exit %d, %s", code, said)
	}
	there.mustBecomeReady()
	there.mustHold(objects)
	if all := there.events(); len(all) < 2 || all[0].Action != "spool recover-key" || all[0].Outcome != audit.Intended || all[1].Outcome != audit.Done || all[1].Of != all[0].Seq {
		t.Errorf("the audit log has %+v", all)
	}
	if said, code := recover(private); code != 1 || !strings.Contains(said, "it has its key") {
		t.Errorf("beside a daemon that has its key: exit %d, %s", code, said)
	}
	there.edged.stop()
	if files := there.exported(); len(files) != len(objects) {
		t.Errorf("%d objects exported while the daemon is down, want %d", len(files), len(objects))
	}
}

// The wrapped key of another disk is found out before a copy is written.
func TestTheWrappedKeyOfAnotherDiskIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
	r.startEdged()
	o := synthetic(t, 13, synth.Bench(1, 32<<10))[0]
	r.mustStore(r.associate("CT1", o.need()), o)
	r.edged.kill()
	private, public, err := recovery.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	other := vault.Config{Dir: filepath.Join(t.TempDir(), "keys")}
	if _, err := vault.Open(other); err != nil {
		t.Fatal(err)
	}
	if _, err := vault.Wrap(other, public); err != nil {
		t.Fatal(err)
	}
	c := r.config()
	os.RemoveAll(c.keysDir())
	if err := os.CopyFS(c.keysDir(), os.DirFS(other.Dir)); err != nil {
		t.Fatal(err)
	}
	os.RemoveAll(filepath.Join(c.keysDir(), "1"))
	os.RemoveAll(filepath.Join(c.keysDir(), "2"))
	r.write("private.pem", string(private))
	said, code := r.call("edged", "spool", "recover-key", "-c", r.path("edged.yaml"), "--recovery-key", r.path("private.pem"))
	if code != 1 || !strings.Contains(said, "not that of this spool") || vault.Exists(c.keysDir()) {
		t.Errorf("exit %d, %s", code, said)
	}
}

// A hub that gets a recovery key later, or another one, is asked again: nobody goes
// to the appliance for it. Without one the person who enrols is told.
func TestTheKeyIsWrappedWhenTheHubGetsARecoveryKey(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", "")
	r.startHub()
	code := strings.Fields(r.must("hubd", "code", "new", "--facility", "TEST", "-c", r.path("hubd.yaml")))[0]
	if said := r.must("edged", "enroll", "-c", r.path("edged.yaml"), "--hub", r.hub, "--code", code); !strings.Contains(said, "warning: the key of the spool is not wrapped to a recovery key: the hub has no recovery key") || !strings.Contains(said, "enrolled as") {
		t.Errorf("enroll says %s", said)
	}
	c := r.config()
	if c.recoverable() {
		t.Error("called recoverable")
	}
	for _, dir := range []string{"first", "second"} {
		r.hubd.kill()
		private := r.withRecovery(dir)
		r.startHub()
		r.startEdged()
		r.await("the key to be wrapped", func() bool {
			text, _ := os.ReadFile(r.path(dir + "/recovery-public.pem"))
			now, err := vault.RecoveryKey(c.keysDir())
			return err == nil && string(now) == string(text) && c.recoverable()
		})
		r.edged.stop()
		text, err := os.ReadFile(private)
		if err != nil {
			t.Fatal(err)
		}
		there := r.moved().config()
		if err := vault.Recover(there.vault(nil), text, nil); err != nil {
			t.Errorf("with the %s key: %v", dir, err)
		}
	}
}

// The whole daemon with its key in a TPM: nothing on the disk opens it, a restart
// does, and without the TPM it waits.
func TestTheDaemonWithItsKeyInATPM(t *testing.T) {
	t.Parallel()
	needs(t, "swtpm")
	state, err := os.MkdirTemp("", "tpm") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(state) })
	r := newRig(t, alone, "")
	r.rewrite("edged.yaml", "spool: {allow_unsafe_filesystem: true, reserve_bytes: 64MiB, key_protection: tpm, tpm: "+state+"/tpm.sock}")
	r.edged = start(t, bin(t, "edged"), "run", "-c", r.path("edged.yaml"))
	r.mustSayNotReady("spool.tpm")
	tpm := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+state, "--server", "type=unixio,path="+state+"/tpm.sock",
		"--ctrl", "type=unixio,path="+state+"/ctrl.sock", "--flags", "not-need-init,startup-clear")
	tpm.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := tpm.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tpm.Process.Kill(); tpm.Wait() })
	awaitFor(t, 20*time.Second, "swtpm", func() bool { _, err := os.Stat(state + "/tpm.sock"); return err == nil })
	r.mustBecomeReady()
	o := synthetic(t, 14, synth.Bench(1, 32<<10))[0]
	r.mustStore(r.associate("CT1", o.need()), o)
	r.edged.kill()
	r.must("edged", "spool", "verify", "-c", r.path("edged.yaml"))
	r.startEdged()
	r.mustHold([]object{o})
	text, err := os.ReadFile(filepath.Join(r.config().DataDir, keysDir, "1", "spool.key"))
	if err != nil || !strings.Contains(string(text), "\nprotect tpm\n") {
		t.Errorf("%v, the copy says %s", err, text)
	}
}

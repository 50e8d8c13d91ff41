package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"edged/agent/enrol"
	"edged/internal/audit"
	"edged/internal/synth"
	"edged/spool/vault"
)

func (r *rig) retire(more ...string) (said string, code int) {
	r.t.Helper()
	return r.call("edged", append([]string{"retire", "-c", r.path("edged.yaml")}, more...)...)
}

// mustHaveKeys checks that refusing has erased nothing, or that retiring has erased all.
func (r *rig) mustHaveKeys(want bool) {
	r.t.Helper()
	c := r.config()
	_, err := os.Stat(filepath.Join(c.identityDir(), enrol.File))
	if vault.Exists(c.keysDir()) != want || os.IsNotExist(err) == want {
		r.t.Errorf("key of the spool there: %v, of the certificate: %v, want %v", vault.Exists(c.keysDir()), err, want)
	}
}

// An appliance is retired when everything is archived and nothing can arrive: then
// its disk is worthless to everybody, and until then nothing of it is lost (P2).
func TestRetireErasesTheKeysOnlyWhenAllIsArchived(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", "")
	r.startHub()
	r.enroll()
	r.hubd.kill()
	r.startEdged()
	objects := synthetic(t, 8, synth.Bench(3, 32<<10))
	r.mustStore(r.associate("CT1", objects[0].need()), objects...)
	if said, code := r.retire("--yes"); code != 1 || !strings.Contains(said, "stop edged first") {
		t.Errorf("beside a daemon: exit %d, %s", code, said)
	}
	r.edged.stop()
	if said, code := r.retire("--yes"); code != 1 || !strings.Contains(said, "3 objects are not archived (3 received)") {
		t.Errorf("with three objects waiting: exit %d, %s", code, said)
	}
	r.mustHaveKeys(true)
	r.startHub()
	r.startEdged()
	r.mustArriveOnce(r.keep(objects...))
	r.edged.stop()
	if said, code := r.retire(); code != 0 || !strings.Contains(said, "3 objects are still here") {
		t.Errorf("asked whether: exit %d, %s", code, said)
	}
	r.mustHaveKeys(true)
	c := r.config()
	key, err := c.spoolKey()
	ok(t, err)
	if said, code := r.retire("--yes"); code != 0 || !strings.Contains(said, "worthless now") {
		t.Fatalf("exit %d, %s", code, said)
	}
	r.mustHaveKeys(false)
	for _, args := range [][]string{{"spool", "ls"}, {"spool", "export", r.path("out")}, {"retire"}} {
		if said, code := r.call("edged", append(args, "-c", r.path("edged.yaml"))...); code != 2 || !strings.Contains(said, "was retired on ") {
			t.Errorf("%s afterwards: exit %d, %s", args, code, said)
		}
	}
	for _, args := range [][]string{{"run"}, {"enroll", "--hub", r.hub, "--code", "x"}, {"spool", "recover-key", "--recovery-key", "x"}} {
		if said, code := r.call("edged", append(args, "-c", r.path("edged.yaml"))...); code != 2 || !strings.Contains(said, "to begin anew") {
			t.Errorf("%s afterwards: exit %d, %s", args, code, said)
		}
	}
	var rows []audit.Event
	if _, err := audit.Read(filepath.Join(c.DataDir, auditDir), key, func(e audit.Event) error { rows = append(rows, e); return nil }); err != nil || len(rows) != 1 || rows[0].Action != "retire" || rows[0].Who == "" {
		t.Errorf("the audit log has %+v, %v", rows, err)
	}
	if files, _ := filepath.Glob(r.path("out/*")); len(files) > 0 {
		t.Errorf("exported: %s", files)
	}
}

// Where there never was a key there is nothing to be erased, and that is said.
func TestRetireSaysThatAPlainDiskStaysReadable(t *testing.T) {
	t.Parallel()
	r := newRig(t, "spool: {allow_unsafe_filesystem: true, reserve_bytes: 64MiB, encryption: false}", "").up()
	objects := synthetic(t, 9, synth.Bench(2, 32<<10))
	r.mustStore(r.associate("CT1", objects[0].need()), objects...)
	r.mustArriveOnce(r.keep(objects...))
	r.edged.stop()
	if said, code := r.retire("--yes"); code != 1 || !strings.Contains(said, "files are not encrypted and can be read by anybody") || !strings.Contains(said, "objects/") || !strings.Contains(said, "destroy the disk") {
		t.Errorf("exit %d, %s", code, said)
	}
	r.mustHaveKeys(false)
}

// Whatever of a spool or of its audit log is plain is found: after the key is gone,
// it is what is left for somebody to read.
func TestWhatIsNotEncryptedIsFound(t *testing.T) {
	c := &Config{DataDir: t.TempDir()}
	plain := map[string]string{
		"spool/objects/00/1.obj": "EDGEDOBJ and more", "spool/objects/00/short": "x", "spool/journal/1.jnl": "EDGEDJNL\x00\x00\x00\x01 and more", "spool/left over": "PROVA^MARIA",
		"spool/index.db": strings.Repeat("x", 256<<10-4) + "objects 1" + "behind", "audit/2026-11.log": `{"seq":1,"prev":"00","event":{}}`,
	}
	sealed := map[string]string{
		"spool/objects/00/2.obj": "EDGEDENC and more", "spool/journal/2.jnl": "EDGEDJNL\x00\x00\x00\x02 and more", "spool/lock": "", "spool/ballast": "\x00\x00", "spool/tmp/empty": "",
		"spool/quarantine/3.obj": "EDGEDENC", "audit/2026-12.log": `{"seq":2,"prev":"00","sealed":"AAAA"}`, "keys/other": "not looked at",
	}
	for _, files := range []map[string]string{sealed, plain} {
		for name, text := range files {
			name = filepath.Join(c.DataDir, name)
			ok(t, os.MkdirAll(filepath.Dir(name), 0o700))
			ok(t, os.WriteFile(name, []byte(text), 0o600))
		}
	}
	found, err := c.plainFiles()
	ok(t, err)
	for name := range plain {
		if !slices.Contains(found, filepath.Join(c.DataDir, name)) {
			t.Errorf("%s is not found", name)
		}
	}
	if len(found) != len(plain) {
		t.Errorf("found %q", found)
	}
	if found, err := (&Config{DataDir: t.TempDir()}).plainFiles(); err != nil || len(found) != 0 {
		t.Errorf("where there is nothing: %q, %v", found, err)
	}
}

// A retirement that was cut before the last copy of the key went is no retirement:
// the appliance starts, and can be retired again.
func TestARetirementThatWasCutIsNone(t *testing.T) {
	t.Parallel()
	c := &Config{DataDir: t.TempDir()}
	_, err := vault.Open(c.vault(nil))
	ok(t, err)
	ok(t, c.markRetired(time.Now()))
	ok(t, c.mustNotBeRetired())
	ok(t, os.RemoveAll(filepath.Join(c.keysDir(), "1")))
	ok(t, c.mustNotBeRetired())
	ok(t, vault.Erase(c.keysDir()))
	if err := c.mustNotBeRetired(); err == nil || !strings.Contains(err.Error(), time.Now().UTC().Format(time.DateOnly)) {
		t.Errorf("retired: %v", err)
	}
}

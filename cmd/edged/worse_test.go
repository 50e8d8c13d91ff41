package main

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"edged/dimse"
	"edged/internal/synth"
)

// An identity that cannot be read, or that was put together from two, stops what
// leaves, never what arrives: the appliance takes images, says what is wrong,
// and goes on by itself when the file is in order again (P13).
func TestDamagedIdentityStillReceives(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", "")
	r.startHub()
	r.enroll()
	whole, err := os.ReadFile(r.identityFile())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.identityFile(), whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	r.startEdged()
	objects := synthetic(t, 1, synth.Bench(3, 64<<10))
	r.mustStore(r.associate("CT1", objects[0].need()), objects...)
	r.await("the reason to be shown", func() bool { return strings.Contains(r.status().Uplink.LastError, "identity.pem") })
	stays(t, 2*time.Second, "everything waits here", func() bool { return r.waiting() == len(objects) })
	if err := os.WriteFile(r.identityFile(), whole, 0o600); err != nil {
		t.Fatal(err)
	}
	r.mustArriveOnce(r.keep(objects...))
}

// A hub that was restored from a backup has forgotten what it had receipted. The
// appliances still have everything that is not archived and offer it again.
func TestHubRestoredFromBackup(t *testing.T) {
	t.Parallel()
	address := testAddress()
	a := newArchive(t, address)
	a.set(dimse.StatusOutOfResources)
	r := newRig(t, "", "destinations: [{name: vna, type: cstore, confirm: success, address: \""+address+"\", ae_title: VNA}]\n")
	r.startHub()
	r.enroll()
	r.hubd.stop()
	backup := os.DirFS(r.path("hub"))
	if err := os.CopyFS(r.path("backup"), backup); err != nil {
		t.Fatal(err)
	}
	r.startHub()
	r.startEdged()
	objects := synthetic(t, 1, synth.Bench(6, 256<<10))
	r.mustStore(r.associate("CT1", objects[0].need()), objects...)
	r.await("everything to be at the hub", func() bool { return r.count("at_hub") == len(objects) })

	r.hubd.kill()
	if err := os.RemoveAll(r.path("hub")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(r.path("backup"), r.path("hub")); err != nil {
		t.Fatal(err)
	}
	r.raiseGeneration()
	a.set(dimse.StatusSuccess)
	r.startHub()
	r.await("everything to be archived after all", func() bool { return r.count("archived") == len(objects) })
	if _, stored := a.seen(); len(stored) != len(objects) {
		t.Errorf("the archive has %d objects, want %d", len(stored), len(objects))
	}
}

// raiseGeneration is what whoever restores a ledger must do.
//
// Gap: hubd has no command for it yet.
func (r *rig) raiseGeneration() {
	r.t.Helper()
	db, err := sql.Open("sqlite", r.path("hub/ledger.db"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`UPDATE meta SET value = value + 1 WHERE key = 'generation'`); err != nil {
		r.t.Fatal(err)
	}
}

// Two daemons on one data directory would be two minds about one disk: the
// second is told so and ends; the first does not notice.
func TestSecondDaemonIsToldSo(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", "").up()
	for name, says := range map[string]string{"edged": "another edged", "hubd": "another hubd"} {
		over := map[string]string{
			"edged": `dicom: {listen: "` + testAddress() + `", accept_unknown: true}` + "\n" + `page: {listen: "` + testAddress() + `"}`,
			"hubd":  `listen: "` + testAddress() + `"` + "\n" + `console: {listen: "` + testAddress() + `"}`,
		}[name]
		r.rewrite(name+".yaml", over)
		said, code := r.call(name, "run", "-c", r.path(name+".yaml"))
		if code != 1 || !strings.Contains(lastLine(said), says) {
			t.Errorf("a second %s: exit %d, says %s", name, code, said)
		}
	}
	o := synthetic(t, 1, synth.Bench(1, 64<<10))
	r.mustStore(r.associate("CT1", o[0].need()), o...)
	r.mustArriveOnce(r.keep(o...))
}

// A stop in order while images arrive and leave is as harmless as a kill, and
// both programs end with exit code 0 well within what a service manager grants.
func TestStopInMidRun(t *testing.T) {
	r := newRig(t, slowly, "").up()
	sent := r.stream()
	for range 3 {
		moment(200, 600)
		began := time.Now()
		var wg sync.WaitGroup
		for _, p := range []*proc{r.edged, r.hubd} {
			wg.Go(func() {
				if code := p.stop(); code != 0 {
					t.Errorf("%s: exit %d on SIGTERM", filepath.Base(p.cmd.Path), code)
				}
			})
		}
		wg.Wait()
		t.Logf("both stopped after %s", time.Since(began).Round(time.Millisecond))
		r.startHub()
		r.startEdged()
	}
	r.mustArriveOnce(sent())
}

// The power goes off for the whole facility, and for the hub, several times.
func TestEverythingDiesAtOnce(t *testing.T) {
	r := newRig(t, slowly, "").up()
	sent := r.stream()
	for range 4 {
		moment(200, 900)
		r.edged.kill()
		r.hubd.kill()
		r.startHub()
		r.startEdged()
	}
	r.mustArriveOnce(sent())
	left, _ := filepath.Glob(r.path("archive/.incoming/*"))
	if len(left) > 0 {
		t.Errorf("%d halves are left in the archive", len(left))
	}
	r.must("edged", "spool", "verify", "-c", r.path("edged.yaml"))
}

// The index is a cache of what lies on the disk: it may be lost, or hold
// nonsense, and nobody notices (D-S4).
func TestIndexIsDisposable(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", "").up()
	objects := synthetic(t, 1, synth.Bench(20, 64<<10))
	r.mustStore(r.associate("CT1", objects[0].need()), objects[:10]...)
	r.mustArriveOnce(r.keep(objects[:10]...))
	r.hubd.kill()
	r.mustStore(r.associate("CT1", objects[0].need()), objects[10:]...)
	before := r.status().Counters
	for name, harm := range map[string]func(string) error{
		"lost":     os.Remove,
		"nonsense": func(f string) error { return os.WriteFile(f, bytes.Repeat([]byte("nonsense"), 8<<10), 0o600) },
		"cut":      func(f string) error { return os.Truncate(f, 4096+17) },
		"one byte": func(f string) error { return harmMiddle(f) },
	} {
		r.edged.kill()
		index := r.indexFile()
		if err := harm(index); err != nil {
			t.Fatal(err)
		}
		r.startEdged()
		if n, m := r.count("archived"), r.waiting(); n != 10 || m != 10 {
			t.Errorf("index %s: %d archived and %d waiting, want 10 and 10", name, n, m)
		}
		if after := r.status().Counters; after != before {
			t.Errorf("index %s: counters %+v, want %+v", name, after, before)
		}
	}
	r.mustHold(objects)
	r.startHub()
	r.mustArriveOnce(r.keep(objects...))
}

func (r *rig) indexFile() string {
	r.t.Helper()
	found, err := filepath.Glob(r.path("edge/spool/*index*"))
	if err != nil || len(found) != 1 {
		r.t.Fatalf("index files %v, %v", found, err)
	}
	return found[0]
}

func harmMiddle(name string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	b[len(b)/2] ^= 0x55
	return os.WriteFile(name, b, 0o600)
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// The tests of this package run the real programs as processes, over real
// sockets and files. rig is one hub, one appliance and an archive.

// binDir is where the programs of this product are built, once for all tests.
var binDir = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "edged-test-bin-") })

// built makes one program each.
var built = map[string]func() error{"edged": build("edged"), "hubd": build("hubd"), "modsim": build("modsim")}

func build(name string) func() error {
	return sync.OnceValue(func() error {
		dir, err := binDir()
		if err != nil {
			return err
		}
		cmd := exec.Command("go", "build", "-o", dir, "edged/cmd/"+name)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go build %s: %w\n%s", name, err, out)
		}
		return nil
	})
}

// realFolder is what EDGED_DICOM_FILES names. The programs that tests start must
// not see it: for them it would be a key of the configuration that does not exist.
var realFolder = os.Getenv("EDGED_DICOM_FILES")

func TestMain(m *testing.M) {
	os.Unsetenv("EDGED_DICOM_FILES")
	code := m.Run()
	if dir, err := binDir(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

func bin(t *testing.T, name string) string {
	t.Helper()
	if err := built[name](); err != nil {
		t.Fatal(err)
	}
	dir, _ := binDir()
	return filepath.Join(dir, name)
}

// needs skips the test where a program of somebody else is not installed.
func needs(t *testing.T, names ...string) {
	t.Helper()
	for _, n := range names {
		if _, err := exec.LookPath(n); err != nil {
			t.Skipf("%s is not installed", n)
		}
	}
}

type rig struct {
	t                *testing.T
	dir              string
	hub, page, dicom string
	edged, hubd      *proc
}

// newRig writes both configurations. Further lines take the place of those with
// the same first word; in them $DIR, $HUB, $PAGE and $DICOM stand for the rig's.
func newRig(t *testing.T, edged, hubd string) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), hub: testAddress(), page: testAddress(), dicom: testAddress()}
	known := strings.NewReplacer("$DIR", r.dir, "$HUB", r.hub, "$PAGE", r.page, "$DICOM", r.dicom)
	edged, hubd = known.Replace(edged), known.Replace(hubd)
	r.write("hubd.yaml", merged(fmt.Sprintf("data_dir: %s/hub\nlisten: %q\nconsole: {listen: %q}\ndestinations: [{name: vna, type: dir, confirm: dir, path: %s/archive, create: true}]\n",
		r.dir, r.hub, testAddress(), r.dir), hubd))
	r.write("edged.yaml", merged(fmt.Sprintf("data_dir: %s/edge\ndicom: {listen: %q, accept_unknown: true}\nspool: {allow_unsafe_filesystem: true, reserve_bytes: 64MiB}\nuplink: {hubs: [%q]}\npage: {listen: %q}\nquality: {hold: false}\ndiscovery: {enabled: false}\nlog: {level: debug}\n",
		r.dir, r.dicom, r.hub, r.page), edged))
	return r
}

func merged(lines, over string) string {
	for _, o := range strings.Split(strings.TrimSpace(over), "\n") {
		key, _, _ := strings.Cut(o, ":")
		var kept []string
		for _, l := range strings.Split(lines, "\n") {
			if !strings.HasPrefix(l, key+":") || key == "" {
				kept = append(kept, l)
			}
		}
		lines = strings.Join(kept, "\n") + o + "\n"
	}
	return lines
}

// rewrite replaces lines of a configuration.
func (r *rig) rewrite(name, over string) {
	r.t.Helper()
	text, err := os.ReadFile(r.path(name))
	if err != nil {
		r.t.Fatal(err)
	}
	r.write(name, merged(string(text), over))
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// up starts hub and appliance, enrolled.
func (r *rig) up() *rig {
	r.t.Helper()
	r.startHub()
	r.enroll()
	r.startEdged()
	return r
}

func (r *rig) startHub() {
	r.t.Helper()
	r.hubd = start(r.t, bin(r.t, "hubd"), "run", "-c", filepath.Join(r.dir, "hubd.yaml"))
	r.await("the hub to be ready", func() bool { return strings.Contains(r.hubd.said.String(), "hubd ready") })
}

func (r *rig) startEdged() {
	r.t.Helper()
	r.edged = start(r.t, bin(r.t, "edged"), "run", "-c", filepath.Join(r.dir, "edged.yaml"))
	r.await("the appliance to be ready", func() bool {
		st, err := r.control().status(context.Background())
		return err == nil && st.DICOM.Ready
	})
}

func (r *rig) enroll() {
	r.t.Helper()
	code := strings.Fields(r.must("hubd", "code", "new", "--facility", "TEST", "-c", filepath.Join(r.dir, "hubd.yaml")))[0]
	var said string
	r.await("the hub to enrol", func() bool {
		var rc int
		said, rc = r.call("edged", "enroll", "-c", filepath.Join(r.dir, "edged.yaml"), "--hub", r.hub, "--code", code)
		return rc == 0
	})
	_ = said
}

func (r *rig) control() *client { return newClient(filepath.Join(r.dir, "edge", controlSocket)) }

// call runs a program of the product to its end.
func (r *rig) call(name string, args ...string) (said string, code int) {
	r.t.Helper()
	return run2(r.t, bin(r.t, name), args...)
}

func run2(t *testing.T, path string, args ...string) (said string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+t.TempDir(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func (r *rig) must(name string, args ...string) string {
	r.t.Helper()
	said, code := r.call(name, args...)
	if code != 0 {
		r.t.Fatalf("%s %s: exit %d\n%s", name, strings.Join(args, " "), code, said)
	}
	return said
}

// patience is for what may not last for ever. An uplink that found nobody rests for up
// to a minute, and the machine may be busy with the tests of other packages.
const patience = 4 * time.Minute

// await polls; a test that waits for the world has no other way.
func (r *rig) await(what string, ok func() bool) {
	r.t.Helper()
	awaitFor(r.t, patience, what, ok)
}

func awaitFor(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", limit, what)
		}
	}
}

// rows are the appliance's objects by ID.
func (r *rig) rows() map[string]objectRow {
	out := make(map[string]objectRow)
	r.control().objects(context.Background(), func(o objectRow) error { out[o.ID] = o; return nil })
	return out
}

func (r *rig) count(state string) (n int) {
	for _, o := range r.rows() {
		if o.State == state {
			n++
		}
	}
	return n
}

// archived are the files in the archive by object ID.
func (r *rig) archived() map[string]string {
	out := make(map[string]string)
	names, _ := filepath.Glob(filepath.Join(r.dir, "archive", "*", "*.dcm"))
	for _, n := range names {
		out[strings.TrimSuffix(filepath.Base(n), ".dcm")] = n
	}
	return out
}

// modsim sends synthetic studies and returns what was answered.
func (r *rig) modsim(args ...string) []sentLine {
	r.t.Helper()
	said := r.must("modsim", append([]string{"send", "--to", "EDGED@" + r.dicom, "--json", "--keep", filepath.Join(r.dir, "sent")}, args...)...)
	return sentLines(said)
}

func sentLines(said string) (all []sentLine) {
	for _, text := range strings.Split(said, "\n") {
		var l sentLine
		if json.Unmarshal([]byte(text), &l) == nil && l.ID != "" {
			all = append(all, l)
		}
	}
	return all
}

// mustArriveOnce waits until all that was sent is archived and compares it.
func (r *rig) mustArriveOnce(sent []sentLine) {
	r.t.Helper()
	r.await("everything to be archived", func() bool {
		rows := r.rows()
		for _, l := range sent {
			if rows[l.ID].State != "archived" {
				return false
			}
		}
		return true
	})
	files := r.archived()
	ids := make(map[string]bool)
	for _, l := range sent {
		ids[l.ID] = true
		same, err := sameDataSet(files[l.ID], filepath.Join(r.dir, "sent", l.ID+".dcm"))
		if err != nil || !same {
			r.t.Errorf("object %s in the archive: identical %v, %v", l.ID, same, err)
		}
	}
	if len(files) != len(ids) {
		r.t.Errorf("%d files in the archive, %d objects were sent", len(files), len(ids))
	}
}

// dial is a plain TCP connection to the DICOM port.
func (r *rig) dial() net.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.dicom)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

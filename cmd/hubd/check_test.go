package main

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edged/dimse"
	"edged/internal/dicom"
	"edged/internal/pglab"
	"edged/internal/s3lab"
)

// serveArchive is an archive that answers C-ECHO and accepts what it is told to.
func serveArchive(t *testing.T, accepts func(class string) bool) string {
	t.Helper()
	s, err := dimse.NewServer(dimse.ServerConfig{Handler: noStorage{}, Titles: []string{"VNA"}, Accepts: func(_ dimse.Peer, class string) bool { return accepts(class) },
		ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersion: dicom.ImplementationVersionName})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		s.Close()
		<-ended
	})
	return l.Addr().String()
}

// everything is what lies in a directory, with sizes.
func everything(t *testing.T, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && !e.IsDir() {
			name += fmt.Sprint(" ", info.Size())
		}
		out = append(out, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (s *site) try() (string, int) {
	s.Helper()
	c := s.command("check", "--try")
	out, _ := c.CombinedOutput()
	return string(out), c.ProcessState.ExitCode()
}

// Before the first start, and beside a running hub: every line is good, and nothing is
// left behind.
func TestCheckTriesEverythingAndLeavesNothing(t *testing.T) {
	s := newSite(t)
	archive := serveArchive(t, func(class string) bool { return class != "1.2.840.10008.5.1.4.1.1.7" })
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); r.Method != http.MethodGet || user+password != "hubdsecret" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(web.Close)
	secret, events := filepath.Join(s.dir, "secret"), filepath.Join(s.dir, "events")
	for _, err := range []error{os.WriteFile(secret, []byte("secret\n"), 0o600), os.Mkdir(events, 0o700)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s.only = fmt.Sprintf(`destinations:
- {name: vna, type: cstore, address: '%s', ae_title: VNA, confirm: commitment}
- {name: cloud, type: stow, url: '%s/dicom-web', auth: {user: hubd, password_file: %s}}
- {name: copy, type: dir, path: %s, create: true}
events: {sinks: [{name: shelf, type: file, path: %s}]}
dicom: {listen: '127.0.0.1:0'}
limits: {appliances: 10}
`, archive, web.URL, secret, s.archive, events)
	s.configure()
	for _, when := range []string{"before the first start", "beside a hub"} {
		if when == "beside a hub" {
			s.start()
		}
		before := everything(t, s.dir)
		out, code := s.try()
		if code != exitDone || strings.Contains(out, "BAD") || !strings.Contains(out, "everything works") {
			t.Errorf("%s: exit %d:\n%s", when, code, out)
		}
		for _, want := range []string{"good  data_dir: ", "good  database: SQLite", "good  ca: ", "C-ECHO is answered; storage commitment is accepted; accepted: CT", "not accepted: SC",
			"good  destination cloud: ", "good  destination copy: ", "good  events shelf: ", "good  listen: ", "good  console.listen: ", "good  dicom.listen: "} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", when, want, out)
			}
		}
		if after := everything(t, s.dir); when == "before the first start" && !slices.Equal(before, after) {
			t.Errorf("%s: %q became %q", when, before, after)
		}
	}
}

// What does not work is said, with what to do, and the exit code is 1.
func TestCheckSaysWhatDoesNotWork(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	nobody := freeAddress(t)
	echoes := serveArchive(t, func(class string) bool { return class == dimse.Verification })
	stores := serveArchive(t, func(class string) bool { return class != dimse.StorageCommitmentPush })
	forbidden := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer forbidden.Close()
	vna := func(address string) string {
		return "destinations: [{name: vna, type: cstore, address: '" + address + "', ae_title: VNA, confirm: commitment}]\n"
	}
	for config, want := range map[string]string{
		"console: {listen: '" + taken.Addr().String() + "'}\n":               "BAD   console.listen: listen tcp",
		"database: postgres://nobody@127.0.0.1:1/x\n":                        "BAD   database: ",
		"destinations: [{name: d, type: dir, path: /nonexistent/archive}]\n": "BAD   destination d: ",
		vna(nobody): "BAD   destination vna: ",
		vna(echoes): "no kind of image is accepted",
		vna(stores): "it does not accept storage commitment",
		"destinations: [{name: w, type: stow, url: '" + forbidden.URL + "'}]\n": "it refuses our credentials: 403",
		"events: {sinks: [{name: e, type: file, path: /nonexistent/events}]}\n": "BAD   events e: ",
		"limits: {appliances: 100000000}\n":                                     "open files are allowed",
	} {
		t.Run(want, func(t *testing.T) {
			s := newSite(t)
			text := fmt.Sprintf("data_dir: %s/data\nlisten: %s\n", s.dir, s.listen)
			if !strings.HasPrefix(config, "console") {
				text += "console: {listen: '127.0.0.1:0'}\n"
			}
			if !strings.HasPrefix(config, "limits") {
				text += "limits: {appliances: 10}\n"
			}
			if err := os.WriteFile(s.config, []byte(text+config), 0o600); err != nil {
				t.Fatal(err)
			}
			out, code := s.try()
			if code != exitFailed || !strings.Contains(out, want) || strings.Count(out, "BAD   ") != 1 {
				t.Errorf("exit %d, want %q in\n%s", code, want, out)
			}
			if out, err := s.command("check").CombinedOutput(); err != nil {
				t.Errorf("without --try: %v: %s", err, out)
			}
		})
	}
}

// A real PostgreSQL, before it has rows: it gets none by being tried.
func TestCheckTriesPostgresAndMakesNothingThere(t *testing.T) {
	s := newSite(t)
	s.more = "database: " + pglab.Start(t) + "\nlimits: {appliances: 10}\n"
	s.configure()
	for _, want := range []string{", empty", ", empty"} {
		if out, code := s.try(); code != exitDone || !strings.Contains(out, "good  database: PostgreSQL ") || !strings.Contains(out, want) {
			t.Errorf("exit %d: %s", code, out)
		}
	}
	s.enrolled()
	if out, code := s.try(); code != exitDone || !strings.Contains(out, ", schema ") {
		t.Errorf("exit %d: %s", code, out)
	}
}

// A real bucket: it is written to, read, and left as it was but for what each start of a
// hub writes; wrong keys are said. Receipts are folded into it, and shown beside a hub.
func TestABucketIsTriedAndHoldsReceipts(t *testing.T) {
	s := newSite(t)
	b := s3lab.Start(t)
	s.more = "objects: " + b.URL() + "\nobjects_credentials: " + b.Credentials(t) + "\nlimits: {appliances: 10}\n"
	s.configure()
	for range 2 {
		if out, code := s.try(); code != exitDone || !strings.Contains(out, "good  bucket: written, read and deleted") {
			t.Errorf("exit %d: %s", code, out)
		}
	}
	k := s.hubless()
	archive(t, k.ledger, instance("a", "1.2.3", 1))
	k.must(t, 1, 0)
	k.end()
	s.start()
	if out := s.do("receipts", "show", "--study", "1.2.3"); !strings.HasPrefix(out, `{"format":"edged-receipts"`) {
		t.Errorf("got %.60q", out)
	}
	keys := filepath.Join(s.dir, "keys")
	if err := os.WriteFile(keys, []byte("aws_access_key_id = a\naws_secret_access_key = bbbbbbbb\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.more = "objects: " + b.URL() + "\nobjects_credentials: " + keys + "\nlimits: {appliances: 10}\n"
	s.configure()
	if out, code := s.try(); code != exitFailed || !strings.Contains(out, "BAD   bucket: ") || strings.Contains(out, "bbbbbbbb") {
		t.Errorf("wrong keys: exit %d: %s", code, out)
	}
}

// A trial that hangs in the kernel, where no context reaches it, is given up.
func TestATrialThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := make(chan struct{})
		began := time.Now()
		_, err := within(t.Context(), func(context.Context) (string, error) {
			<-hangs
			return "", nil
		})
		if took := time.Since(began); err == nil || took > tryFor+2*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		close(hangs)
	})
}

// A shell may write where the unit may not: that is said, and of which directories.
func TestCheckSaysThatItIsNotInTheUnitsSandbox(t *testing.T) {
	c := Default()
	c.Destinations = []Destination{{Type: "dir", Path: "/srv/archive"}, {Type: "dir", Path: "/var/lib/hubd/copy"}, {Type: "dir", Path: "here"}, {Type: "stow"}}
	c.Events.Sinks = []Sink{{Type: "file", Path: "/srv/events"}}
	for cgroup, want := range map[string]string{
		"0::/user.slice/user-0.slice/session-1.scope\n": "it must have /srv/archive /srv/events\n",
		"0::/\n":                                     "it must have /srv/archive /srv/events\n",
		"0::/system.slice/hubd.service\n":            "",
		"0::/system.slice/run-u12.service\n":         "",
		"0::/user.slice/user@1000.service/x.scope\n": "it must have",
	} {
		var out strings.Builder
		if c.tellSandbox(&out, cgroup); !strings.Contains(out.String(), want) || want == "" && out.Len() > 0 {
			t.Errorf("%q: %q", cgroup, out.String())
		}
	}
	c.Destinations, c.Events.Sinks = nil, nil
	var out strings.Builder
	if c.tellSandbox(&out, "0::/\n"); out.Len() > 0 {
		t.Errorf("nothing is outside: %q", out.String())
	}
	c.CADir = filepath.Join(t.TempDir(), "ca")
	if c.tellSandbox(&out, "0::/\n"); !strings.Contains(out.String(), "it must have "+c.CADir+"\n") {
		t.Errorf("the CA is to be made outside: %q", out.String())
	}
}

// A CA that cannot be made where it would have to be is bad before the first start. Nobody
// makes a directory in /proc, root neither.
func TestCheckTriesToMakeTheCA(t *testing.T) {
	s := newSite(t)
	s.more = "ca_dir: /proc/ca\n"
	s.configure()
	if out, code := s.try(); code != exitFailed || !strings.Contains(out, "BAD   ca: /proc/ca/ca.pem cannot be made: ") {
		t.Errorf("exit %d: %s", code, out)
	}
	s.more = "ca_dir: " + filepath.Join(s.dir, "own", "ca") + "\n"
	s.configure()
	if out, code := s.try(); code != exitDone || !strings.Contains(out, "own/ca/ca.pem is made at the first start\n") {
		t.Errorf("exit %d: %s", code, out)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "own")); err == nil {
		t.Error("the trial left something behind")
	}
}

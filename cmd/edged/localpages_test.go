package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"edged/dimse"
	"edged/internal/synth"
)

// visitor is somebody who has logged in to the page of a rig.
type visitor struct {
	r       *rig
	browser http.Client
}

// wardPassword is that of all accounts of rigs.
const wardPassword = "una parola lunga davvero"

func (r *rig) logIn(name, role string) *visitor {
	r.t.Helper()
	add := exec.Command(bin(r.t, "edged"), "account", "add", name, "--role", role, "--password-stdin", "-c", r.path("edged.yaml"))
	add.Stdin = strings.NewReader(wardPassword + "\n")
	if out, err := add.CombinedOutput(); err != nil {
		r.t.Fatalf("%v: %s", err, out)
	}
	jar, err := cookiejar.New(nil)
	ok(r.t, err)
	m := &visitor{r: r, browser: http.Client{Jar: jar, Timeout: patience}}
	r.t.Cleanup(m.browser.CloseIdleConnections)
	m.post("/login", url.Values{"name": {name}, "password": {wardPassword}, "to": {"/tests"}})
	return m
}

func (m *visitor) get(path string) string {
	m.r.t.Helper()
	rs, err := m.browser.Get("http://" + m.r.page + path)
	ok(m.r.t, err)
	defer rs.Body.Close()
	text, err := io.ReadAll(rs.Body)
	ok(m.r.t, err)
	if rs.StatusCode != http.StatusOK {
		m.r.t.Fatalf("%s: %s: %.300s", path, rs.Status, text)
	}
	return string(text)
}

var tokenIn = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// do posts a form that stands on the page at from, with its token.
func (m *visitor) do(from, path string, form url.Values) {
	m.r.t.Helper()
	token := tokenIn.FindStringSubmatch(m.get(from))
	if token == nil {
		m.r.t.Fatalf("%s has no form", from)
	}
	form.Set("csrf", token[1])
	m.post(path, form)
}

func (m *visitor) post(path string, form url.Values) {
	m.r.t.Helper()
	rq, err := http.NewRequestWithContext(m.r.t.Context(), http.MethodPost, "http://"+m.r.page+path, strings.NewReader(form.Encode()))
	ok(m.r.t, err)
	rq.Header.Set("Origin", "http://"+m.r.page)
	rq.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rs, err := m.browser.Do(rq)
	ok(m.r.t, err)
	defer rs.Body.Close()
	if rs.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(rs.Body, 300))
		m.r.t.Fatalf("POST %s: %s: %s", path, rs.Status, text)
	}
}

// A test study goes all the way to a real hub and is told so; it is counted nowhere, in
// no archive, and gone from here. The line is measured beside.
func TestATestStudyGoesToTheHubAndIntoNoArchive(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", "").up()
	m := r.logIn("anna", "technician")
	m.do("/tests", "/tests/run", url.Values{"test": {"study"}})
	r.await("the test study to be at the hub", func() bool {
		return strings.Contains(m.get("/tests?lang=it"), "Arrivato al centro, che lo conferma.")
	})
	m.do("/tests", "/tests/run", url.Values{"test": {"line"}})
	if said := m.get("/tests?lang=en"); !strings.Contains(said, "The line carries") {
		t.Error("the line was not measured")
	}
	r.await("the test study to be gone", func() bool { return len(r.rows()) == 0 })
	if st := r.status(); st.Counters.Received+st.Counters.AtHub+st.Counters.Archived+st.Counters.Discarded != 0 {
		t.Errorf("it was counted: %+v", st.Counters)
	}
	if n := len(r.archived()); n != 0 {
		t.Errorf("%d files in the archive", n)
	}
	sent := r.modsim("--profile", "bench:2x64KiB")
	r.mustArriveOnce(sent) // and nothing else is there
}

// A stranger who knocks is admitted on the page, by an administrator and nobody else,
// and stays so after a restart.
func TestAStrangerIsAdmittedOnThePage(t *testing.T) {
	t.Parallel()
	r := newRig(t, "dicom: {listen: $DICOM, accept_unknown: false}\nuplink: {hubs: []}", "")
	r.startEdged()
	o := synthetic(t, 1, synth.Bench(1, 64<<10))[0]
	r.rejected(r.dimseConfig("ECO_NEW", "EDGED", o.need()), dimse.RejectCalling)
	m := r.logIn("anna", "administrator")
	r.await("the stranger to be shown", func() bool { return strings.Contains(m.get("/devices"), "ECO_NEW") })
	if anybody, err := http.Get("http://" + r.page + "/devices"); err != nil || anybody.Body.Close() != nil || anybody.StatusCode != http.StatusOK {
		t.Errorf("who only looks: %v", err)
	}
	if rs, err := http.PostForm("http://"+r.page+"/devices/admit", url.Values{"title": {"ECO_NEW"}, "address": {"127.0.0.1"}, "priority": {"routine"}, "service": {"store"}}); err != nil || rs.Body.Close() != nil || rs.StatusCode != http.StatusForbidden {
		t.Errorf("who has not logged in: %v", err)
	}
	m.do("/devices", "/devices/admit", url.Values{"title": {"ECO_NEW"}, "address": {"127.0.0.1"}, "name": {"Eco <b>2</b>"}, "priority": {"urgent"}, "service": {"store"}})
	r.mustStore(r.associate("ECO_NEW", o.need()), o)
	if said := m.get("/devices"); !strings.Contains(said, "Eco &lt;b&gt;2") || strings.Contains(said, "<b>2") {
		t.Error("it is not shown by its name, or not harmlessly")
	}
	if said := m.get("/devices/of/ECO_NEW/sheet"); !strings.Contains(said, "ECO_NEW") || !strings.Contains(m.get("/devices/sheet/qr.svg?ae=ECO_NEW"), "<svg") {
		t.Error("there is no sheet for it")
	}
	if said := m.get("/system"); !strings.Contains(said, "/system/bundle") || len(m.get("/system/bundle")) < 1000 {
		t.Error("there is no bundle")
	}
	if code := r.edged.stop(); code != 0 {
		t.Fatalf("edged stopped with exit %d", code)
	}
	r.startEdged()
	r.mustEcho("ECO_NEW")
	if d := r.device("ECO_NEW"); !d.Known || d.Name != "Eco <b>2</b>" || d.Stored != 1 {
		t.Errorf("after a restart: %+v", d)
	}
	if said := r.must("edged", "devices", "ls", "-c", r.path("edged.yaml")); !regexp.MustCompile(`ECO_NEW +127\.0\.0\.1 +yes`).MatchString(said) {
		t.Errorf("devices ls: %s", said)
	}
	if _, err := dimse.Dial(t.Context(), r.dimseConfig("OTHER", "EDGED", o.need())); !errors.Is(err, dimse.RejectCalling) {
		t.Errorf("another stranger: %v", err)
	}
}

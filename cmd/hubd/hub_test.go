package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"edged/agent/enrol"
	"edged/internal/dicom"
	"edged/internal/identity"
	"edged/internal/ports"
	"edged/uplink"
	"edged/uplink/uplinktest"
)

// childEnv makes the test binary be hubd.
const childEnv = "TEST_HUBD_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		main()
	}
	os.Exit(m.Run())
}

// site is a data directory with its configuration.
type site struct {
	*testing.T
	dir, config, archive string
	listen               string // the same at each start
	shadow               bool   // no destinations
	more                 string // lines of the configuration
	only                 string // destinations, in place of the directory
	transport            string // of the uplink; if empty, quic
}

// freeAddress is one that nobody takes while the hub is down.
func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := ports.Free()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{T: t, dir: t.TempDir(), listen: freeAddress(t)}
	s.archive, s.config = filepath.Join(s.dir, "archive"), filepath.Join(s.dir, "hubd.yaml")
	s.configure()
	return s
}

func (s *site) configure() {
	s.Helper()
	text := fmt.Sprintf("data_dir: %s/data\nlisten: %s\nconsole: {listen: '127.0.0.1:0'}\ndestinations:\n- {name: archive, type: dir, path: %s, create: true}\n", s.dir, s.listen, s.archive)
	text = s.more + text
	if s.shadow || s.only != "" {
		text = text[:strings.Index(text, "destinations:")] + s.only
	}
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
}

func (s *site) command(args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], append(args, "-c", s.config)...)
	c.Env = append(os.Environ(), childEnv+"=1")
	return c
}

// do runs a command to its end and returns its standard output.
func (s *site) do(args ...string) string {
	s.Helper()
	var errOut strings.Builder
	c := s.command(args...)
	c.Stderr = &errOut
	out, err := c.Output()
	if err != nil {
		s.Fatalf("hubd %v: %v: %s", args, err, errOut.String())
	}
	return string(out)
}

// process is a running hub.
type process struct {
	*exec.Cmd
	console string
	took    time.Duration
	drained chan struct{} // closed when its log has ended
}

var readyLine = regexp.MustCompile(`msg="hubd ready" listen=(\S+) console=(\S+)`)

// start returns when the hub says that it is ready.
func (s *site) start() *process {
	s.Helper()
	begin := time.Now()
	p := &process{Cmd: s.command("run"), drained: make(chan struct{})}
	log, err := p.StderrPipe()
	if err != nil {
		s.Fatal(err)
	}
	if err := p.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { p.kill() })
	timeout := time.AfterFunc(2*time.Minute, func() { p.Process.Kill() })
	defer timeout.Stop()
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if m := readyLine.FindStringSubmatch(lines.Text()); m != nil {
			p.console, p.took = m[2], time.Since(begin)
			go func() {
				for lines.Scan() {
				}
				close(p.drained)
			}()
			return p
		}
	}
	s.Fatal("hubd did not get ready")
	return nil
}

// kill is the power button.
func (p *process) kill() {
	p.Process.Kill()
	<-p.drained
	p.Wait()
}

// stop sends SIGTERM and returns the exit code.
func (p *process) stop(t *testing.T) int {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	return p.code()
}

// code waits for the end that was asked for and returns the exit code.
func (p *process) code() int {
	timeout := time.AfterFunc(2*time.Minute, func() { p.Process.Kill() })
	defer timeout.Stop()
	<-p.drained
	p.Wait()
	return p.ProcessState.ExitCode()
}

func get(t *testing.T, url string) (int, string) { return getWith(t, url, "") }

func getWith(t *testing.T, url, token string) (int, string) {
	t.Helper()
	rq, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		rq.Header.Set("Authorization", "Bearer "+token)
	}
	rs, err := http.DefaultClient.Do(rq)
	if err != nil {
		t.Fatal(err)
	}
	defer rs.Body.Close()
	text, err := io.ReadAll(rs.Body)
	if err != nil {
		t.Fatal(err)
	}
	return rs.StatusCode, string(text)
}

func (s *site) enrol() *identity.Bundle {
	s.Helper()
	code := strings.TrimSpace(s.do("code", "new", "--facility", "F1"))
	b, err := enrol.Enrol(s.Context(), enrol.Config{Hub: s.listen, Code: code, Dir: s.TempDir()})
	if err != nil {
		s.Fatal(err)
	}
	return b
}

// uplink sends what source has until done, or the time is up.
func (s *site) uplink(b *identity.Bundle, source *uplinktest.Source, done func(*uplink.Uplink) bool) {
	s.Helper()
	u, err := uplink.New(uplink.Config{
		Hubs: []string{s.listen}, Transport: cmp.Or(s.transport, "quic"), TLS: b.ClientTLS(), Source: source, Keeper: source, BootID: []byte("boot"), DataDirID: []byte("dir"),
		RetryMin: 20 * time.Millisecond, RetryMax: 200 * time.Millisecond, Idle: 2 * time.Second, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.Context())
	ended := make(chan error, 1)
	go func() { ended <- u.Run(ctx) }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(4 * time.Minute); !done(u); <-tick.C {
		if time.Now().After(deadline) {
			s.Errorf("not done in time: %+v", u.Status())
			break
		}
	}
	cancel()
	if err := <-ended; err != nil && ctx.Err() == nil {
		s.Error(err)
	}
}

// The main job at this end: a code made before the first run, an appliance that
// enrols and sends, a hub that is killed again and again. Everything is
// archived once, identical, and confirmed.
func TestFromClaimCodeToArchiveThroughKills(t *testing.T) {
	for _, carrier := range []string{"quic", "tcp"} {
		t.Run(carrier, func(t *testing.T) { fromClaimCodeToArchive(t, carrier) })
	}
}

func fromClaimCodeToArchive(t *testing.T, carrier string) {
	s := newSite(t)
	s.transport = carrier
	before := strings.TrimSpace(s.do("code", "new", "--facility", "F1", "--ttl", "1h"))
	p := s.start()
	b, err := enrol.Enrol(t.Context(), enrol.Config{Hub: s.listen, Code: before, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if ls := s.do("devices", "ls"); !strings.Contains(ls, b.Device().ID+"  F1        approved") {
		t.Errorf("devices ls:\n%s", ls)
	}
	source := uplinktest.NewSource()
	const objects, kills = 120, 5
	for n := range objects {
		source.Add(uint64(n), 50_000+n*1000, 1)
	}
	killed := 0
	s.uplink(b, source, func(*uplink.Uplink) bool {
		archived := source.Count(uplinktest.Archived)
		if killed < kills && source.Count(uplinktest.AtHub)+archived > killed*objects/(kills+1) {
			killed++
			p.kill()
			p = s.start()
		}
		return archived == objects
	})
	source.Each(func(it *uplinktest.Item) {
		s.identical(filepath.Join(s.archive, it.Study, it.ID.String()+".dcm"), it.Data)
	})
	status := s.status(p)
	if c := status.Counters; c.Objects != objects || c.Archived != objects || c.Held+c.Quarantined != 0 {
		t.Errorf("counters %+v", c)
	}
	if status.State != "ok" || status.Devices.Enrolled != 1 || len(status.Destinations) != 1 || status.Destinations[0].BacklogObjects != 0 {
		t.Errorf("status %+v", status)
	}
	if code := p.stop(t); code != exitDone {
		t.Errorf("exit %d", code)
	}
}

func (s *site) identical(path string, want []byte) {
	s.Helper()
	f, err := os.Open(path)
	if err != nil {
		s.Error(err)
		return
	}
	defer f.Close()
	r := bufio.NewReader(f)
	if _, _, err := dicom.ReadPreface(r); err != nil {
		s.Errorf("%s: %v", path, err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
		s.Errorf("%s differs (%v)", path, err)
	}
}

func (s *site) status(p *process) Status { return s.statusFor(p, "") }

// statusFor is what the holder of a token sees: others' words are for operators.
func (s *site) statusFor(p *process, token string) Status {
	s.Helper()
	var st Status
	code, text := getWith(s.T, "http://"+p.console+"/api/v1/status", token)
	if err := json.Unmarshal([]byte(text), &st); err != nil || code != http.StatusOK {
		s.Fatalf("%d %v", code, err)
	}
	return st
}

// P11: revoked, of another hub, never enrolled: no byte of any object is asked for.
func TestStrangersSendNothing(t *testing.T) {
	s, other := newSite(t), newSite(t)
	s.start()
	other.start()
	revoked := s.enrol()
	s.do("devices", "revoke", revoked.Device().ID)
	foreign := other.enrol()
	mixed := &identity.Bundle{Key: foreign.Key, Cert: foreign.Cert, CA: revoked.CA} // trusts this hub, was certified by the other
	for _, s.transport = range []string{"quic", "tcp"} {
		for name, b := range map[string]*identity.Bundle{"revoked": revoked, "of another hub": mixed, "trusts another hub": foreign} {
			source := uplinktest.NewSource()
			source.Add(1, 1000, 0)
			failures := 0
			s.uplink(b, source, func(u *uplink.Uplink) bool {
				if u.Status().LastError != "" {
					failures++
				}
				return failures > 20
			})
			if source.Opens != 0 || source.Read != 0 {
				t.Errorf("%s over %s: %d bytes were read for sending", name, s.transport, source.Read)
			}
		}
	}
	s.do("devices", "approve", revoked.Device().ID)
	source := uplinktest.NewSource()
	source.Add(1, 1000, 0)
	s.uplink(revoked, source, func(*uplink.Uplink) bool { return source.Count(uplinktest.Archived) == 1 })
}

func TestSecondHubOnTheSameDataIsRefused(t *testing.T) {
	s := newSite(t)
	s.start()
	c := s.command("run")
	var errOut strings.Builder
	c.Stderr = &errOut
	if err := c.Run(); c.ProcessState.ExitCode() != exitFailed || !strings.Contains(errOut.String(), "is used by another hubd that runs") {
		t.Errorf("%v: %s", err, errOut.String())
	}
}

// SIGKILL at any moment of the first starts: the next one gets ready, and a code
// that was printed in between is still good.
func TestKilledAtAnyMomentOfItsStart(t *testing.T) {
	s := newSite(t)
	var codes []string
	for n := range 12 {
		c := s.command("run")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		killer := time.AfterFunc(rand.N(250*time.Millisecond), func() { c.Process.Kill() })
		if n%4 == 1 {
			codes = append(codes, strings.TrimSpace(s.do("code", "new", "--facility", "F1")))
		}
		c.Wait()
		killer.Stop()
	}
	s.start()
	for _, code := range codes {
		if _, err := enrol.Enrol(t.Context(), enrol.Config{Hub: s.listen, Code: code, Dir: t.TempDir()}); err != nil {
			t.Error(err)
		}
	}
}

func TestConsoleAnswers(t *testing.T) {
	s := newSite(t)
	p := s.start()
	if p.took > 30*time.Second { // a bound against hanging; the figure is in the log
		t.Errorf("ready after %v", p.took)
	}
	t.Logf("ready after %v", p.took)
	for path, want := range map[string]string{
		"/healthz": "alive", "/readyz": "ready", "/metrics": `hubd_backlog_objects{destination="archive"} 0`,
		"/api/v1/status": `"state": "ok"`, "/": "All is well",
	} {
		if code, text := get(t, "http://"+p.console+path); code != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
	if code, _ := get(t, "http://"+p.console+"/etc/passwd"); code != http.StatusNotFound {
		t.Errorf("got %d", code)
	}
	if code := p.stop(t); code != exitDone {
		t.Errorf("exit %d", code)
	}
}

package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"edged/configs"
	"edged/dimse"
	"edged/internal/synth"
)

// What the unit may be rated, and what with all that a configuration can need at once: a
// port below 1024, a TPM, a data_dir elsewhere. Each of these alone stays below the first.
const maxExposure, maxWithEverything = 2.0, 2.1

// everything is a configuration that needs most of the unit.
func everything() Config {
	c := defaultConfig()
	c.Dicom.Listen, c.Spool.KeyProtection, c.DataDir = ":104", "tpm", "/srv/images 100%"
	return c
}

// systemd takes every line of the unit, and rates what the appliance could do to the
// machine: as it is, and with all that a configuration may need besides.
func TestTheUnitIsVerifiedAndRated(t *testing.T) {
	needs(t, "systemd-analyze")
	all, low, tpm := everything(), defaultConfig(), defaultConfig()
	low.Dicom.Listen, tpm.Spool.KeyProtection = ":104", "tpm"
	for name, more := range map[string]string{"as it is": "", "low port": low.dropIn(true), "TPM": tpm.dropIn(true), "with everything": all.dropIn(true)} {
		t.Run(name, func(t *testing.T) {
			unit, limit := unitIn(t, t.TempDir(), more), maxExposure
			if name == "with everything" {
				limit = maxWithEverything
			}
			out, err := exec.Command("systemd-analyze", "verify", "--man=no", unit).CombinedOutput()
			if err != nil || strings.Contains(string(out), "edged.service") {
				t.Errorf("%v: %s", err, out)
			}
			rate(t, unit, limit)
		})
	}
	for _, must := range []string{"Type=notify", "User=edged", "CapabilityBoundingSet=\n", "NoNewPrivileges=yes", "ProtectSystem=strict", "StartLimitIntervalSec=0", "TimeoutStartSec=infinity", "StateDirectoryMode=0700"} {
		if !strings.Contains(configs.EdgedService, must) {
			t.Errorf("%s is missing", strings.TrimSpace(must))
		}
	}
}

// unitIn writes the unit with what goes into its drop-in at the end: of a file alone,
// systemd-analyze reads no drop-ins.
func unitIn(t *testing.T, dir, more string) string {
	t.Helper()
	program, err := os.Executable() // it must be there to be verified
	ok(t, err)
	text := unitFor(program)
	text, install, _ := strings.Cut(text, "[Install]")
	_, more, _ = strings.Cut(more, "[Service]\n")
	unit := filepath.Join(dir, "edged.service")
	ok(t, os.WriteFile(unit, []byte(text+more+"\n[Install]"+install), 0o644))
	return unit
}

func rate(t *testing.T, unit string, limit float64) {
	t.Helper()
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", unit).CombinedOutput()
	m := regexp.MustCompile(`exposure level for edged\.service: ([0-9.]+)`).FindStringSubmatch(string(out))
	if strings.Contains(string(out), "unrecognized option") {
		t.Skipf("this systemd-analyze rates no file: %.200s", out) // before version 250
	}
	if err != nil || m == nil {
		t.Fatalf("no rating: %v: %.200s", err, out)
	}
	exposure, err := strconv.ParseFloat(m[1], 64)
	if err != nil || exposure > limit {
		t.Errorf("exposure %v, want at most %v", m[1], limit)
	}
	t.Logf("exposure %s of 10", m[1])
}

// A capability, a device and a folder are given only to who has use for them.
func TestTheUnitGetsWhatTheConfigurationNeeds(t *testing.T) {
	plain := defaultConfig()
	if got := plain.dropIn(true); got != "" {
		t.Errorf("the default needs nothing, and gets %s", got)
	}
	low, tpm, socket, elsewhere := defaultConfig(), defaultConfig(), defaultConfig(), defaultConfig()
	low.Page.Listen = "0.0.0.0:443"
	tpm.Spool.KeyProtection = "tpm"
	socket.Spool.KeyProtection, socket.Spool.TPM = "tpm", "/run/swtpm.sock"
	elsewhere.DataDir = `/srv/a "b" 5%`
	for _, c := range []struct {
		cfg  Config
		want []string
	}{
		{low, []string{"# page.listen: 0.0.0.0:443", "PrivateUsers=no", "CapabilityBoundingSet=CAP_NET_BIND_SERVICE", "AmbientCapabilities=CAP_NET_BIND_SERVICE"}},
		{tpm, []string{"# spool.key_protection: tpm", "PrivateDevices=no", "DeviceAllow=/dev/tpmrm0 rw", "SupplementaryGroups=tss"}},
		{socket, nil},
		{elsewhere, []string{"# data_dir", `ReadWritePaths="/srv/a \"b\" 5%%"`}},
	} {
		_, got, _ := strings.Cut(c.cfg.dropIn(true), "[Service]\n")
		if want := strings.Join(append(c.want, ""), "\n"); strings.TrimSpace(got) != strings.TrimSpace(want) {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	}
	if strings.Contains(tpm.dropIn(false), "tss") {
		t.Error("a unit with a group that is not there does not start")
	}
}

// The unit runs the program that installed it, and nothing else of it changes.
func TestTheUnitRunsWhatInstalledIt(t *testing.T) {
	if unitFor(packaged) != configs.EdgedService {
		t.Error("the packaged program has another unit")
	}
	here := unitFor("/opt/edged/edged")
	if !strings.Contains(here, "\nExecStart=/opt/edged/edged run -c /etc/edged/edged.yaml\n") || strings.Contains(here, packaged+" run") {
		t.Error(here)
	}
}

// systemd starts the appliance again after a crash, a Go program's or one by the watchdog
// (SIGABRT), and leaves it alone where the configuration is wrong: the unit must be able
// to tell the two apart.
func TestTheUnitTellsACrashFromAWrongConfiguration(t *testing.T) {
	m := regexp.MustCompile(`(?m)^RestartPreventExitStatus=(.*)$`).FindStringSubmatch(configs.EdgedService)
	if m == nil || !strings.Contains(configs.EdgedService, "\nRestart=on-failure\n") {
		t.Fatal("the unit does not say when to start again")
	}
	never := strings.Fields(m[1])
	r := newRig(t, alone, "")
	for _, args := range [][]string{{"run", "-c", "/dev/null/edged.yaml"}, {"run", "--wrong"}} {
		if _, code := r.call("edged", args...); !slices.Contains(never, strconv.Itoa(code)) {
			t.Errorf("%v ends with %d, which is tried again for ever: %v", args, code, never)
		}
	}
	r.startEdged()
	if err := r.edged.cmd.Process.Signal(syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	<-r.edged.done
	if code := strconv.Itoa(r.edged.cmd.ProcessState.ExitCode()); slices.Contains(never, code) {
		t.Errorf("a crash ends with %s, after which it is not started again", code)
	}
}

// The journal learns how bad a line is; a file and a terminal get none of it.
func TestTheJournalLearnsHowBadALineIs(t *testing.T) {
	var b bytes.Buffer
	h := newJournalHandler(&b, func(w io.Writer) slog.Handler {
		return slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: untimed})
	})
	log := slog.New(h).With("a", 1).WithGroup("g")
	log.Debug("no")
	log.Info("one")
	log.Warn("two", "b", 2)
	log.Error("three\n<1>forged")
	want := "<6>level=INFO msg=one a=1\n<4>level=WARN msg=two a=1 g.b=2\n<3>level=ERROR msg=\"three\\n<1>forged\" a=1\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", &b, want)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	ok(t, err)
	defer f.Close()
	if toJournal(f) {
		t.Error("a file is taken for the journal")
	}
	var st syscall.Stat_t
	ok(t, syscall.Fstat(int(f.Fd()), &st))
	t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", st.Dev, st.Ino))
	if !toJournal(f) {
		t.Error("the journal is not known")
	}
}

// halved is a data set that is given in two halves.
type halved struct {
	first, rest *bytes.Reader
	half        chan struct{} // closed when the first half was read
	goOn        chan struct{}
}

func (s *halved) Read(p []byte) (int, error) {
	if n, err := s.first.Read(p); err == nil {
		return n, nil
	}
	select {
	case <-s.half:
	default:
		close(s.half)
	}
	<-s.goOn
	return s.rest.Read(p)
}

// comesIn says whether an image is being received.
func (r *rig) comesIn() bool {
	names, err := os.ReadDir(r.path("edge/spool/tmp"))
	return err == nil && len(names) > 0
}

// closed says whether nobody is let in any more.
func (r *rig) closed() bool {
	conn, err := net.Dial("tcp", r.dicom)
	if err != nil {
		return true
	}
	conn.Close()
	return false
}

// SIGTERM in the middle of an image: nobody new is let in, the image is taken to its end
// and answered, it is there after the next start, and the exit code says that all is in order.
func TestAStopEndsTheImageInHand(t *testing.T) {
	r := newRig(t, alone, "")
	r.startEdged()
	o := synthetic(t, 9, synth.Bench(1, 1<<20))[0]
	c := r.associate("CT1", o.need())
	half := len(o.data) / 2
	in := &halved{first: bytes.NewReader(o.data[:half]), rest: bytes.NewReader(o.data[half:]), half: make(chan struct{}), goOn: make(chan struct{})}
	answered := make(chan error, 1)
	var rsp dimse.Status
	go func() {
		a, err := c.Store(t.Context(), o.request(), in)
		if err == nil {
			rsp = a.Status
		}
		answered <- err
	}()
	<-in.half
	r.await("the image to come in", r.comesIn)
	ok(t, r.edged.cmd.Process.Signal(syscall.SIGTERM))
	r.await("the port to close", func() bool { return r.closed() })
	close(in.goOn)
	if err := <-answered; err != nil || !rsp.IsSuccess() {
		t.Errorf("the image in hand was answered %s, %v", rsp, err)
	}
	c.Abort()
	select {
	case <-r.edged.done:
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
	if code := r.edged.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit %d", code)
	}
	r.startEdged()
	r.mustHold([]object{o})
}

// The second signal cuts, in the middle of an image too; what was not answered is not
// acknowledged, and the next start is as after a power cut.
func TestTheSecondSignalCuts(t *testing.T) {
	r := newRig(t, alone, "")
	r.startEdged()
	o := synthetic(t, 9, synth.Bench(1, 1<<20))[0]
	c := r.associate("CT1", o.need())
	in := &halved{first: bytes.NewReader(o.data[:len(o.data)/2]), rest: bytes.NewReader(nil), half: make(chan struct{}), goOn: make(chan struct{})}
	answered := make(chan error, 1)
	go func() { _, err := c.Store(t.Context(), o.request(), in); answered <- err }()
	<-in.half
	r.await("the image to come in", r.comesIn)
	ok(t, r.edged.cmd.Process.Signal(syscall.SIGTERM))
	r.await("the port to close", func() bool { return r.closed() })
	ok(t, r.edged.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-r.edged.done:
	case <-time.After(patience):
		t.Error("the second signal does not cut")
	}
	if s := r.edged.cmd.ProcessState.Sys().(syscall.WaitStatus); s.Signal() != syscall.SIGTERM {
		t.Errorf("it ended by %v", r.edged.cmd.ProcessState)
	}
	close(in.goOn)
	<-answered
	r.startEdged()
	if n := len(r.rows()); n != 0 {
		t.Errorf("%d objects of an image that was cut", n)
	}
}

// Root enrols an appliance that runs as a user of its own: what is written is that user's,
// or the service could not read its own identity.
func TestRootEnrolsForTheService(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root is somebody else's root")
	}
	const user = 4242
	r := newRig(t, "", "")
	for _, dir := range []string{filepath.Dir(r.dir), r.dir} {
		ok(t, os.Chmod(dir, 0o711)) // that user must get there
	}
	ok(t, os.Mkdir(r.path("edge"), 0o700))
	ok(t, os.Chown(r.path("edge"), user, user))
	r.startHub()
	r.enroll()
	ok(t, filepath.Walk(r.path("edge"), func(name string, info os.FileInfo, err error) error {
		if err == nil && int(info.Sys().(*syscall.Stat_t).Uid) != user {
			t.Errorf("%s is of %d", name, info.Sys().(*syscall.Stat_t).Uid)
		}
		return err
	}))
}

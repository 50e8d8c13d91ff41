package discovery

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is for what may not last for ever.
const patience = 3 * time.Minute

const inside = "EDGED_DISCOVERY_INSIDE"

// Avahi, the responder of other people, finds the appliance on a real network: AE title,
// port and address of each service, under a name with spaces, dots and accents; on an
// interface that comes later as well; and hears it say goodbye. The test runs itself again
// in a network of its own, where nobody else is.
func TestAvahiFindsTheApplianceUntilItSaysGoodbye(t *testing.T) {
	if os.Getenv(inside) != "" {
		seenByAvahi(t)
		return
	}
	inItsOwnNetwork(t)
}

// What is announced is what the program itself listens on, from its start to the signal
// that ends it.
func TestAvahiFindsTheProgramUntilItIsStopped(t *testing.T) {
	if os.Getenv(inside) != "" {
		programSeenByAvahi(t)
		return
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("go is not in PATH: the program cannot be built")
	}
	program := filepath.Join(t.TempDir(), "edged")
	if out, err := exec.Command("go", "build", "-o", program, "edged/cmd/edged").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	inItsOwnNetwork(t, programIs+"="+program)
}

const programIs = "EDGED_DISCOVERY_PROGRAM"

// inItsOwnNetwork runs the test again, where nobody else is.
func inItsOwnNetwork(t *testing.T, more ...string) {
	t.Helper()
	for _, name := range []string{"avahi-daemon", "avahi-browse", "dbus-daemon", "ip"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed", name)
		}
	}
	if os.Getuid() != 0 {
		t.Skip("only root makes a network of its own")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(append(os.Environ(), inside+"="+t.TempDir()), more...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &ended):
		t.Skipf("no network of its own here: %v", err)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	}
}

func programSeenByAvahi(t *testing.T) {
	network(t)
	avahi(t)
	seen := browse(t)
	for _, auto := range []bool{true, false} { // the page by HTTPS, then by HTTP
		web, dir := HTTP, t.TempDir()
		if auto {
			web = HTTPS
		}
		conf := filepath.Join(dir, "edged.yaml")
		text := fmt.Sprintf("data_dir: %s/data\nfacility: {name: Clinica}\ndicom: {ae_title: SALA_7, listen: \":11112\"}\nuplink: {hubs: []}\npage: {listen: \":8443\", tls: {auto: %t}}\nspool: {allow_unsafe_filesystem: true}\n", dir, auto)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Getenv(programIs), "run", "-c", conf)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH")} // EDGED_ is a prefix of its own
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		seen.await("=", "one", DICOM, "10.77.0.1", "11112", `"AET=SALA_7"`)
		seen.await("=", "one", web, "10.77.0.1", "8443", `"path=/"`)
		seen.from = len(seen.all)
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		seen.await("-", "one", DICOM, "Clinica")
		seen.await("-", "one", web, "Clinica")
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		seen.from = len(seen.all)
	}
}

// network has one link, on which nobody answers but who is started here.
func network(t *testing.T) {
	t.Helper()
	for _, args := range []string{"link set lo up", "link add one type veth peer name other", "addr add 10.77.0.1/24 dev one", "link set one up", "link set other up"} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Skipf("ip %s: %v: %s", args, err, out)
		}
	}
}

func seenByAvahi(t *testing.T) {
	network(t)
	avahi(t)
	name := Instance(ID([]byte("place")), "Osp. di Città")
	a, err := New(Config{ID: ID([]byte("place")), Instance: name, Look: 100 * time.Millisecond, Interfaces: []string{"one", "later"}, Services: []Service{
		{Type: DICOM, Port: 11112, Text: []string{"AET=EDGED"}},
		{Type: DICOMTLS, Port: 2762, Text: []string{"AET=EDGED"}, Address: netip.MustParseAddr("10.77.0.1")},
		{Type: HTTPS, Port: 443, Text: []string{"path=/"}, Address: netip.MustParseAddr("10.78.0.1")},
		{Type: HTTP, Port: 8080, Address: netip.MustParseAddr("127.0.0.1")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	seen := browse(t)
	id := ID([]byte("place"))
	quoted := `Osp\.\032di\032Citt\195\160`
	seen.await("=", "one", DICOM, quoted, id+".local", "10.77.0.1", "11112", `"AET=EDGED"`)
	seen.await("=", "one", DICOMTLS, quoted, id+".local", "10.77.0.1", "2762", `"AET=EDGED"`)
	mustRun(t, "ip", "link", "add", "later", "type", "veth", "peer", "name", "further")
	mustRun(t, "ip", "addr", "add", "10.78.0.1/24", "dev", "later")
	mustRun(t, "ip", "link", "set", "further", "up")
	mustRun(t, "ip", "link", "set", "later", "up")
	// Which of the two addresses avahi shows on which link is its own affair.
	seen.await("=", "", HTTPS, quoted, id+".local", "10.78.0.1", "443", `"path=/"`)
	seen.from = len(seen.all)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, s := range []string{DICOM, DICOMTLS} { // their TTL is an hour: only a goodbye ends them now
		seen.await("-", "one", s, quoted)
	}
	if strings.Contains(strings.Join(seen.all, "\n"), "8080") {
		t.Error("what listens on loopback is announced")
	}
}

func mustRun(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

// avahi starts a bus and a responder of this test's own.
func avahi(t *testing.T) {
	t.Helper()
	dir := os.Getenv(inside)
	socket := filepath.Join(dir, "bus")
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	bus := write("bus.conf", fmt.Sprintf(`<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=%s</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="*"/><allow receive_type="*"/><allow eavesdrop="true"/><allow send_destination="*"/></policy></busconfig>`, socket))
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+socket)
	background(t, "dbus-daemon", "--nofork", "--nopidfile", "--config-file="+bus)
	await(t, "the bus", func() bool { c, err := net.Dial("unix", socket); return err == nil && c.Close() == nil })
	conf := write("avahi.conf", "[server]\nhost-name=looker\nuse-ipv4=yes\nuse-ipv6=no\n[wide-area]\nenable-wide-area=no\n[publish]\ndisable-publishing=yes\n")
	background(t, "unshare", "-m", "sh", "-c", "mount -t tmpfs none /run && exec avahi-daemon --no-drop-root --no-chroot --no-rlimits -f "+conf)
	await(t, "avahi", func() bool { return exec.Command("avahi-browse", "-a", "-t").Run() == nil })
}

func background(t *testing.T, name string, args ...string) io.Reader {
	t.Helper()
	cmd := exec.Command(name, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Skipf("%s: %v", name, err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return out
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// browser is what avahi-browse prints, a line a change.
type browser struct {
	t     *testing.T
	lines chan string
	all   []string
	from  int // in all: what was said before is no answer
}

func browse(t *testing.T) *browser {
	t.Helper()
	b := &browser{t: t, lines: make(chan string, 1000)}
	out := background(t, "avahi-browse", "-a", "-r", "-p", "-k")
	go func() {
		defer close(b.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			b.lines <- s.Text()
		}
	}()
	return b
}

// await waits for a line with these words.
func (b *browser) await(words ...string) {
	b.t.Helper()
	has := func(line string) bool {
		fields := ";" + line + ";"
		for i, w := range words {
			if i == 0 && !strings.HasPrefix(line, w) || i > 0 && !strings.Contains(fields, w) {
				return false
			}
		}
		return true
	}
	if slices.ContainsFunc(b.all[b.from:], has) {
		return
	}
	end := time.After(patience)
	for {
		select {
		case line, more := <-b.lines:
			if !more {
				b.t.Fatalf("avahi-browse ended; it said\n%s", strings.Join(b.all, "\n"))
			}
			if b.all = append(b.all, line); has(line) {
				return
			}
		case <-end:
			b.t.Fatalf("waited for %v; avahi-browse said\n%s", words, strings.Join(b.all, "\n"))
		}
	}
}

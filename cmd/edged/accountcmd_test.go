package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// machine is a data directory of the daemon's user, and edged on it as whoever runs
// the test.
type machine struct {
	t         *testing.T
	data, cfg string
	owner     int
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	dir := t.TempDir()
	m := &machine{t: t, data: filepath.Join(dir, "edge"), cfg: filepath.Join(dir, "edged.yaml"), owner: os.Geteuid()}
	ok(t, os.Mkdir(m.data, 0o700))
	ok(t, os.WriteFile(m.cfg, []byte(fmt.Sprintf("data_dir: %s\n", m.data)), 0o644))
	if m.owner == 0 { // root gives the command, the daemon's user is another
		m.owner = 65534
		ok(t, os.Chown(m.data, m.owner, m.owner))
		ok(t, os.Chmod(dir, 0o755))
		ok(t, os.Chmod(filepath.Dir(dir), 0o755))
	}
	return m
}

func (m *machine) command(args ...string) *exec.Cmd {
	return exec.CommandContext(m.t.Context(), bin(m.t, "edged"), append(args, "-c", m.cfg)...)
}

// run gives both outputs and the exit code.
func (m *machine) run(stdin string, args ...string) (string, int) {
	m.t.Helper()
	c := m.command(args...)
	c.Stdin = strings.NewReader(stdin)
	out, _ := c.CombinedOutput() // its exit code is looked at
	return string(out), c.ProcessState.ExitCode()
}

// The accounts of the page are kept by commands, without the daemon; each change has
// its rows; what root does belongs to the daemon's user afterwards.
func TestAccountsAreKeptByCommands(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for _, step := range []struct {
		stdin, args, says string
		code              int
	}{
		{"", "account list", "there is no account", 0},
		{"Fiume lento 77\n", "account add luca --password-stdin", "there is no administrator yet", 0},
		{"Grande Fiume lento\n", "account add m.rossi --role administrator --password-stdin", "", 0},
		{"kurz\n", "account add anna --password-stdin", "12 characters", 1},
		{"", "account add anna --password-stdin", "no password was given", 1},
		{"whatever it is 9\n", "account add anna", "there is no terminal", 2},
		{"Fiume lento 77\n", "account add luca --password-stdin", "there is such an account already", 1},
		{"Fiume lento 77\n", "account add ../x --password-stdin", "a name is", 1},
		{"", "account add anna --role root", "must be one of", 2},
		{"", "account role luca administrator", "", 0},
		{"", "account role luca technician", "", 0},
		{"Fiume svelto 78\n", "account password luca --password-stdin", "", 0},
		{"", "account unlock luca", "", 0},
		{"", "account unlock nobody", "there is no such account", 1},
		{"", "account remove m.rossi", "this is the last administrator", 1},
		{"", "account list", "luca     technician", 0},
		{"", "account remove luca", "", 0},
	} {
		out, code := m.run(step.stdin, strings.Fields(step.args)...)
		if code != step.code || !strings.Contains(out, step.says) || step.says == "" && out != "" {
			t.Errorf("%s: exit code %d, says %q; want %d, %q", step.args, code, out, step.code, step.says)
		}
		if strings.Contains(out, "iume") {
			t.Errorf("%s tells the password: %s", step.args, out)
		}
	}
	out, code := m.run("", "audit")
	for _, want := range []string{"account made", "role changed", "password changed", "account unlocked", "account removed", "(command)", "technician", "done (of 1)"} {
		if !strings.Contains(out, want) || code != 0 {
			t.Errorf("the audit log (exit code %d) has no %q:\n%s", code, want, out)
		}
	}
	ok(t, filepath.WalkDir(m.data, func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && (ownerOf(info) != m.owner || info.Mode().Perm()&0o077 != 0) {
			t.Errorf("%s is of user %d and %s", name, ownerOf(info), info.Mode())
		}
		return err
	}))
}

// At a terminal the password is asked for twice, and never shown.
func TestAPasswordIsAskedForAndNotShown(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for _, c := range []struct {
		first, second, says string
		code                int
	}{
		{"Fiume lento 77", "Fiume lento 78", "not the same", 1},
		{"short", "", "12 characters or more", 1},
		{"Fiume lento 77", "Fiume lento 77", "", 0},
	} {
		said, code := m.atTerminal(c.first, c.second, "account", "add", "m.rossi")
		if code != c.code || !strings.Contains(said, c.says) || !strings.Contains(said, "New password for m.rossi") {
			t.Errorf("exit code %d, says %q; want %d, %q", code, said, c.code, c.says)
		}
		if strings.Contains(said, c.first) {
			t.Errorf("it shows the password: %q", said)
		}
	}
}

// atTerminal answers each question that ends with a colon.
func (m *machine) atTerminal(first, second string, args ...string) (said string, code int) {
	m.t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		m.t.Skipf("no terminals here: %v", err)
	}
	defer master.Close()
	ok(m.t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	ok(m.t, err)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		m.t.Skipf("no terminals here: %v", err)
	}
	c := m.command(args...)
	c.Stdin, c.Stdout, c.Stderr = slave, slave, slave
	ok(m.t, c.Start())
	slave.Close()
	give := time.AfterFunc(patience, func() { c.Process.Kill() })
	defer give.Stop()
	var out bytes.Buffer
	answers := []string{first, second}
	for buffer := make([]byte, 256); ; {
		n, err := master.Read(buffer)
		out.Write(buffer[:n])
		if err != nil { // EIO: the other side is closed
			break
		}
		if len(answers) > 0 && bytes.HasSuffix(out.Bytes(), []byte(": ")) {
			fmt.Fprintln(master, answers[0])
			answers = answers[1:]
		}
	}
	_ = c.Wait() // its exit code is looked at
	return out.String(), c.ProcessState.ExitCode()
}

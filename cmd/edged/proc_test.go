package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// proc is a running program; what it says is shown when the test fails.
type proc struct {
	t    *testing.T
	cmd  *exec.Cmd
	said lockedBuffer
	done chan struct{}
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func start(t *testing.T, name string, args ...string) *proc {
	t.Helper()
	return startEnv(t, nil, name, args...)
}

func startEnv(t *testing.T, env []string, name string, args ...string) *proc {
	t.Helper()
	p := &proc{t: t, cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.cmd.Wait(); close(p.done) }()
	t.Cleanup(func() {
		p.kill()
		p.mustBeDiscreet()
		if t.Failed() {
			said := p.said.String()
			t.Logf("%s said:\n%s", filepath.Base(name), said[max(0, len(said)-6000):])
		}
	})
	return p
}

// mustBeDiscreet: whatever a test does, what the daemons log names no patient, and
// no UID above debug (P10).
func (p *proc) mustBeDiscreet() {
	if name := filepath.Base(p.cmd.Path); name != "edged" && name != "hubd" {
		return
	}
	for _, line := range strings.Split(p.said.String(), "\n") {
		if strings.Contains(line, "PROVA") || strings.Contains(line, "2.25.") && !strings.Contains(line, "level=DEBUG") {
			p.t.Errorf("this is logged: %s", line)
		}
	}
}

// kill is a power cut for the process.
func (p *proc) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// stop asks it to end and gives its exit code.
func (p *proc) stop() int {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(40 * time.Second):
		p.t.Error("it does not stop on SIGTERM")
		p.kill()
	}
	return p.cmd.ProcessState.ExitCode()
}

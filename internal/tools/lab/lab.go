package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Lab is the folder that everything lies in, the programs, and the processes that
// run. It belongs to one goroutine.
type Lab struct {
	Dir, Bin string
	running  []*Process
	undo     []func() error // last first
	started  int
}

// New makes a folder below dir; bin has the product's programs.
func New(dir, bin string) (*Lab, error) {
	base, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if bin, err = filepath.Abs(bin); err != nil {
		return nil, err
	}
	for _, name := range []string{"edged", "hubd", "modsim"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			return nil, fmt.Errorf("%w: run `make build`, or name the folder with --bin", err)
		}
	}
	made, err := os.MkdirTemp(base, ".bench-")
	return &Lab{Dir: made, Bin: bin}, err
}

// OnClose has f called by Close, before what was asked for earlier.
func (l *Lab) OnClose(f func() error) { l.undo = append(l.undo, f) }

// Close ends what still runs and removes everything.
func (l *Lab) Close() error {
	for _, p := range slices.Clone(l.running) {
		p.Stop()
	}
	var errs []error
	for i := range l.undo {
		errs = append(errs, l.undo[len(l.undo)-1-i]())
	}
	return errors.Join(append(errs, os.RemoveAll(l.Dir))...)
}

// Program is the path of one of the product's.
func (l *Lab) Program(name string) string { return filepath.Join(l.Bin, name) }

// Folder makes a new folder below dir, which may be on another file system.
func (l *Lab) Folder(dir, name string) (string, error) {
	l.started++
	path := filepath.Join(dir, fmt.Sprintf("%s-%d", name, l.started))
	return path, os.MkdirAll(path, 0o700)
}

// Process is a program that runs until it is stopped.
type Process struct {
	Name   string
	Cmd    *exec.Cmd
	lab    *Lab
	cancel context.CancelFunc
	log    string
}

// Start runs a program in the background, behind prefix. What it says goes to a
// file.
func (l *Lab) Start(ctx context.Context, name string, env, prefix []string, path string, args ...string) (*Process, error) {
	l.started++
	p := &Process{Name: name, lab: l, log: filepath.Join(l.Dir, fmt.Sprintf("%s-%d.log", name, l.started))}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	ctx, p.cancel = context.WithCancel(ctx)
	p.Cmd = Command(ctx, env, prefix, path, args...)
	p.Cmd.Stdout, p.Cmd.Stderr = log, log
	if err := p.Cmd.Start(); err != nil {
		p.cancel()
		return nil, err
	}
	l.running = append(l.running, p)
	return p, nil
}

// Command is one that ends in order with its context, and with this process. It
// leads a group of its own, so that what it has started can be ended with it.
func Command(ctx context.Context, env, prefix []string, path string, args ...string) *exec.Cmd {
	line := append(append(slices.Clone(prefix), path), args...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

// Stop ends the process and waits for it, then ends what it left behind: a server
// that forks may leave children that hold its port. Its error is that it was ended.
func (p *Process) Stop() {
	p.cancel()
	p.Cmd.Wait()
	syscall.Kill(-p.Cmd.Process.Pid, syscall.SIGKILL)
	p.lab.running = slices.DeleteFunc(p.lab.running, func(other *Process) bool { return other == p })
}

// Said is the end of what the process said, for an error.
func (p *Process) Said() string {
	b, _ := os.ReadFile(p.log) // an error shows as nothing said
	b = bytes.TrimSpace(b)
	return string(b[max(0, len(b)-600):])
}

// Call runs a program to its end, behind prefix, and returns what it printed.
func Call(ctx context.Context, prefix []string, path string, args ...string) (string, error) {
	cmd := Command(ctx, nil, prefix, path, args...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %.600s", filepath.Base(path), strings.Join(args, " "), err, said.String())
	}
	return string(out), err
}

const poll = 20 * time.Millisecond

// Await polls until ok, at most for limit.
func Await(ctx context.Context, limit time.Duration, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for tick := time.NewTicker(poll); !ok(); {
		select {
		case <-ctx.Done():
			tick.Stop()
			return fmt.Errorf("waited up to %s for %s: %w", limit, what, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// FreeAddress is one on loopback that neither TCP nor UDP uses.
func FreeAddress() (string, error) {
	for range 10 {
		t, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		u, err := net.ListenPacket("udp", t.Addr().String())
		t.Close()
		if err == nil {
			u.Close()
			return t.Addr().String(), nil
		}
	}
	return "", errors.New("no free port on loopback")
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// lab is the folder that everything lies in, the programs, and the processes that
// run.
type lab struct {
	dir, bin string
	running  []*process
	undo     []func() error // mounts, last first
	started  int
}

func newLab(o options) (*lab, error) {
	base, err := filepath.Abs(o.dir)
	if err != nil {
		return nil, err
	}
	bin, err := filepath.Abs(o.bin)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"edged", "hubd", "modsim"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			return nil, fmt.Errorf("%w: run `make build`, or name the folder with --bin", err)
		}
	}
	dir, err := os.MkdirTemp(base, ".bench-")
	return &lab{dir: dir, bin: bin}, err
}

// close ends what still runs and removes everything.
func (l *lab) close() error {
	for _, p := range l.running {
		p.stop()
	}
	var errs []error
	for i := range l.undo {
		errs = append(errs, l.undo[len(l.undo)-1-i]())
	}
	return errors.Join(append(errs, os.RemoveAll(l.dir))...)
}

func (l *lab) program(name string) string { return filepath.Join(l.bin, name) }

// folder makes a new folder below dir, which may be on another file system.
func (l *lab) folder(dir, name string) (string, error) {
	l.started++
	path := filepath.Join(dir, fmt.Sprintf("%s-%d", name, l.started))
	return path, os.MkdirAll(path, 0o700)
}

// process is a program that runs until it is stopped.
type process struct {
	lab    *lab
	name   string
	cmd    *exec.Cmd
	cancel context.CancelFunc
	log    string
}

// start runs a program in the background. What it says goes to a file.
func (l *lab) start(ctx context.Context, name string, env []string, path string, args ...string) (*process, error) {
	l.started++
	p := &process{lab: l, name: name, log: filepath.Join(l.dir, fmt.Sprintf("%s-%d.log", name, l.started))}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	ctx, p.cancel = context.WithCancel(ctx)
	p.cmd = command(ctx, env, path, args...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		p.cancel()
		return nil, err
	}
	l.running = append(l.running, p)
	return p, nil
}

// command is one that ends in order with its context, and with this process.
func command(ctx context.Context, env []string, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

// stop ends the process and waits for it. Its error is that it was ended.
func (p *process) stop() {
	p.cancel()
	p.cmd.Wait()
	for i, other := range p.lab.running {
		if other == p {
			p.lab.running = append(p.lab.running[:i:i], p.lab.running[i+1:]...)
			return
		}
	}
}

// said is the end of what the process said, for an error.
func (p *process) said() string {
	b, _ := os.ReadFile(p.log) // an error shows as nothing said
	b = bytes.TrimSpace(b)
	return string(b[max(0, len(b)-600):])
}

// call runs a program to its end and returns what it printed.
func call(ctx context.Context, path string, args ...string) (string, error) {
	cmd := command(ctx, nil, path, args...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %.600s", filepath.Base(path), strings.Join(args, " "), err, said.String())
	}
	return string(out), err
}

const poll = 20 * time.Millisecond

// await polls until ok, at most for limit.
func await(ctx context.Context, limit time.Duration, what string, ok func() bool) error {
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

// freeAddress is one on loopback that neither TCP nor UDP uses.
func freeAddress() (string, error) {
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

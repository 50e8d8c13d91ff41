package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// program finds a program of this product: beside this one, else on the PATH.
func program(name string) (string, error) {
	self, err := os.Executable()
	if err == nil {
		beside := filepath.Join(filepath.Dir(self), name)
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is neither beside edged nor on the PATH: run `make build`", name)
	}
	return path, nil
}

// child is a process that the demonstration keeps alive: whenever it ends, by
// whatever hand, it is started again until the context ends.
type child struct {
	path   string
	args   []string
	output string              // file that takes what it says
	told   func(string, error) // called when it ended and is to be started again

	mu      sync.Mutex // guards process
	process *os.Process
}

// restartPause keeps a child that cannot start from being started in a loop.
const restartPause = 300 * time.Millisecond

func (c *child) run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := c.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		c.told(filepath.Base(c.path), err)
		select {
		case <-ctx.Done():
		case <-time.After(restartPause):
		}
	}
	return nil
}

// once runs the process to its end. A child never outlives this process.
func (c *child) once(ctx context.Context) error {
	out, err := os.OpenFile(c.output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := c.command(ctx, out)
	if err := cmd.Start(); err != nil {
		return err
	}
	c.set(cmd.Process)
	defer c.set(nil)
	return cmd.Wait()
}

func (c *child) command(ctx context.Context, out io.Writer) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.path, c.args...)
	cmd.Stdout, cmd.Stderr = out, out
	return tame(cmd)
}

// tame lets a command stop in order when its context ends, and die with us.
func tame(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 15 * time.Second
	return cmd
}

func (c *child) set(p *os.Process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.process = p
}

// kill ends the process as a power cut would end it.
func (c *child) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process != nil {
		c.process.Kill()
	}
}

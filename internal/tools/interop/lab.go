package main

import (
	"bytes"
	"context"
	"edged/internal/ports"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// lab is the folder that everything lies in, the programs, and the processes that
// run.
type lab struct {
	dir, bin, cache  string
	install, verbose bool
	keep             bool
	running          []*process
	started          int
	edged            *appliance
	tls              certificates
}

func newLab(o options) (*lab, error) {
	bin, err := filepath.Abs(o.bin)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(bin, "edged")); err != nil {
		return nil, fmt.Errorf("%w: run `make build`, or name the folder with -bin", err)
	}
	cache, err := filepath.Abs(o.cache)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "interop-")
	if err != nil {
		return nil, err
	}
	l := &lab{dir: dir, bin: bin, cache: cache, install: o.install, verbose: o.verbose, keep: o.keep}
	l.tls, err = newCertificates(dir)
	return l, err
}

// close ends what still runs and removes everything.
func (l *lab) close() error {
	for len(l.running) > 0 {
		l.running[len(l.running)-1].stop()
	}
	if l.keep {
		fmt.Println("what the programs said is in", l.dir)
		return nil
	}
	return os.RemoveAll(l.dir)
}

func (l *lab) program(name string) string { return filepath.Join(l.bin, name) }

// folder makes a new folder.
func (l *lab) folder(name string) (string, error) {
	l.started++
	path := filepath.Join(l.dir, fmt.Sprintf("%s-%d", name, l.started))
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
func (l *lab) start(ctx context.Context, name, path string, args ...string) (*process, error) {
	l.started++
	p := &process{lab: l, name: name, log: filepath.Join(l.dir, fmt.Sprintf("%s-%d.log", name, l.started))}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	ctx, p.cancel = context.WithCancel(ctx)
	p.cmd = command(ctx, l.dir, path, args...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		p.cancel()
		return nil, err
	}
	l.running = append(l.running, p)
	return p, nil
}

// command is one that ends in order with its context, and with this process.
func command(ctx context.Context, dir, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TCP_NODELAY=1") // DCMTK of Debian sets it only when asked
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
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
	return string(b[max(0, len(b)-900):])
}

// call runs a program to its end and returns all that it printed.
func (l *lab) call(ctx context.Context, path string, args ...string) (string, error) {
	cmd := command(ctx, l.dir, path, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		said := bytes.TrimSpace(out)
		err = fmt.Errorf("%s %s: %w: %s", filepath.Base(path), strings.Join(args, " "), err, said[max(0, len(said)-900):])
	}
	return string(out), err
}

const poll = 20 * time.Millisecond

// await polls until ok, at most for limit.
func await(ctx context.Context, limit time.Duration, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited up to %s for %s: %w", limit, what, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// listens waits until the process has opened its port.
func (p *process) listens(ctx context.Context, port string) error {
	err := await(ctx, 30*time.Second, p.name+" to listen", func() bool {
		c, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	if err != nil {
		return fmt.Errorf("%w: %s", err, p.said())
	}
	return nil
}

// freePort is one on loopback, below those that the kernel gives to who calls: it
// stays free until the peer that is told of it has started.
func freePort() (string, error) {
	port, err := ports.Free()
	return strconv.Itoa(port), err
}

// fetch asks for JSON, or sends some.
func fetch(ctx context.Context, method, url string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var sent bytes.Buffer
	if body != nil { // the appliance's page takes none
		if err := json.NewEncoder(&sent).Encode(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, url, &sent)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var said bytes.Buffer
	if _, err := said.ReadFrom(answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %.600s", method, url, answer.Status, said.String())
	}
	if raw, ok := into.(*[]byte); ok {
		*raw = said.Bytes()
		return nil
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(said.Bytes(), into)
}

var errNotInstalled = errors.New("not installed")

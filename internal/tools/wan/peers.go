package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"edged/internal/tools/lab"
	"edged/internal/tools/tlscopy"
)

// peer is a way to carry objects.
type peer struct {
	id, name string
	program  string // that must be installed
	how      string // it is set up, for the table
	ours     bool
	carry    func(context.Context, *cell) (outcome, error)
}

func peerID(p peer) string { return p.id }

// The peers of the table; those that others are compared with have a name.
const (
	plainStore = "storescu"
	tunedStore = "storescu-tuned"
	tunedMany  = "storescu-tuned4"
	plainTLS   = "tls"
	ourAuto    = "edged-auto"
	ourQUIC    = "edged-quic"
	ourTCP     = "edged-tcp"
)

var peers = []peer{
	{plainStore, "C-STORE, default", "storescu", "DCMTK as Debian installs it: PDUs of 16 KiB, Nagle, one association", false, cStore(nil, 1)},
	{tunedStore, "C-STORE, tuned", "storescu", "TCP_NODELAY=1 at both ends, PDUs of 128 KiB, one association", false, cStore(tuned, 1)},
	{tunedMany, "C-STORE, tuned, 4 associations", "storescu", "the same, four storescu at once", false, cStore(tuned, 4)},
	{"rsync", "rsync", "rsync", "daemon, no encryption, `--whole-file --inplace`", false, rsync},
	{"curl", "curl, HTTP/2", "curl", "PUT, `--parallel --parallel-max 32`, TLS 1.3; the server is Go's, with windows of 16 MiB, and writes files", false, curl},
	{plainTLS, "Go TLS, one connection", "", "TLS 1.3, objects one behind the other, files, no flush, no receipts but the last", false, goTLS},
	{ourAuto, "edged, auto", "", "`transport: auto`", true, ours("auto")},
	{ourQUIC, "edged, QUIC", "", "`transport: quic`", true, ours("quic")},
	{ourTCP, "edged, TLS", "", "`transport: tcp`", true, ours("tcp")},
}

// time is how long it is measured at most.
func (p peer) time(o options) time.Duration {
	switch {
	case p.ours:
		return o.ourTime
	case p.program == "storescu":
		return o.storeTime
	}
	return o.peerTime
}

// missing says that it cannot be measured on this machine.
func (p peer) missing() bool {
	_, err := exec.LookPath(p.program)
	return p.program != "" && err != nil
}

// tuned is how DCMTK is asked to set TCP_NODELAY; Debian's build does not by itself.
var tuned = []string{"TCP_NODELAY=1"}

// cStore is storescu to storescp. With an environment it is tuned.
func cStore(env []string, associations int) func(context.Context, *cell) (outcome, error) {
	return func(ctx context.Context, c *cell) (outcome, error) {
		args := []string{"--output-directory", c.dir, "--bit-preserving", "--promiscuous", "--accept-all"}
		if env != nil {
			args = append(args, "--max-pdu", "131072")
		}
		if associations > 1 {
			args = append(args, "--fork")
		}
		receiver, err := c.listener(ctx, "storescp", env, "storescp", append(args, c.port)...)
		if err != nil {
			return outcome{}, err
		}
		defer receiver.Stop()
		return c.transfer(ctx, receiver, c.dir, c.storescu(ctx, env, associations)...)
	}
}

func (c *cell) storescu(ctx context.Context, env []string, associations int) (all []*exec.Cmd) {
	args := []string{"--call", "STORESCP", "--required", "--scan-directories", "--recurse"}
	if env != nil {
		args = append(args, "--max-send-pdu", "131072", "--max-pdu", "131072")
	}
	args = append(args, c.far.address, c.port)
	for i := range associations {
		parts := c.few[i : i+1]
		if associations == 1 {
			parts = c.few[:]
		}
		all = append(all, lab.Command(ctx, env, c.near.prefix(), "storescu", append(args[:len(args):len(args)], parts...)...))
	}
	return all
}

// listener starts a receiver at the far end and waits until its port is open.
func (c *cell) listener(ctx context.Context, name string, env []string, program string, args ...string) (*lab.Process, error) {
	p, err := c.bench.Start(ctx, name, env, c.far.prefix(), program, args...)
	if err != nil {
		return nil, err
	}
	err = lab.Await(ctx, 20*time.Second, name+" to listen", func() bool { return c.far.open(c.port) })
	if err != nil {
		err = fmt.Errorf("%w: %s", err, p.Said())
		p.Stop()
	}
	return p, err
}

// open asks the end itself whether a port is listened on; no packet is spent.
func (e end) open(port string) (found bool) {
	number, _ := net.LookupPort("tcp", port) // it is a number
	want := fmt.Sprintf(":%04X", number)
	e.space.Do(func() error { // an error shows as closed
		for _, name := range []string{"tcp", "tcp6"} {
			b, err := os.ReadFile("/proc/thread-self/net/" + name)
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(b)) {
				// number, local address, remote address, state: 0A is listening
				if f := strings.Fields(line); len(f) > 3 && strings.HasSuffix(f[1], want) && f[3] == "0A" {
					found = true
				}
			}
		}
		return nil
	})
	return found
}

// rsync is a daemon without encryption: the best it can do.
func rsync(ctx context.Context, c *cell) (outcome, error) {
	config := filepath.Join(c.dir, "rsyncd.conf")
	into := filepath.Join(c.dir, "in")
	text := fmt.Sprintf("pid file = %s\nuse chroot = no\nuid = root\ngid = root\n[in]\npath = %s\nread only = no\n", filepath.Join(c.dir, "pid"), into)
	if err := os.Mkdir(into, 0o700); err != nil {
		return outcome{}, err
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return outcome{}, err
	}
	receiver, err := c.listener(ctx, "rsync", nil, "rsync", "--daemon", "--no-detach", "--port", c.port, "--config", config)
	if err != nil {
		return outcome{}, err
	}
	defer receiver.Stop()
	return c.transfer(ctx, receiver, into, lab.Command(ctx, nil, c.near.prefix(),
		"rsync", "--recursive", "--whole-file", "--inplace", c.files+"/", "rsync://"+c.far.at(c.port)+"/in/"))
}

// goTLS is two processes of this program.
func goTLS(ctx context.Context, c *cell) (outcome, error) {
	self, err := os.Executable()
	if err != nil {
		return outcome{}, err
	}
	receiver, err := c.listener(ctx, "tls", nil, self, tlscopy.Verb, "receive", c.far.at(c.port), c.dir, "no-flush")
	if err != nil {
		return outcome{}, err
	}
	defer receiver.Stop()
	return c.transfer(ctx, receiver, c.dir, lab.Command(ctx, nil, c.near.prefix(), self, tlscopy.Verb, "send", c.far.at(c.port), c.files, fmt.Sprint(c.bytes)))
}

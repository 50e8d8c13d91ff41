package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"edged/internal/netlab"
	"edged/internal/netlab/line"
	"edged/internal/tools/lab"
)

// The relay is a process of its own, so that it runs before all others and its
// CPU time is known. It takes commands of one byte and answers each with a line:
// the counters of both directions, as JSON.
const lineVerb = "line"

const (
	relayAsk   = '?' // nothing but the answer
	relayBlock = 'x' // UDP is dropped from now on
	relayOpen  = 'o' // it no longer is
)

// carry is `NEAR FAR RATE DELAY LOSS QUEUE SEED`, where NEAR and FAR are
// namespaces. It ends when its input does.
func carry(args []string) error {
	if len(args) != 7 {
		return errors.New("want NEAR FAR RATE DELAY LOSS QUEUE SEED")
	}
	c, err := parseLine(args[2:])
	if err != nil {
		return err
	}
	near, err := line.Attach(&netlab.Space{Name: args[0]}, nearAddress)
	if err != nil {
		return err
	}
	defer near.Close()
	far, err := line.Attach(&netlab.Space{Name: args[1]}, farAddress)
	if err != nil {
		return err
	}
	defer far.Close()
	l, err := line.New(c, near, far)
	if err != nil {
		return err
	}
	debug.SetGCPercent(-1) // a packet allocates nothing
	if err := line.Hurry(); err != nil {
		fmt.Fprintln(os.Stderr, err) // it works without, less exactly
	}
	if err := l.Run(0, func() error { return obey(l) }); !errors.Is(err, errEnd) {
		return err
	}
	return nil
}

var errEnd = errors.New("the input has ended")

func obey(l *line.Line) error {
	var command [1]byte
	if n, err := unix.Read(0, command[:]); err != nil || n == 0 {
		return errors.Join(err, errEnd)
	}
	switch command[0] {
	case relayBlock:
		l.Block(true)
	case relayOpen:
		l.Block(false)
	}
	return json.NewEncoder(os.Stdout).Encode(l.Counters())
}

func parseLine(args []string) (c line.Config, err error) {
	var errs [5]error
	c.Rate, errs[0] = strconv.ParseInt(args[0], 10, 64)
	c.Delay, errs[1] = time.ParseDuration(args[1])
	c.Loss, errs[2] = strconv.ParseFloat(args[2], 64)
	c.Queue, errs[3] = strconv.ParseInt(args[3], 10, 64)
	c.Seed, errs[4] = strconv.ParseUint(args[4], 10, 64)
	return c, errors.Join(errs[:]...)
}

// relay is the process, seen by the tool.
type relay struct {
	proc *lab.Process
	in   io.WriteCloser
	out  *bufio.Reader
}

// traffic is what the relay has counted, to the far end and back.
type traffic [2]line.Counters

func startRelay(ctx context.Context, near, far *netlab.Space, c line.Config) (*relay, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := lab.Command(context.WithoutCancel(ctx), nil, nil, self, lineVerb, near.Name, far.Name,
		fmt.Sprint(c.Rate), c.Delay.String(), fmt.Sprint(c.Loss), fmt.Sprint(c.Queue), fmt.Sprint(c.Seed))
	cmd.Stderr = os.Stderr
	r := &relay{proc: &lab.Process{Name: "relay", Cmd: cmd}}
	if r.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	r.out = bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := r.tell(relayAsk); err != nil { // it answers when the line is there
		return nil, errors.Join(err, r.stop())
	}
	return r, nil
}

func (r *relay) tell(command byte) (t traffic, err error) {
	if _, err = r.in.Write([]byte{command}); err != nil {
		return t, fmt.Errorf("relay: %w", err)
	}
	answer, err := r.out.ReadBytes('\n')
	if err != nil {
		return t, fmt.Errorf("relay: %w", err)
	}
	return t, json.Unmarshal(answer, &t)
}

// stop ends the line and waits.
func (r *relay) stop() error {
	err := errors.Join(r.in.Close(), r.proc.Cmd.Wait())
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("relay: %w", err)
	}
	return err
}

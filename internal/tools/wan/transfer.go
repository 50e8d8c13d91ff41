package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"edged/internal/tools/lab"
)

// cell is one peer on one line with objects of one size.
type cell struct {
	*bench
	*stage
	*stock
	wire
	limit time.Duration
	dir   string // empty, for this cell only
	port  string // of its peer's receiver
}

// transfer starts the senders and measures until they have ended, or the time is
// over. The clock runs from the first packet that comes to the receiver: planning
// is nobody's fault here. Dir is where the receiver writes files.
func (c *cell) transfer(ctx context.Context, receiver *lab.Process, dir string, all ...*exec.Cmd) (o outcome, err error) {
	lab.Settle(c.dir)
	pace := pace{receiver: receiver, limit: c.limit}
	if err := pace.zero(); err != nil {
		return o, err
	}
	tree := receiver.Tree()
	before, err := tree.CPU()
	if err != nil {
		return o, err
	}
	if err := start(all); err != nil {
		return o, err
	}
	o, failed := c.follow(ctx, tree, &pace, all)
	o.objects, o.bytes = c.carried(dir)
	o.steady = pace.steady(o)
	for _, cmd := range all {
		o.sender += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime() // less what planning took
	}
	after, err := tree.CPU()
	o.receiver = after - before
	o.rss[1], _ = receiver.Peak() // of a receiver that forks it says little
	return o, errors.Join(failed, err)
}

// start starts all or none.
func start(all []*exec.Cmd) error {
	for i, cmd := range all {
		if err := cmd.Start(); err != nil {
			return errors.Join(err, kill(all[:i]))
		}
	}
	return nil
}

// kill kills and waits; that they were killed is no error.
func kill(all []*exec.Cmd) error {
	for _, cmd := range all {
		cmd.Process.Kill()
	}
	for _, cmd := range all {
		cmd.Wait()
	}
	return nil
}

// firstPacket bounds how long a sender may plan.
const firstPacket = 40 * time.Second

// follow waits for the senders. Every process is waited for on return.
func (c *cell) follow(ctx context.Context, tree *lab.Tree, pace *pace, all []*exec.Cmd) (o outcome, err error) {
	started, began := time.Now(), time.Time{}
	for clock, i := time.NewTicker(tick), 0; ; <-clock.C {
		if i++; i%10 == 0 {
			tree.Look()
		}
		if began.IsZero() {
			if pace.started() {
				began, o.sender = time.Now(), -planned(all)
			}
		} else {
			pace.look(time.Since(began))
		}
		o.seconds = time.Since(began).Seconds()
		switch {
		case ended(all):
			return o, wait(all)
		case ctx.Err() != nil:
			return o, errors.Join(ctx.Err(), kill(all))
		case began.IsZero() && time.Since(started) > firstPacket:
			return o, errors.Join(fmt.Errorf("no packet in %s", firstPacket), kill(all))
		case !began.IsZero() && time.Since(began) > c.limit:
			o.cut = true
			return o, kill(all)
		}
	}
}

// planned is what the senders have computed so far.
func planned(all []*exec.Cmd) (total time.Duration) {
	for _, cmd := range all {
		spent, _ := (&lab.Process{Cmd: cmd}).CPU() // who has ended planned little
		total += spent
	}
	return total
}

func ended(all []*exec.Cmd) bool {
	for _, cmd := range all {
		if !lab.Ended(cmd) {
			return false
		}
	}
	return true
}

func wait(all []*exec.Cmd) (err error) {
	for _, cmd := range all {
		if failed := cmd.Wait(); failed != nil && err == nil {
			err = fmt.Errorf("%s: %w", cmd.Args[len(cmd.Args)-1], failed)
		}
	}
	return err
}

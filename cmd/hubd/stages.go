package main

import (
	"context"
	"sync"
	"time"
)

// The parts of a hub end in this order: who talks to others, then who works on what
// has come, then the console, which says meanwhile that the hub is not ready.
const (
	working = iota // what stageOf does not name
	talking
	showing
	stages
)

var stageOf = map[string]int{"uplink": talking, "tcp": talking, "enrol": talking, "console": showing} // all others are working

// stage is parts that end together.
type stage struct {
	sync.WaitGroup
	ctx    context.Context
	cancel context.CancelFunc
}

func newStages(ctx context.Context) (all [stages]*stage) {
	for i := range all {
		all[i] = &stage{}
		all[i].ctx, all[i].cancel = context.WithCancel(context.WithoutCancel(ctx))
	}
	return all
}

// end ends one stage after the other.
func end(all [stages]*stage) {
	for _, i := range []int{talking, working, showing} {
		all[i].cancel()
		all[i].Wait()
	}
}

const (
	leaveRate = 500 // appliances a second that are sent to other nodes
	leaveMost = 30 * time.Second
)

// leave sends the appliances to the other nodes, if there can be any, before the
// doors close. Where there is one node, they are told when the doors close, and come back
// spread over a while. Who has lost its name ends at once.
func (h *theHub) leave(ctx context.Context) {
	h.absence.set(absentStopping)
	if !h.cfg.several() || replaced(ctx) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveMost)
	defer cancel()
	h.receive.Leave(ctx, leaveRate)
}

package dimse

import (
	"fmt"
	"sync/atomic"
)

// Association is one established association. What it says about itself may be
// read from any goroutine; it does not change after it was opened, but for the
// counts.
type Association struct {
	up       *upper
	id       uint64
	peer     Peer
	user     UserInfo // of the peer
	talk     Negotiation
	contexts []Context
	counts   counters

	// owned by the association's goroutine
	out  *pdataWriter
	set  []byte   // the command set under way
	in   dataSet  // the data set under way
	held *message // read while an operation was under way, not served yet

	share share // of the memory for small data sets

	messageID uint16 // of our last request

	errands errands // guarded by wire.mu
}

type counters struct{ stored, failed, bytes atomic.Int64 }

// Counts are of C-STORE operations on one association.
type Counts struct {
	Stored int64 // answered with success or a warning
	Failed int64 // answered with a failure, or cut off
	Bytes  int64 // of data sets, also of those cut off
}

// ID numbers the associations of one server or process.
func (a *Association) ID() uint64 { return a.id }

// Peer is who is at the other end: of a Client, Called is the peer.
func (a *Association) Peer() Peer { return a.peer }

// Implementation returns what the peer says it is (PS3.7 §D.3.3.2).
func (a *Association) Implementation() (classUID, version string) {
	return a.user.ImplementationClassUID, a.user.ImplementationVersion
}

// MaxPDU is what the peer can receive; 0 is anything.
func (a *Association) MaxPDU() uint32 { return a.user.MaxPDU }

// Contexts returns the presentation contexts that were accepted, in the order
// of the proposal. It must not be changed.
func (a *Association) Contexts() []Context { return a.contexts }

// Proposed is how many presentation contexts were proposed.
func (a *Association) Proposed() int { return len(a.talk.Request.Contexts) }

// Negotiation is what was proposed and answered when the association was opened.
// It must not be changed.
func (a *Association) Negotiation() Negotiation { return a.talk }

// Counts returns what went over the association so far.
func (a *Association) Counts() Counts {
	return Counts{a.counts.stored.Load(), a.counts.failed.Load(), a.counts.bytes.Load()}
}

func (a *Association) context(id byte) (Context, bool) {
	for _, c := range a.contexts {
		if c.ID == id {
			return c, true
		}
	}
	return Context{}, false
}

// readMessage waits for a command and prepares a.in for its data set.
func (a *Association) readMessage() (Context, command, error) {
	if m := a.held; m != nil { // its data set may still be under way: what ends the association between messages ends it behind this one
		a.held = nil
		a.up.setBusy(true)
		return m.presentation, m.cmd, nil
	}
	id, set, err := a.up.data.readCommand(a.set[:0])
	a.set = set
	if err != nil {
		return Context{}, nil, err
	}
	ctx, ok := a.context(id)
	if !ok {
		return ctx, nil, a.up.violation(abortInvalidParameter, fmt.Sprintf("presentation context %d was not accepted", id))
	}
	cmd, err := parseCommand(set)
	if err != nil {
		return ctx, nil, a.up.violation(abortInvalidParameter, err.Error())
	}
	a.in.reset(&a.up.data, id)
	return ctx, cmd, nil
}

// writeCommand sends a command set on a context.
func (a *Association) writeCommand(id byte, c command) error {
	a.out.begin(id, isCommand)
	if _, err := a.out.Write(c.append(nil)); err != nil {
		return err
	}
	return a.out.Close()
}

// nextMessageID numbers our own requests, from either side of an association.
func (a *Association) nextMessageID() uint16 {
	if a.messageID++; a.messageID == 0 {
		a.messageID = 1
	}
	return a.messageID
}

package liar

import (
	"context"
	"io"
	"sync"

	"edged/uplink/wire"
)

type reader = io.Reader

// Conn is one connection of an appliance that has said Hello. It belongs to the
// script.
type Conn struct {
	Carrier string
	Node    string        // Addr of the Hub
	Offered []wire.Object // so far

	ctx     context.Context // ends with the connection
	control io.ReadWriter
	frames  *wire.Reader
	hangUp  func(code uint64)
	ended   func()
	streams func(context.Context) (reader, error) // nil: all comes on control

	writing sync.Mutex
	in      chan wire.Frame  // what came; nobody reads ahead
	got     map[uint64]int64 // bytes of each offer
	acked   int              // confirmations and troubles
}

func newConn(carrier string, control io.ReadWriter, ctx context.Context) *Conn {
	return &Conn{Carrier: carrier, ctx: ctx, control: control, frames: wire.NewReader(control), in: make(chan wire.Frame), got: map[uint64]int64{}}
}

// read hands over what comes, until the end. While the script asks for nothing,
// nothing is read: the carrier's flow control holds the appliance back.
func (c *Conn) read(frames *wire.Reader) {
	for {
		f, err := frames.Next()
		if err != nil {
			if frames == c.frames && c.ended != nil {
				c.ended()
			}
			return
		}
		if p, ok := f.(*wire.PutFrame); ok {
			n, _ := io.Copy(io.Discard, p)
			f = &wire.Put{Number: p.Number, Offset: p.Offset, Body: make([]byte, n)}
		}
		select {
		case c.in <- f:
		case <-c.ctx.Done():
			return
		}
	}
}

// next takes one frame; false when the connection has ended.
func (c *Conn) next() bool {
	select {
	case <-c.ctx.Done():
		return false
	case f := <-c.in:
		c.took(f)
		return true
	}
}

func (c *Conn) took(f wire.Frame) {
	switch f := f.(type) {
	case *wire.Offer:
		c.Offered = append(c.Offered, f.Objects...)
	case *wire.Put:
		c.got[f.Number] = f.Offset + int64(len(f.Body))
	case *wire.ArchivedAck:
		c.acked += len(f.Seqs)
	}
}

// Drain reads until the connection has ended.
func (c *Conn) Drain() {
	for c.next() {
	}
}

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.ctx.Done() }

// HangUp closes the connection with a code.
func (c *Conn) HangUp(code uint64) { c.hangUp(code) }

// Say writes frames to the appliance.
func (c *Conn) Say(frames ...wire.Frame) {
	for _, f := range frames {
		b, err := wire.Append(nil, f)
		if err != nil {
			panic(err)
		}
		c.SayBytes(b)
	}
}

// SayBytes writes what need not be frames.
func (c *Conn) SayBytes(b []byte) {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.control.Write(b)
}

// Welcome greets as a hub does.
func (c *Conn) Welcome() { c.WelcomeTo("liar") }

// WelcomeTo greets as a hub with that ledger does.
func (c *Conn) WelcomeTo(ledger string) {
	c.Say(&wire.Welcome{Version: wire.Version, Ledger: ledger, Generation: 1, MaxObjects: 16, MaxBytes: 64 << 20})
}

// Offers waits until n objects were offered; fewer when the connection ends.
func (c *Conn) Offers(n int) []wire.Object {
	for len(c.Offered) < n && c.next() {
	}
	return c.Offered
}

// Want asks for an object's bytes.
func (c *Conn) Want(o wire.Object) { c.Answer(wire.Answer{Number: o.Number, ID: o.ID}) }

// Take asks for an object and reads all its bytes; false when the connection ends.
func (c *Conn) Take(o wire.Object) bool {
	c.Want(o)
	for c.got[o.Number] < o.Length {
		if !c.next() {
			return false
		}
	}
	return true
}

// Answer says one Have.
func (c *Conn) Answer(a wire.Answer) { c.Say(&wire.Have{Answers: []wire.Answer{a}}) }

// Receipt says that objects are durable.
func (c *Conn) Receipt(list ...wire.Object) {
	f := &wire.Receipt{}
	for _, o := range list {
		f.Receipts = append(f.Receipts, wire.Received{ID: o.ID, Length: o.Length})
	}
	c.Say(f)
}

// Archived says that objects are archived.
func (c *Conn) Archived(list ...wire.Object) {
	f := &wire.Archived{}
	for i, o := range list {
		f.Confirmations = append(f.Confirmations, wire.Confirmed{Seq: uint64(i + 1), ID: o.ID, Length: o.Length, At: 1})
	}
	c.Say(f)
}

// Trouble says one problem of an object.
func (c *Conn) Trouble(kind uint8, id wire.ID, seq uint64) {
	c.Say(&wire.Trouble{Problems: []wire.Problem{{Seq: seq, ID: id, Kind: kind, Permanent: true, Words: "no"}}})
}

// Again asks to be offered objects later.
func (c *Conn) Again(reason uint8, millis uint32, list ...wire.Object) {
	f := &wire.Again{Reason: reason, AfterMillis: millis}
	for _, o := range list {
		f.IDs = append(f.IDs, o.ID)
	}
	c.Say(f)
}

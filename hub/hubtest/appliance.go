package hubtest

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"edged/uplink/wire"
)

// Config says who calls which hub and who wants to hear what comes of it.
type Config struct {
	Hub     string      // HOST:PORT
	TLS     *tls.Config // of CA.Client
	Carrier string      // "tcp" (if empty) or "quic"
	Sockets *Sockets    // for QUIC; if nil, a socket of its own

	// KeepAlive is when a connection over QUIC that is idle says something. If zero,
	// 25 s, as package uplink does.
	KeepAlive time.Duration

	// Boot and DataDir tell connections of one appliance from those of a clone. If
	// nil, random: of one connection alone.
	Boot, DataDir []byte

	// What is heard, told by the goroutine that reads the connection: it must not
	// wait for this appliance. Each may be nil.
	Received func(id wire.ID)        // a Receipt
	Archived func(id wire.ID)        // a confirmation; it is acknowledged afterwards
	Trouble  func(p wire.Problem)    // refused by a destination, held, lost
	Lost     func()                  // everything not archived is to be offered again
	Again    func(again *wire.Again) // not now

	sent *atomic.Int64 // of a Fleet: bytes of data sets; nil: nobody counts
}

// ErrRefused is why Send failed when the hub does not accept one of the objects.
var ErrRefused = errors.New("the hub does not accept the object")

// Appliance is one connection to a hub.
type Appliance struct {
	c       Config
	link    link
	frames  *wire.Reader
	welcome *wire.Welcome

	Bytes atomic.Int64 // of data sets sent

	classes [wire.Classes]sync.Mutex // held by a Send

	mu     sync.Mutex // guards what follows
	offers map[uint64]offer
	number map[wire.ID]uint64
	last   uint64
	rests  time.Time // until then nothing but urgent objects

	ended chan struct{} // closed by Run
	err   error         // why, set before
}

// offer is an object of a Send that waits for its Receipt.
type offer struct {
	s *send
	i int
}

// Dial connects and says Hello. The caller calls Run, which reads what the hub says,
// and then Send.
func Dial(ctx context.Context, c Config) (*Appliance, error) {
	if c.KeepAlive == 0 {
		c.KeepAlive = 25 * time.Second
	}
	for _, b := range []*[]byte{&c.Boot, &c.DataDir} {
		if *b == nil {
			*b = make([]byte, 16)
			rand.Read(*b)
		}
	}
	l, err := connect(ctx, &c)
	if err != nil {
		return nil, fmt.Errorf("call the hub: %w", err)
	}
	a := &Appliance{c: c, link: l, frames: wire.NewReader(l), offers: map[uint64]offer{}, number: map[wire.ID]uint64{}, ended: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { l.close(wire.ByeDone) })
	defer stop()
	if err := a.greet(); err != nil {
		l.close(wire.ByeDone)
		return nil, fmt.Errorf("greet the hub: %w", err)
	}
	return a, nil
}

func (a *Appliance) greet() error {
	hello := &wire.Hello{Versions: []uint16{wire.Version}, Boot: a.c.Boot, DataDir: a.c.DataDir, Software: "hubtest"}
	if err := a.say(hello); err != nil {
		return err
	}
	f, err := a.frames.Next()
	if err != nil {
		return err
	}
	switch f := f.(type) {
	case *wire.Welcome:
		a.welcome = f
		return nil
	case *wire.Bye:
		return fmt.Errorf("bye, code %d %s", f.Code, f.Reason)
	}
	return fmt.Errorf("frame %d is no welcome", f.Type())
}

// Ledger names the hub's ledger and its generation.
func (a *Appliance) Ledger() (id string, generation uint64) {
	return a.welcome.Ledger, a.welcome.Generation
}

// Close says goodbye; Run and Send return.
func (a *Appliance) Close() { a.link.close(wire.ByeDone) }

func (a *Appliance) say(frames ...wire.Frame) (err error) {
	var b []byte
	for _, f := range frames {
		if b, err = wire.Append(b, f); err != nil {
			return err
		}
	}
	return a.link.say(b)
}

// errBye is the end that the hub has announced.
type byeError struct{ *wire.Bye }

func (e byeError) Error() string {
	return fmt.Sprintf("the hub says bye, code %d %s", e.Code, e.Reason)
}

// Run takes what the hub says until the connection ends or ctx does, and says why.
func (a *Appliance) Run(ctx context.Context) error {
	defer close(a.ended)
	stop := context.AfterFunc(ctx, a.Close)
	defer stop()
	for a.err == nil {
		var f wire.Frame
		if f, a.err = a.frames.Next(); a.err == nil {
			a.err = a.hear(f)
		}
	}
	a.link.close(wire.ByeDone)
	if ctx.Err() != nil {
		a.err = context.Cause(ctx)
	}
	return a.err
}

// hear takes one frame.
func (a *Appliance) hear(f wire.Frame) error {
	switch f := f.(type) {
	case *wire.Have:
		for _, answer := range f.Answers {
			if !answer.All {
				a.wanted(answer)
			}
		}
	case *wire.Receipt:
		for _, r := range f.Receipts {
			a.received(r)
		}
	case *wire.Archived:
		return a.archived(f)
	case *wire.Trouble:
		return a.troubled(f)
	case *wire.Again:
		a.again(f)
	case *wire.Bye:
		return byeError{f}
	case *wire.Welcome:
		return errors.New("a second welcome")
	}
	return nil
}

func (a *Appliance) wanted(w wire.Answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if o, ok := a.offers[w.Number]; ok {
		o.s.wants = append(o.s.wants, want{o.i, w.Number, w.Offset})
		poke(o.s.more)
	}
}

// end takes an offer out and gives it back; false when there is none.
func (a *Appliance) end(id wire.ID) (offer, bool) {
	n, ok := a.number[id]
	o := a.offers[n]
	if ok {
		delete(a.number, id)
		delete(a.offers, n)
		o.s.flying--
		o.s.bytes -= o.s.objects[o.i].Length
		poke(o.s.more)
	}
	return o, ok
}

func (a *Appliance) received(r wire.Received) {
	a.mu.Lock()
	if n, ok := a.number[r.ID]; ok {
		if o := a.offers[n]; o.s.objects[o.i].Length == r.Length {
			a.end(r.ID)
			o.s.left--
		}
	}
	a.mu.Unlock()
	if a.c.Received != nil {
		a.c.Received(r.ID)
	}
}

func (a *Appliance) archived(f *wire.Archived) error {
	seqs := make([]uint64, len(f.Confirmations))
	for i, c := range f.Confirmations {
		seqs[i] = c.Seq
		if a.c.Archived != nil {
			a.c.Archived(c.ID)
		}
	}
	return a.say(&wire.ArchivedAck{Of: wire.AckArchived, Seqs: seqs})
}

// troubled acknowledges what is of the outbox, offers again what came damaged, and
// gives up what the hub does not accept.
func (a *Appliance) troubled(f *wire.Trouble) error {
	var seqs []uint64
	for _, p := range f.Problems {
		if p.Seq != 0 {
			seqs = append(seqs, p.Seq)
		}
		a.mu.Lock()
		if o, ok := a.end(p.ID); ok && p.Kind == wire.ProblemDigest {
			o.s.again = append(o.s.again, o.i)
		} else if ok {
			o.s.left--
			o.s.refused = fmt.Errorf("%w: %s: %s", ErrRefused, p.ID, p.Words)
		}
		a.mu.Unlock()
		if a.c.Trouble != nil {
			a.c.Trouble(p)
		}
	}
	if len(seqs) == 0 {
		return nil
	}
	return a.say(&wire.ArchivedAck{Of: wire.AckTrouble, Seqs: seqs})
}

func (a *Appliance) again(f *wire.Again) {
	rest := time.Now().Add(time.Duration(f.AfterMillis) * time.Millisecond)
	a.mu.Lock()
	if len(f.IDs) == 0 && f.Reason == wire.AgainBusy {
		a.rests = rest
	}
	for _, id := range f.IDs {
		if o, ok := a.end(id); ok {
			o.s.again, o.s.rests = append(o.s.again, o.i), rest
		}
	}
	a.mu.Unlock()
	if f.Reason == wire.AgainLost && len(f.IDs) == 0 && a.c.Lost != nil {
		a.c.Lost()
	}
	if a.c.Again != nil {
		a.c.Again(f)
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

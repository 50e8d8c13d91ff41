package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

type misbehaveCommand struct {
	To      target        `required:"" placeholder:"AET@HOST:PORT" help:"Who suffers."`
	Calling string        `default:"SIMCT" help:"Calling AE title."`
	For     time.Duration `placeholder:"DURATION" help:"How long to watch the peer at most (default: 90s for half-open, 45s for slow, else 5s)."`
	JSON    bool          `help:"Print the outcome as one JSON object."`
	Manner  string        `arg:"" enum:"abort-mid-object,garbage,http,tls-hello,wrong-called,slow,half-open,interleave" help:"abort-mid-object, garbage, http, tls-hello, wrong-called, slow, half-open or interleave."`
}

// manner is one way to behave badly. do returns how the peer took it, before the deadline.
type manner struct {
	watch time.Duration
	good  []string // what a robust peer does: beginnings of a reaction
	do    func(v *victim, deadline time.Time) (string, error)
}

// victim is a connection to the peer and the names to use on it.
type victim struct {
	net.Conn
	ctx             context.Context
	called, calling string
}

// gone is how a peer ends a connection that it wants no more of.
var gone = []string{"closed", "reset", "A-ABORT"}

const soon = 5 * time.Second

var manners = map[string]manner{
	"abort-mid-object": {soon, []string{"closed", "reset"}, abortMidObject},
	"garbage":          {soon, gone, garbage},
	"http":             {soon, gone, http},
	"tls-hello":        {soon, gone, tlsHello},
	"wrong-called":     {soon, []string{"A-ASSOCIATE-RJ 1/1/7"}, wrongCalled},
	"slow":             {45 * time.Second, gone, slow},
	"half-open":        {90 * time.Second, gone, halfOpen},
	"interleave":       {soon, []string{"A-ABORT"}, interleave},
}

// outcome is what is printed.
type outcome struct {
	Manner   string  `json:"manner"`
	Reaction string  `json:"reaction"`
	Seconds  float64 `json:"seconds"`
	Robust   bool    `json:"robust"`
}

// Run fails unless the peer took it as a robust peer does.
func (c *misbehaveCommand) Run(ctx context.Context) error {
	m := manners[c.Manner]
	if c.For > 0 {
		m.watch = c.For
	}
	o, err := c.misbehave(ctx, m)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Manner, err)
	}
	if c.JSON {
		if err := json.NewEncoder(os.Stdout).Encode(o); err != nil {
			return err
		}
	} else {
		fmt.Printf("%s: the peer's reaction after %.1f s: %s\n", o.Manner, o.Seconds, o.Reaction)
	}
	if !o.Robust {
		return fmt.Errorf("%s: want %s, got %s", c.Manner, strings.Join(m.good, " or "), o.Reaction)
	}
	return nil
}

func (c *misbehaveCommand) misbehave(ctx context.Context, m manner) (outcome, error) {
	start := time.Now()
	deadline := start.Add(m.watch)
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.To.Address)
	if err != nil {
		return outcome{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })()
	conn.SetDeadline(deadline)
	got, err := m.do(&victim{conn, ctx, c.To.AET, c.Calling}, deadline)
	if err != nil {
		got = ending(err, 0)
	}
	return outcome{Manner: c.Manner, Reaction: got, Seconds: time.Since(start).Seconds(), Robust: begins(got, m.good)}, nil
}

func begins(got string, good []string) bool {
	for _, g := range good {
		if strings.HasPrefix(got, g) {
			return true
		}
	}
	return false
}

// associate gets an association or says what came instead.
func (v *victim) associate(deadline time.Time) error {
	if _, err := v.Write(associateRQ(v.called, v.calling)); err != nil {
		return err
	}
	if got := reaction(v, deadline); got != "A-ASSOCIATE-AC" {
		return fmt.Errorf("no association: %s", got)
	}
	return nil
}

// say writes and names the reaction.
func (v *victim) say(deadline time.Time, b []byte) (string, error) {
	if _, err := v.Write(b); err != nil {
		return "", err
	}
	return reaction(v, deadline), nil
}

const victimInstance = "2.25.4242"

// startObject associates and sends a C-STORE request and the first n bytes of its data set.
func (v *victim) startObject(deadline time.Time, n int) error {
	if err := v.associate(deadline); err != nil {
		return err
	}
	b := pdv(true, true, storeRQ(1, victimInstance))
	for range n / chunk {
		b = append(b, pdv(false, false, make([]byte, chunk))...)
	}
	_, err := v.Write(b)
	return err
}

const chunk = 8 << 10

func abortMidObject(v *victim, deadline time.Time) (string, error) {
	if err := v.startObject(deadline, 256<<10); err != nil {
		return "", err
	}
	return v.say(deadline, abortPDU)
}

func garbage(v *victim, deadline time.Time) (string, error) {
	b := make([]byte, 4<<10)
	rand.Read(b)
	b[0] |= 0x80 // no PDU type begins so
	return v.say(deadline, b)
}

func http(v *victim, deadline time.Time) (string, error) {
	return v.say(deadline, []byte("GET / HTTP/1.1\r\nHost: dicom\r\nUser-Agent: modsim\r\n\r\n"))
}

// tlsHello says what a TLS client says first and reads what comes as DICOM.
func tlsHello(v *victim, deadline time.Time) (string, error) {
	hello := tls.Client(deaf{v.Conn}, &tls.Config{ServerName: "dicom.invalid"})
	if err := hello.HandshakeContext(v.ctx); !errors.Is(err, errDeaf) {
		return "", err
	}
	return reaction(v, deadline), nil
}

// deaf is a connection that can only be written.
type deaf struct{ net.Conn }

var errDeaf = errors.New("not listening")

func (deaf) Read([]byte) (int, error) { return 0, errDeaf }

func wrongCalled(v *victim, deadline time.Time) (string, error) {
	return v.say(deadline, associateRQ("NESSUNO", v.calling))
}

// slow sends an association request a byte at a time, so that a time-out that
// only watches for silence never ends (PS3.8 §9.1.5: ARTIM runs regardless).
func slow(v *victim, deadline time.Time) (string, error) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for _, b := range associateRQ(v.called, v.calling) {
		if _, err := v.Write([]byte{b}); err != nil {
			return "", err
		}
		select {
		case <-tick.C:
		case <-v.ctx.Done():
			return "silence", nil
		}
	}
	return reaction(v, deadline), nil
}

// halfOpen falls silent in the middle of an object, as after a pulled cable.
func halfOpen(v *victim, deadline time.Time) (string, error) {
	if err := v.startObject(deadline, 64<<10); err != nil {
		return "", err
	}
	return reaction(v, deadline), nil
}

// interleave begins a second message inside the first, which PS3.8 §E forbids.
func interleave(v *victim, deadline time.Time) (string, error) {
	if err := v.startObject(deadline, 16<<10); err != nil {
		return "", err
	}
	return v.say(deadline, pdv(true, true, storeRQ(2, victimInstance+".2")))
}

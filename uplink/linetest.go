package uplink

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"edged/uplink/wire"
)

// LineTest is what TestLine found, for people who ask why it is slow.
type LineTest struct {
	Hub        string        `json:"hub"`                    // HOST:PORT of the node
	Seconds    float64       `json:"seconds"`                // that the test took
	CapBits    int64         `json:"cap_bits_per_second"`    // on the wire, in force at its beginning; 0: unlimited
	BesideBits int64         `json:"beside_bits_per_second"` // on the wire, of objects that were sent meanwhile
	UDPOpen    *bool         `json:"udp_open"`               // null: nobody answered, or nobody was asked past a proxy
	Carriers   []LineCarrier `json:"carriers"`               // quic, then tcp; tcp alone through a proxy
}

// LineCarrier is what one carrier did, alone on the line but for the objects.
type LineCarrier struct {
	Name        string  `json:"name"`                    // quic or tcp
	HandshakeMS float64 `json:"handshake_ms"`            // from the first packet to both proofs; 0: there was none
	GoodputBits int64   `json:"goodput_bits_per_second"` // of padding that the hub says it got
	Bytes       int64   `json:"bytes"`                   // of it
	RTTMS       float64 `json:"rtt_ms"`                  // smoothed, at the end, on the full line
	MinRTTMS    float64 `json:"min_rtt_ms"`              // the least
	Sent        uint64  `json:"packets_sent"`            // packets, or segments and those sent again
	Lost        uint64  `json:"packets_lost"`            // lost, or sent again
	MTU         int     `json:"mtu"`                     // the largest IP packet known to pass; 0: not known
	Congestion  string  `json:"congestion,omitempty"`    // the algorithm
	Error       string  `json:"error,omitempty"`         // why there are no figures, or only these

	wire int64 // bytes taken from the bucket
}

const (
	testFor   = 10 * time.Second        // all of it
	probeFor  = 5 * time.Second         // on one carrier
	shakeFor  = 2500 * time.Millisecond // a handshake, less when there is no time for so much
	drainFor  = 500 * time.Millisecond  // for the answers after the last Probe
	answerFor = 2 * time.Second         // for the first Probe to be answered
)

var (
	errTesting = errors.New("the line is being tested already: wait until that is done")
	errNoEcho  = errors.New("the hub does not answer probes: it is older than this appliance")
)

// PausedError refuses a line test: it would send.
type PausedError struct{ Until time.Time }

// Error implements error.
func (e *PausedError) Error() string {
	return "sending is paused until " + e.Until.UTC().Format("2006-01-02 15:04 MST") + ": the test would send"
}

// TestLine measures the line to the node in use, else to the first that answers:
// about 10 s of padding within the cap, on connections of its own, beside the
// objects. There is one test at a time, and none while sending is paused. What a
// carrier could not do is in the result; an error means that there is none.
func (u *Uplink) TestLine(ctx context.Context) (LineTest, error) {
	if len(u.c.Hubs) == 0 {
		return LineTest{}, errors.New("there is no line to test: no hub is configured")
	}
	if !u.testing.CompareAndSwap(false, true) {
		return LineTest{}, errTesting
	}
	defer u.testing.Store(false)
	capBits, _, paused, before := u.shape.all.inForce()
	if !paused.IsZero() {
		return LineTest{}, &PausedError{paused}
	}
	began := time.Now()
	t := u.testNodes(ctx, began.Add(testFor))
	if err := ctx.Err(); err != nil {
		return LineTest{}, err
	}
	t.Seconds, t.CapBits = time.Since(began).Seconds(), capBits
	_, _, _, after := u.shape.all.inForce()
	t.BesideBits = max(0, int64(float64(8*(after-before-t.onWire()))/t.Seconds))
	return t, nil
}

// testNodes tries the nodes until one answers on some carrier.
func (u *Uplink) testNodes(ctx context.Context, end time.Time) (t LineTest) {
	hubs := u.c.Hubs
	if s := u.Status(); s.Connected {
		hubs = []string{s.Hub}
	}
	for i, hub := range hubs {
		shake := min(shakeFor, time.Until(end)/time.Duration(len(u.tested())*(len(hubs)-i)))
		if t = u.testNode(ctx, hub, shake, end); t.answered() || ctx.Err() != nil {
			return t
		}
	}
	return t
}

// tested are the carriers that are tested: all, whatever is configured, but nothing
// goes past a proxy.
func (u *Uplink) tested() []string {
	if u.c.Proxy != "" {
		return []string{carrierTCP}
	}
	return carriers
}

// answered reports whether a carrier got through.
func (t LineTest) answered() bool {
	return slices.ContainsFunc(t.Carriers, func(c LineCarrier) bool { return c.HandshakeMS > 0 })
}

// testNode tests one carrier after the other, so that each has the line.
func (u *Uplink) testNode(ctx context.Context, hub string, shake time.Duration, end time.Time) LineTest {
	t := LineTest{Hub: hub}
	names := u.tested()
	for i, name := range names {
		slot := min(time.Until(end)/time.Duration(len(names)-i), shake+probeFor+drainFor)
		t.Carriers = append(t.Carriers, u.testCarrier(ctx, name, hub, shake, time.Now().Add(slot)))
	}
	if first := t.Carriers[0]; first.Name == carrierQUIC && t.answered() {
		open := first.HandshakeMS > 0
		t.UDPOpen = &open
	}
	return t
}

// onWire is what the test took from the bucket.
func (t LineTest) onWire() (n int64) {
	for _, c := range t.Carriers {
		n += c.wire
	}
	return n
}

// testCarrier connects and probes until end.
func (u *Uplink) testCarrier(ctx context.Context, name, hub string, shake time.Duration, end time.Time) LineCarrier {
	c := LineCarrier{Name: name}
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	began := time.Now()
	shaking, done := context.WithTimeout(ctx, shake)
	defer done()
	conn, err := u.dial(shaking, name, hub)
	if err != nil {
		c.Error = err.Error()
		return c
	}
	c.HandshakeMS = milliseconds(time.Since(began))
	p := &prober{lane: newLane(u, hub, conn), news: make(chan struct{}, 1), over: make(chan struct{})}
	if err := p.run(ctx, end); err != nil {
		c.Error = err.Error()
	}
	c.take(p)
	return c
}

// take notes what was measured.
func (c *LineCarrier) take(p *prober) {
	s := p.stats
	c.RTTMS, c.MinRTTMS, c.Sent, c.Lost, c.MTU, c.Congestion = milliseconds(s.RTT), milliseconds(s.MinRTT), s.Sent, s.Lost, s.MTU, s.Congestion
	c.Bytes, c.wire = p.echoed, p.wire
	if took := p.at.Sub(p.began); took > 0 && !p.began.IsZero() {
		c.GoodputBits = int64(float64(8*(p.echoed-p.first)) / took.Seconds())
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// prober floods one connection with Probes and hears the answers.
type prober struct {
	*lane
	news chan struct{} // the hub answered
	over chan struct{} // closed when it will not any more
	// owned by run
	sent   int64     // bytes of padding
	wire   int64     // bytes taken from the bucket
	began  time.Time // of the flood
	first  int64     // bytes before it
	buffer []byte
	stats  LineStats

	hearing sync.Mutex // guards what follows
	limit   int64      // no more can have come
	echoed  int64
	number  uint64
	at      time.Time // of the last answer
	err     error     // why there will be none
}

// run greets, sees whether Probes are answered at all, then floods.
func (p *prober) run(ctx context.Context, end time.Time) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer p.conn.Close(0, "")
	defer context.AfterFunc(ctx, func() { p.conn.Close(0, "") })()
	if err := p.greet(ctx); err != nil {
		return fmt.Errorf("greet: %w", err)
	}
	wg.Go(p.listen)
	out, err := p.conn.Open(ctx, wire.Routine)
	if err != nil {
		return err
	}
	if err := p.probe(out, 1, 1<<10); err != nil {
		return err
	}
	if !p.wait(ctx, 1, answerFor) {
		return p.why(errNoEcho)
	}
	return p.flood(ctx, out, end.Add(-drainFor))
}

// flood sends as fast as bucket and line allow.
func (p *prober) flood(ctx context.Context, out puts, end time.Time) error {
	p.began, p.first = time.Now(), p.sent
	if most := p.began.Add(probeFor); end.After(most) {
		end = most
	}
	sending, stop := context.WithDeadline(ctx, end)
	defer stop()
	number := uint64(1)
	for sending.Err() == nil {
		n, err := p.u.shape.all.take(sending, take{class: wire.Routine, want: wire.MaxBody, overhead: overheadOf(p.conn)})
		if err != nil {
			break // it is time
		}
		number++
		p.wire += int64(math.Ceil(float64(n+frameHead) * overheadOf(p.conn))) // as serve counts
		if err := p.probe(out, number, n); err != nil {
			if ctx.Err() != nil {
				break // what has come so far counts
			}
			return p.why(err)
		}
	}
	if p.wait(ctx, number, drainFor) {
		p.stats = p.conn.Stats()
	}
	return p.why(nil)
}

// probe sends n bytes of padding.
func (p *prober) probe(out puts, number uint64, n int) error {
	p.sent += int64(n)
	p.hearing.Lock()
	p.limit = p.sent + maxAlive
	p.hearing.Unlock()
	b, err := wire.Append(p.buffer[:0], &wire.Probe{Number: number, Body: padding[:n]})
	if err != nil {
		return err
	}
	p.buffer = b
	err = out.Put(b)
	if s := p.conn.Stats(); s.Sent >= p.stats.Sent { // not of a connection that is gone
		p.stats = s
	}
	return err
}

// maxAlive bounds what alive sends beside.
const maxAlive = 64

// padding is nothing; TLS makes it look like something.
var padding [wire.MaxBody]byte

// listen takes answers until the connection ends. All else that the hub says here
// it says on the lanes too: what is not acknowledged is repeated.
func (p *prober) listen() {
	defer close(p.over)
	for {
		f, err := p.frames.Next()
		if err == nil {
			if echo, ok := f.(*wire.Echo); ok {
				err = p.hear(echo)
			}
		}
		if err != nil {
			p.hearing.Lock()
			p.err = err
			p.hearing.Unlock()
			return
		}
	}
}

// hear believes no more than was sent.
func (p *prober) hear(e *wire.Echo) error {
	p.hearing.Lock()
	defer p.hearing.Unlock()
	if e.Bytes > p.limit || e.Bytes < p.echoed {
		return p.lie("an echo of %d bytes after %d of %d", e.Bytes, p.echoed, p.limit)
	}
	p.echoed, p.number, p.at = e.Bytes, e.Number, time.Now()
	poke(p.news)
	return nil
}

// wait waits for the answer to a Probe, and reports whether it came.
func (p *prober) wait(ctx context.Context, number uint64, most time.Duration) bool {
	t := time.NewTimer(most)
	defer t.Stop()
	for {
		p.hearing.Lock()
		there := p.number >= number
		p.hearing.Unlock()
		if there {
			return true
		}
		select {
		case <-p.news:
		case <-p.over:
			return false
		case <-ctx.Done():
			return false
		case <-t.C:
			return false
		}
	}
}

// why is what the hub said or did, else other.
func (p *prober) why(other error) error {
	p.hearing.Lock()
	defer p.hearing.Unlock()
	if p.err != nil {
		return p.err
	}
	return other
}

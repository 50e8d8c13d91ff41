package uplink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"edged/internal/dicom"
	"edged/uplink/wire"
)

// Why a lane ends, besides what the transport says.
var (
	errProtocol    = errors.New("the hub broke the protocol")
	errNotBelieved = errors.New("the hub said what cannot be true: either it is broken or you are under attack")
	errMismatch    = errors.New("nothing can be left with this node of the hub")
	errStalled     = errors.New("the hub owes an answer for too long")
)

// code is what the hub is told when the connection is closed, see doc.go.
func code(err error) uint64 {
	switch {
	case err == nil || errors.Is(err, context.Canceled) || errors.Is(err, errCarried):
		return 0
	case errors.Is(err, errNotBelieved):
		return 5
	case errors.Is(err, errProtocol) || errors.Is(err, wire.ErrMalformed):
		return 1
	}
	return 3
}

// farewell is code, but for an end of Run that was asked for: whatever the cause
// of its context says, the hub has not to do with it.
func farewell(asked context.Context, err error) uint64 {
	if asked.Err() != nil {
		return 0
	}
	return code(err)
}

const (
	welcomeWait = 10 * time.Second // from the handshake to Welcome
	writeWait   = 2 * time.Minute  // for the hub to take one chunk
)

// lane is one connection to the hub and what is in flight on it.
type lane struct {
	u      *Uplink
	addr   string
	conn   carrier
	frames *wire.Reader
	ledger Ledger

	maxObjects int
	maxBytes   int64

	mu      sync.Mutex // guards what follows
	flights map[dicom.ID]*flight
	numbers map[uint64]*flight
	last    uint64         // number of the last offer
	urgent  window         // of urgent objects
	bulk    window         // of all others
	routine window         // of these, routine
	widen   func()         // ends a Lease for urgent objects only
	relook  func()         // ends a Lease that waits, so that waitForRoom decides anew
	asks    bool           // a Lease for whatever there is waits
	asked   uint8          // the worst that a Lease waits for
	quiet   time.Time      // the hub is full: lease nothing but urgent objects before
	short   time.Time      // it has too many offers: few at once before
	offers  wire.Offer     // not yet written
	found   []wire.Finding // of these; written before them
	credit  int            // bytes of offers that fund has paid for
	prepaid int            // of offers that are not written yet
	says    []wire.Frame
	acks    int                     // what the acknowledgements among them weigh
	queues  [wire.Classes][]*flight // wanted by the hub, or to be verified

	parked  chan struct{} // closed when the lane may work again; nil: it may
	limits  limits        // of bulk, see resize
	resized resized

	welcomed func(*lane)
	sent     atomic.Int64  // data set bytes given to the carrier
	carried  *atomic.Int64 // the same of all lanes of this carrier

	room     chan struct{} // the windows changed
	need     chan struct{} // fund is to take more
	write    chan struct{} // offers or says changed
	wake     [wire.Classes]chan struct{}
	news     chan wire.Frame // Receipt, Archived, Trouble, Again: for the Keeper
	bulkGate *gate
	told     told
}

// window counts what is in flight.
type window struct {
	objects int
	bytes   int64
}

// flight is one leased object until its end. lane.mu guards it.
type flight struct {
	Object
	number uint64
	state  state
	offset int64     // from which the hub wants bytes
	since  time.Time // of state
	void   bool      // its receipt counts no more, see lostAtHub
}

// state says what the hub may say about a flight.
type state uint8

const (
	offered   state = iota // Have
	wanted                 // nothing but Again: bytes are queued or being sent
	sent                   // Receipt, Trouble of kind digest, Again
	needless               // Receipt
	receipted              // nothing: the Keeper is being told
	checking               // nothing: the copy here is being read again
	ended                  // no longer in flight
)

// pagesBehind is how far the Keeper may be behind before the hub is made to wait.
const pagesBehind = 16

func newLane(u *Uplink, addr string, conn carrier) *lane {
	l := &lane{
		u: u, addr: addr, conn: conn,
		flights:  map[dicom.ID]*flight{},
		numbers:  map[uint64]*flight{},
		room:     make(chan struct{}, 1),
		need:     make(chan struct{}, 1),
		write:    make(chan struct{}, 1),
		news:     make(chan wire.Frame, pagesBehind),
		bulkGate: &gate{line: u.shape.all},
		told:     newTold(),
	}
	l.carried = u.counter(conn.Name())
	for i := range l.wake {
		l.wake[i] = make(chan struct{}, 1)
	}
	return l
}

// poke wakes whoever waits on c; one token is enough.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run greets and then works until the first of its parts ends.
func (l *lane) run(ctx context.Context) error {
	if err := l.greet(ctx); err != nil {
		return fmt.Errorf("greet %s: %w", l.addr, err)
	}
	if err := l.u.c.Keeper.Meet(ctx, l.ledger, false); err != nil {
		return fmt.Errorf("note the hub's ledger: %w", err)
	}
	l.welcomed(l)
	parts := []func(context.Context) error{l.readControl, l.writeControl, l.keep, l.lease, l.fund, l.tell}
	for class := range uint8(wire.Classes) {
		parts = append(parts, func(ctx context.Context) error { return l.sendClass(ctx, class) })
	}
	asked := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { l.conn.Close(farewell(asked, context.Cause(ctx)), "") })
	defer stop()
	var wg sync.WaitGroup
	for _, part := range parts {
		wg.Go(func() { cancel(part(ctx)) })
	}
	wg.Wait()
	return context.Cause(ctx)
}

// greet says Hello and waits for Welcome.
func (l *lane) greet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, welcomeWait)
	defer cancel()
	defer context.AfterFunc(ctx, func() { l.conn.Close(0, "") })()
	l.frames = wire.NewReader(l.conn.Control())
	if err := l.say(&wire.Hello{Versions: []uint16{wire.Version}, Boot: l.u.c.BootID, DataDir: l.u.c.DataDirID, Software: l.u.c.Software}); err != nil {
		return err
	}
	f, err := l.frames.Next()
	if err != nil {
		return err
	}
	w, ok := f.(*wire.Welcome)
	if !ok || w.Version != wire.Version || w.MaxObjects == 0 || w.MaxBytes <= 0 || w.Ledger == "" || len(w.Ledger) > 64 {
		return fmt.Errorf("%w: no usable welcome", errProtocol)
	}
	l.ledger = Ledger{ID: w.Ledger, Generation: w.Generation}
	l.maxObjects = int(min(int64(w.MaxObjects), int64(l.u.c.MaxObjects)))
	l.maxBytes = min(w.MaxBytes, l.u.c.MaxBytes)
	l.limits = limits{min(l.maxObjects, firstObjects), min(l.maxBytes, firstBytes)}
	return nil
}

// say writes control frames; only greet and writeControl do.
func (l *lane) say(frames ...wire.Frame) (err error) {
	var b []byte
	for _, f := range frames {
		if b, err = wire.Append(b, f); err != nil {
			return err
		}
	}
	l.settle(len(b))
	return l.conn.Say(b)
}

func (l *lane) inFlight() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.flights)
}

// returnAll gives every lease back when the connection has ended.
func (l *lane) returnAll() {
	l.mu.Lock()
	var all []Object
	for _, f := range l.flights {
		f.state = ended
		all = append(all, f.Object)
	}
	clear(l.flights)
	l.mu.Unlock()
	for _, o := range all {
		l.u.c.Source.Return(o, ErrLost)
	}
}

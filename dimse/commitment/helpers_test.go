package commitment

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edged/dimse"
)

const (
	ct       = "1.2.840.10008.5.1.4.1.1.2"
	ourTitle = "EDGED"
)

// shelf is a Store in memory. It keeps packed transactions, as a real one does.
type shelf struct {
	mu   sync.Mutex
	kept map[string][]byte
	puts int
	fail error // of Put
	lazy error // of Drop
}

func newShelf() *shelf { return &shelf{kept: map[string][]byte{}} }

func (s *shelf) Put(_ context.Context, t Transaction) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail == nil {
		s.kept[t.Key()] = t.Append(nil)
		s.puts++
	}
	return s.fail
}

func (s *shelf) Drop(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lazy == nil {
		delete(s.kept, key)
	}
	return s.lazy
}

func (s *shelf) All(context.Context) (all []Transaction, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.kept {
		t, err := Parse(b)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

func (s *shelf) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.kept)
}

// pipes is a network of one host.
type pipes struct {
	conns  chan net.Conn // unbuffered: Accept takes what dial gives
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

func (l *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (l *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.closed:
		return nil, errors.New("connection refused")
	}
}

// report is a result as a device heard it.
type report struct {
	dimse.CommitmentResult
	calling string // who said so
	alone   bool   // on an association that only reports go over
	after   time.Duration
}

// device is a modality: it asks, and hears on an association of its own or on one
// that is opened to it.
type device struct {
	t     *testing.T
	title string
	start time.Time

	mu      sync.Mutex
	at      *pipes         // where it listens
	answers []dimse.Status // to the next reports; then success
	heard   []report
	talks   []dimse.Negotiation
}

func (d *device) CommitmentReported(_ context.Context, a *dimse.Association, r dimse.CommitmentResult) dimse.Answer {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := a.Peer()
	d.heard = append(d.heard, report{r, p.Calling, p.Called == d.title, time.Since(d.start)})
	if len(d.answers) == 0 {
		return dimse.Answer{}
	}
	status := d.answers[0]
	d.answers = d.answers[1:]
	return dimse.Answer{Status: status}
}

func (d *device) Refused(dimse.Peer, dimse.Reject, dimse.Negotiation) {}
func (d *device) Closed(*dimse.Association, error)                    {}
func (d *device) Opened(a *dimse.Association) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.talks = append(d.talks, a.Negotiation())
}

func (d *device) Echo(context.Context, *dimse.Association) dimse.Status { return dimse.StatusSuccess }
func (d *device) Store(context.Context, *dimse.Association, dimse.StoreRequest, io.Reader) dimse.Status {
	return dimse.StatusSOPClassNotSupported
}

func (d *device) reports() []report {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.heard)
}

// world is an appliance with an engine and its devices, in virtual time.
type world struct {
	t       *testing.T
	cfg     Config
	engine  *Engine
	at      *pipes // where the appliance listens
	devices map[string]*device
	stop    func()

	mu       sync.Mutex
	verdicts map[string]Verdict // by instance; not there: unknown
	judged   int
	gone     []Transaction // given up
}

// inWorld runs f with an appliance that runs; f may change cfg in setup.
func inWorld(t *testing.T, setup func(*world), f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, devices: map[string]*device{}, verdicts: map[string]Verdict{}}
		w.cfg = Config{Store: newShelf(), Judge: w.judge, Reach: w.reach, GivenUp: w.giveUp}
		if setup != nil {
			setup(w)
		}
		w.run()
		defer func() { w.stop() }()
		f(t, w)
	})
}

// run starts an engine and a server; stop ends both.
func (w *world) run() {
	var err error
	if w.engine, err = New(w.cfg); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.engine.Run(ctx) }()
	synctest.Wait() // it has read its Store
	at, stopServer := serve(w.t, dimse.ServerConfig{Handler: &device{}, Commitment: w.engine, Observer: greeter{&device{}, w.engine}})
	w.at = at
	stopped := false
	w.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
		stopServer()
	}
}

// greeter tells the engine of associations.
type greeter struct {
	*device
	engine *Engine
}

func (g greeter) Opened(a *dimse.Association) { g.engine.Opened(a) }

func (w *world) restart() { w.stop(); w.run() }

func serve(t *testing.T, cfg dimse.ServerConfig) (at *pipes, stop func()) {
	cfg.ImplementationClassUID, cfg.ImplementationVersion = "2.25.1", "TEST"
	s, err := dimse.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	at = newPipes()
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(at) }()
	return at, func() { s.Close(); <-ended }
}

func (w *world) giveUp(t Transaction, _ error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone = append(w.gone, t)
}

func (w *world) givenUp() []Transaction {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.gone)
}

func (w *world) judge(_ context.Context, _, _ string, refs []dimse.Reference) (out []Verdict) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.judged++
	for _, r := range refs {
		v, known := w.verdicts[r.SOPInstanceUID]
		if !known {
			v = Failed(dimse.FailureNoSuchInstance)
		}
		out = append(out, v)
	}
	return out
}

func (w *world) say(v Verdict, uids ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, uid := range uids {
		w.verdicts[uid] = v
	}
}

func (w *world) reach(calling string) (dimse.ClientConfig, bool) {
	w.mu.Lock()
	d := w.devices[calling]
	w.mu.Unlock()
	if d == nil {
		return dimse.ClientConfig{}, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return dimse.ClientConfig{Address: calling, DialContext: d.at.dial, ImplementationClassUID: "2.25.1", ImplementationVersion: "TEST"}, true
}

// device adds a device that listens, from now on.
func (w *world) device(title string) *device {
	d := &device{t: w.t, title: title, start: time.Now()}
	d.listen()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.devices[title] = d
	return d
}

func (d *device) listen() {
	at, stop := serve(d.t, dimse.ServerConfig{Handler: d, CommitmentSCU: d, Observer: d})
	d.move(at)
	d.t.Cleanup(stop)
}

// move makes it be reached elsewhere.
func (d *device) move(at *pipes) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = at
}

// open makes an association of the device's own.
func (w *world) open(d *device, called string) *dimse.Client {
	w.t.Helper()
	c, err := dimse.Dial(w.t.Context(), dimse.ClientConfig{
		Address: "edged", DialContext: w.at.dial, Called: called, Calling: d.title,
		ImplementationClassUID: "2.25.2", ImplementationVersion: "DEVICE",
		Contexts: []dimse.Proposal{{AbstractSyntax: dimse.StorageCommitmentPush, TransferSyntaxes: []string{dimse.ImplicitVRLE}}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// ask sends a request on an association of its own and leaves.
func (w *world) ask(d *device, called, transaction string, uids ...string) dimse.Status {
	w.t.Helper()
	c := w.open(d, called)
	rsp, err := c.RequestCommitment(w.t.Context(), dimse.CommitmentRequest{TransactionUID: transaction, References: refs(uids...)})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := c.Release(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return rsp.Status
}

func refs(uids ...string) (out []dimse.Reference) {
	for _, uid := range uids {
		out = append(out, dimse.Reference{SOPClassUID: ct, SOPInstanceUID: uid})
	}
	return out
}

func failures(reason uint16, uids ...string) (out []dimse.FailedReference) {
	for _, r := range refs(uids...) {
		out = append(out, dimse.FailedReference{Reference: r, Reason: reason})
	}
	return out
}

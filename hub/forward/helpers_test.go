package forward

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"edged/dimse"
	"edged/hub"
	"edged/hub/ledger"
	"edged/hub/objects"
	"edged/internal/dicom"
	"edged/internal/synth"
)

// bench is a real ledger and a real object store with received objects.
type bench struct {
	*testing.T
	ledger *ledger.Ledger
	config ledger.Config
	store  *objects.Store
	dir    string
	data   map[hub.ID][]byte // data sets as they came in
	study  map[hub.ID]string
	first  hub.ID                       // received
	open   func(hub.ID) (Object, error) // in place of store.Open
	uids   []string
	log    *slog.Logger

	forwarder *Forwarder // of the run under way

	jobs   Jobs          // in place of ledger
	lease  time.Duration // Config.Lease
	object Backoff       // Config.Object, 10 to 100 ms if zero
	record Backoff       // Config.Record, 10 to 100 ms if zero

	said    *logged // what the log says
	reports string  // where archives report, "" nowhere
	commit  Backoff // how long they may take
}

func newBench(t *testing.T, destinations ...string) *bench {
	t.Helper()
	b := &bench{T: t, dir: t.TempDir(), data: map[hub.ID][]byte{}, study: map[hub.ID]string{}}
	said := &logged{}
	b.said = said
	b.log = slog.New(slog.NewTextHandler(io.MultiWriter(t.Output(), said), nil))
	t.Cleanup(func() { said.check(b) })
	var ds []ledger.Destination
	for _, d := range destinations {
		ds = append(ds, ledger.Destination{Name: d, Required: true})
	}
	b.config = ledger.Config{Path: filepath.Join(b.dir, "ledger.db"), Destinations: ds}
	var err error
	if b.ledger, err = ledger.Open(t.Context(), b.config); err != nil {
		t.Fatal(err)
	}
	if b.store, err = objects.Open(objects.Config{Dir: filepath.Join(b.dir, "objects"), Logger: b.log}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.store.Close(); err != nil {
			t.Error(err)
		}
		if err := b.ledger.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// reopenLedger is a restart of the hub.
func (b *bench) reopenLedger() {
	b.Helper()
	if err := b.ledger.Close(); err != nil {
		b.Fatal(err)
	}
	var err error
	if b.ledger, err = ledger.Open(b.Context(), b.config); err != nil {
		b.Fatal(err)
	}
	if err := b.ledger.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// receive puts instances into store and ledger as hub/receive does.
func (b *bench) receive(instances ...synth.Instance) {
	b.Helper()
	var list []arrival
	for _, in := range instances {
		r, length := in.Open()
		data, err := io.ReadAll(r)
		if err != nil {
			b.Fatal(err)
		}
		list = append(list, arrival{hub.Object{Names: in.Names, Length: length, Study: in.Study, Priority: 1, Device: "d", Calling: in.Calling}, data})
	}
	b.receiveAll(list)
}

func (b *bench) receiveBytes(o hub.Object, data []byte) hub.ID {
	b.Helper()
	list := []arrival{{o, data}}
	b.receiveAll(list)
	return list[0].ID
}

// arrival is an object with its data set.
type arrival struct {
	hub.Object
	data []byte
}

// receiveAll receives so many together as a hub does under load; each has its ID then.
func (b *bench) receiveAll(list []arrival) {
	b.Helper()
	for chunk := range slices.Chunk(list, 50) {
		var claims []*objects.Partial
		var rows []hub.Object
		for i := range chunk {
			o := &chunk[i]
			h := o.Names.NewHash()
			h.Write(o.data)
			h.Sum(o.ID[:0])
			c, err := b.store.Claim(o.Device, o.ID, o.Names, o.Length)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := c.Write(o.data); err != nil {
				b.Fatal(err)
			}
			claims, rows = append(claims, c), append(rows, o.Object)
			if len(b.data) == 0 {
				b.first = o.ID
			}
			b.data[o.ID], b.study[o.ID] = o.data, o.Study
			b.uids = append(b.uids, o.Names.SOPInstance, o.Study)
		}
		for _, err := range b.store.Seal(claims) {
			if err != nil {
				b.Fatal(err)
			}
		}
		if err := b.ledger.Receive(b.Context(), rows); err != nil {
			b.Fatal(err)
		}
		for _, c := range claims {
			c.Recorded()
		}
	}
}

// run forwards until done says so or the time is up, and stops in an orderly way.
func (b *bench) run(done func() bool, destinations ...Destination) *Forwarder {
	b.Helper()
	var jobs Jobs = b.ledger
	if b.jobs != nil {
		jobs = b.jobs
	}
	f := New(Config{
		Jobs: jobs, Destinations: destinations, Logger: b.log,
		Open: func(id hub.ID) (Object, error) {
			if b.open != nil {
				return b.open(id)
			}
			return b.store.Open(id)
		},
		Poll: 20 * time.Millisecond, Lease: b.lease,
		Object: b.object.or(10*time.Millisecond, 100*time.Millisecond), Connect: Backoff{10 * time.Millisecond, 100 * time.Millisecond},
		Record: b.record.or(10*time.Millisecond, 100*time.Millisecond), Commit: b.commit, Listening: b.reports != "",
	})
	b.forwarder = f
	defer b.takeReports(f)()
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	deadline := time.Now().Add(2 * time.Minute)
	for !done() {
		if time.Now().After(deadline) {
			b.Errorf("not done in time: %+v %+v", b.stats(), f.Status())
			break
		}
		wait(ctx, 20*time.Millisecond, nil) // the ledger has other things to do than to count
	}
	cancel()
	if err := <-ended; err != nil {
		b.Error(err)
	}
	return f
}

// takeReports is the hub's DICOM door.
func (b *bench) takeReports(f *Forwarder) (stop func()) {
	b.Helper()
	if b.reports == "" {
		return func() {}
	}
	s, err := dimse.NewServer(dimse.ServerConfig{Handler: &archive{}, CommitmentSCU: f, ImplementationClassUID: "2.25.1", ImplementationVersion: "TEST"})
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", b.reports)
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	return func() {
		s.Close()
		<-ended
	}
}

func (b *bench) stats() ledger.Stats {
	b.Helper()
	s, err := b.ledger.Stats(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func (b *bench) archived(n int) func() bool {
	return func() bool { return b.stats().Archived == int64(n) }
}

// sameDataSet compares what lies in a Part 10 file with what came in (P3).
func (b *bench) sameDataSet(path string, want []byte) {
	b.Helper()
	f, err := os.Open(path)
	if err != nil {
		b.Error(err)
		return
	}
	defer f.Close()
	b.sameStream(path, f, want)
}

func (b *bench) sameStream(name string, file io.Reader, want []byte) {
	b.Helper()
	r := bufio.NewReader(file)
	if _, _, err := dicom.ReadPreface(r); err != nil {
		b.Errorf("%s: %v", name, err)
		return
	}
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, want) {
		b.Errorf("%s: %d bytes, want %d identical ones (%v)", name, len(got), len(want), err)
	}
}

func small() []synth.Instance { return synth.Instances(synth.Studies(7, synth.Small)) }

// archive is a DICOM archive whose answers a test decides.
type archive struct {
	store   func(rq dimse.StoreRequest, data []byte) dimse.Status
	accepts func(p dimse.Peer, class string) bool
	admit   func(dimse.Peer) *dimse.Reject
	raw     func(data io.Reader) dimse.Status // in place of store, to leave off in the middle
	commit  func(*dimse.Association, dimse.CommitmentRequest) dimse.Answer
}

func (a *archive) RequestCommitment(_ context.Context, on *dimse.Association, rq dimse.CommitmentRequest) dimse.Answer {
	return a.commit(on, rq)
}

func (a *archive) Echo(context.Context, *dimse.Association) dimse.Status { return dimse.StatusSuccess }

func (a *archive) Store(_ context.Context, _ *dimse.Association, rq dimse.StoreRequest, data io.Reader) dimse.Status {
	if a.raw != nil {
		return a.raw(data)
	}
	all, err := io.ReadAll(data)
	if err != nil {
		return dimse.StatusProcessingFailure
	}
	return a.store(rq, all)
}

// serve listens on address, which may have port 0, and returns where, and how to stop.
func (a *archive) serve(t *testing.T, address string) (addr string, stop func()) {
	t.Helper()
	c := dimse.ServerConfig{
		Handler: a, Accepts: a.accepts, Admit: a.admit,
		ImplementationClassUID: "2.25.1", ImplementationVersion: "TEST",
	}
	if a.commit != nil {
		c.Commitment = a
	}
	s, err := dimse.NewServer(c)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			s.Close()
			<-ended
		}
	}
	t.Cleanup(stop)
	return l.Addr().String(), stop
}

func cstore(addr string) *CStore {
	return NewCStore(CStoreConfig{Name: "vna", Address: addr, Called: "ARCHIVE", Calling: "HUBD"})
}

// logged is what was said above debug in a test.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Contains(l.text.Bytes(), []byte(text))
}

// check: no UID in it (P10).
func (l *logged) check(b *bench) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, uid := range b.uids {
		if len(uid) > 5 && bytes.Contains(l.text.Bytes(), []byte(uid)) {
			b.Errorf("the log names %s", uid)
		}
	}
}

package events

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"edged/hub"
	"edged/hub/ledger"
	"edged/internal/dicom"
)

// patience bounds every wait.
const patience = time.Minute

// rig is a hub's rows, its copies, and a sink.
type rig struct {
	*testing.T
	ledger *ledger.Ledger
	path   string
	log    bytes.Buffer
	logMu  sync.Mutex

	mu     sync.Mutex // guards what follows
	copies map[hub.ID][]byte
	opened int
}

// Write is the log's.
func (r *rig) Write(b []byte) (int, error) {
	r.logMu.Lock()
	defer r.logMu.Unlock()
	return r.log.Write(b)
}

func newRig(t *testing.T) *rig {
	r := &rig{T: t, path: filepath.Join(t.TempDir(), "ledger.db"), copies: map[hub.ID][]byte{}}
	r.ledger = r.openLedger("a")
	return r
}

func (r *rig) openLedger(node string) *ledger.Ledger {
	r.Helper()
	l, err := ledger.Open(r.Context(), ledger.Config{Path: r.path, Node: node, Destinations: []ledger.Destination{{Name: "vna", Required: true}}})
	r.must(err)
	r.Cleanup(func() { l.Close() })
	r.must(l.Start(r.Context())) // a node that has not is taken for dead
	return l
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// copied is a Part 10 file in memory.
type copied struct {
	*bytes.Reader
	offset int64
}

func (c copied) Close() error      { return nil }
func (c copied) DataOffset() int64 { return c.offset }

func (r *rig) open(id hub.ID) (Object, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opened++
	b, ok := r.copies[id]
	if !ok {
		return nil, fmt.Errorf("object %s: %w", id, fs.ErrNotExist)
	}
	return copied{bytes.NewReader(b), 0}, nil
}

// el is an element in Explicit VR Little Endian.
func el(tag uint32, vr, value string) string {
	if len(value)%2 == 1 {
		value += " "
	}
	b := binary.LittleEndian.AppendUint16(nil, uint16(tag>>16))
	b = binary.LittleEndian.AppendUint16(b, uint16(tag))
	b = append(b, vr...)
	if vr == "SQ" || vr == "UT" || vr == "OW" {
		b = binary.LittleEndian.AppendUint32(append(b, 0, 0), uint32(len(value)))
	} else {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	}
	return string(b) + value
}

func item(elements string) string {
	b := binary.LittleEndian.AppendUint32([]byte{0xFE, 0xFF, 0x00, 0xE0}, uint32(len(elements)))
	return string(b) + elements
}

// header is a data set; each map lies over the one before.
func header(over ...map[uint32]string) string {
	all := map[uint32][2]string{
		0x00080005: {"CS", "ISO_IR 100"}, 0x00080020: {"DA", "20260101"}, 0x00080050: {"SH", "ACC1"}, 0x00080060: {"CS", "CT"}, 0x00080090: {"PN", ""},
		0x00100010: {"PN", "Rossi^Niccol\xf2"}, 0x00100020: {"LO", "ID7"}, 0x00100021: {"LO", "ASL1"}, 0x00100040: {"CS", "M"},
		0x00101002: {"SQ", item(el(0x00100020, "LO", "RSSNCL") + el(0x00100021, "LO", "MEF"))},
		0x0020000D: {"UI", "1.2.3"}, 0x0020000E: {"UI", "1.2.3.1"}, 0x00200013: {"IS", "1"}, 0x00280008: {"IS", "12"}, 0x00280010: {"US", "\x00\x02"},
	}
	for _, o := range over {
		for tag, value := range o {
			all[tag] = [2]string{all[tag][0], value}
			if all[tag][0] == "" {
				all[tag] = [2]string{"LO", value}
			}
		}
	}
	var out string
	for _, tag := range sortedKeys(all) {
		out += el(tag, all[tag][0], all[tag][1])
	}
	return out + el(0x7FE00010, "OW", "pixels")
}

func sortedKeys(m map[uint32][2]string) []uint32 {
	var keys []uint32
	for k := range m {
		keys = append(keys, k)
	}
	for i := range keys {
		for k := i; k > 0 && keys[k] < keys[k-1]; k-- {
			keys[k], keys[k-1] = keys[k-1], keys[k]
		}
	}
	return keys
}

// receive makes an instance one that the hub has from an appliance.
func (r *rig) receive(device, study string, n int, dataSet string) hub.Object {
	r.Helper()
	o := r.instance(device, study, n, dataSet)
	r.must(r.ledger.Receive(r.Context(), []hub.Object{o}))
	return o
}

func (r *rig) instance(device, study string, n int, dataSet string) hub.Object {
	o := hub.Object{Device: device, Study: study, Length: int64(len(dataSet)), Modality: "CT", Priority: 1,
		Names: dicom.Names{TransferSyntax: dicom.ExplicitVRLittleEndian, SOPClass: "1.2.840.10008.5.1.4.1.1.2", SOPInstance: fmt.Sprintf("1.2.3.9.%d", n)}}
	h := o.Names.NewHash()
	io.WriteString(h, dataSet)
	h.Sum(o.ID[:0])
	r.mu.Lock()
	defer r.mu.Unlock()
	r.copies[o.ID] = []byte(dataSet)
	return o
}

func (r *rig) archive() {
	r.Helper()
	r.must(r.ledger.Start(r.Context()))
	for {
		jobs, err := r.ledger.Lease(r.Context(), "vna", 500, time.Minute)
		r.must(err)
		if len(jobs) == 0 {
			return
		}
		for _, j := range jobs {
			r.must(r.ledger.Done(r.Context(), j, ""))
		}
	}
}

func (r *rig) say(device, study string, revision, count uint32) {
	r.Helper()
	r.must(r.ledger.SayStudy(r.Context(), device, study, revision, revision == 1, count, ""))
}

// config is impatient.
func (r *rig) config(sinks ...Sink) Config {
	return Config{Ledger: r.ledger, Open: r.open, Sinks: sinks, Poll: 5 * time.Millisecond, Backoff: Backoff{time.Millisecond, 20 * time.Millisecond}, Reach: Backoff{time.Millisecond, 20 * time.Millisecond},
		Rules: ledger.EventRules{Look: time.Millisecond, Late: 50 * time.Millisecond}, Logger: slog.New(slog.NewTextHandler(r, &slog.HandlerOptions{Level: slog.LevelDebug}))}
}

// run runs until the test ends or stop is called.
func (r *rig) run(c Config) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := New(c).Run(ctx); err != nil {
			r.Error(err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	r.Cleanup(stop)
	return stop
}

// memory is a sink that keeps what it is told.
type memory struct {
	mu    sync.Mutex
	got   [][]byte
	err   func(Message) error // before it takes one
	after func(Message) error // when it has taken one
}

func (m *memory) Name() string { return "memory" }
func (m *memory) Workers() int { return 2 }

func (m *memory) Send(_ context.Context, msg Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		if err := m.err(msg); err != nil {
			return err
		}
	}
	r, err := gzip.NewReader(bytes.NewReader(msg.Packed))
	if err != nil {
		return err
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m.got = append(m.got, b)
	if m.after != nil {
		return m.after(msg)
	}
	return nil
}

// wait waits for so many events and returns them.
func (m *memory) wait(t *testing.T, n int) (out []event) {
	t.Helper()
	m.until(t, func() bool { return len(m.got) >= n })
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.got) != n {
		t.Fatalf("%d events, want %d", len(m.got), n)
	}
	for _, b := range m.got {
		out = append(out, parse(t, b))
	}
	return out
}

func (m *memory) until(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		m.mu.Lock()
		done := ok()
		m.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d events so far", len(m.got))
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// event is what a receiver reads.
type event struct {
	head
	Series []struct {
		UID        string `json:"series_instance_uid"`
		Modality   string
		Objects    []instance
		Instances  int64
		Attributes []map[string]value
	}
	Identifiers []struct {
		Instances  int64
		Attributes map[string]value
	}
	Totals totals
}

func parse(t *testing.T, b []byte) (e event) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&e); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return e
}

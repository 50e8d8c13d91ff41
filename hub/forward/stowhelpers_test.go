package forward

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edged/hub/ledger"
	"edged/internal/dicom"
)

// vna is a strict STOW-RS service (PS3.18 §10.5): what it does not like in a request
// fails the test. What it answers a test decides.
type vna struct {
	*testing.T
	answer func(w http.ResponseWriter, rq *http.Request, uids []string) // nil: stores all
	before func(w http.ResponseWriter, rq *http.Request) bool           // before the body is read; true: it has answered

	mu       sync.Mutex
	kept     map[string][]byte // data sets of the parts that ended, by SOP Instance UID
	whole    int               // requests that came whole
	requests [][]string        // of those
	conns    map[string]bool
}

func (v *vna) serve() string {
	s := httptest.NewServer(v)
	v.Cleanup(s.Close)
	return s.URL + "/dicom-web"
}

// ServeHTTP implements http.Handler.
func (v *vna) ServeHTTP(w http.ResponseWriter, rq *http.Request) {
	v.mu.Lock()
	if v.conns == nil {
		v.conns, v.kept = map[string]bool{}, map[string][]byte{}
	}
	v.conns[rq.RemoteAddr] = true
	v.mu.Unlock()
	if v.before != nil && v.before(w, rq) {
		return
	}
	kind, p, err := mime.ParseMediaType(rq.Header.Get("Content-Type"))
	if rq.Method != http.MethodPost || !strings.HasSuffix(rq.URL.Path, "/dicom-web/studies") || kind != "multipart/related" || p["type"] != "application/dicom" ||
		rq.ContentLength <= 0 || rq.Header.Get("Accept") != "application/dicom+json" || err != nil {
		v.Errorf("%s %s, %d bytes, %v", rq.Method, rq.URL, rq.ContentLength, rq.Header)
	}
	var uids []string
	parts := multipart.NewReader(rq.Body, p["boundary"])
	for {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return // cut short: nothing is answered
		}
		uid, data, err := v.part(part)
		if err != nil {
			return
		}
		v.mu.Lock()
		v.kept[uid] = data
		v.mu.Unlock()
		uids = append(uids, uid)
	}
	v.mu.Lock()
	v.whole++
	v.requests = append(v.requests, uids)
	v.mu.Unlock()
	if v.answer != nil {
		v.answer(w, rq, uids)
		return
	}
	said{stored: uids}.write(w, http.StatusOK)
}

func (v *vna) part(part *multipart.Part) (string, []byte, error) {
	if t := part.Header.Get("Content-Type"); t != "application/dicom" {
		v.Errorf("a part of type %q", t)
	}
	all, err := io.ReadAll(part)
	if err != nil {
		return "", nil, err
	}
	r := bufio.NewReader(bytes.NewReader(all))
	names, _, err := dicom.ReadPreface(r)
	if err != nil {
		v.Errorf("a part is no Part 10 file: %v", err)
	}
	data, _ := io.ReadAll(r)
	return names.SOPInstance, data, nil
}

// check demands that each object came, with its own bytes (P3).
func (v *vna) check(b *bench) {
	b.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	left := map[string]int{}
	for _, data := range b.data {
		left[string(data)]++
	}
	for uid, data := range v.kept {
		if left[string(data)]--; left[string(data)] < 0 {
			b.Errorf("%d bytes came as %d that nobody sent", len(data), len(uid))
		}
	}
	if len(v.kept) != len(b.data) {
		b.Errorf("%d objects came, want %d", len(v.kept), len(b.data))
	}
}

// said is an answer.
type said struct {
	stored  []string
	warning map[string]int // of stored ones
	failed  map[string]int
}

type dict map[string]any

func element(vr string, values ...any) dict { return dict{"vr": vr, "Value": values} }

func (s said) json() []byte {
	item := func(uid string) dict { return dict{"00081150": element("UI", "1.2.3"), "00081155": element("UI", uid)} }
	stored, failed := element("SQ"), element("SQ")
	for _, uid := range s.stored {
		i := item(uid)
		if w := s.warning[uid]; w != 0 {
			i["00081196"] = element("US", w)
		}
		stored["Value"] = append(stored["Value"].([]any), i)
	}
	for uid, reason := range s.failed {
		i := item(uid)
		i["00081197"] = element("US", reason)
		failed["Value"] = append(failed["Value"].([]any), i)
	}
	out, err := json.Marshal(dict{"00081190": element("UR", "http://x/studies/1"), "00081199": stored, "00081198": failed})
	if err != nil {
		panic(err)
	}
	return out
}

func (s said) xml() []byte {
	var b bytes.Buffer
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?><NativeDicomModel xml:space="preserve">`)
	sequence := func(tag string, uids []string, reasonTag string, reasons map[string]int) {
		fmt.Fprintf(&b, `<DicomAttribute tag="%s" vr="SQ">`, tag)
		for n, uid := range uids {
			fmt.Fprintf(&b, `<Item number="%d"><DicomAttribute tag="00081155" vr="UI"><Value number="1">%s</Value></DicomAttribute>`, n+1, uid)
			if r := reasons[uid]; r != 0 {
				fmt.Fprintf(&b, `<DicomAttribute tag="%s" vr="US"><Value number="1">%d</Value></DicomAttribute>`, reasonTag, r)
			}
			b.WriteString(`</Item>`)
		}
		b.WriteString(`</DicomAttribute>`)
	}
	sequence("00081199", s.stored, "00081196", s.warning)
	var failed []string
	for uid := range s.failed {
		failed = append(failed, uid)
	}
	sequence("00081198", failed, "00081197", s.failed)
	b.WriteString(`</NativeDicomModel>`)
	return b.Bytes()
}

func (s said) write(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "application/dicom+json")
	w.WriteHeader(status)
	w.Write(s.json())
}

// newStowBench has one destination, vna, that confirms by what it lists.
func newStowBench(t *testing.T, n int) *bench {
	t.Helper()
	b := newBench(t, "vna")
	b.config.Destinations[0].Confirm = "stow"
	b.receive(small()[:n]...)
	return b
}

func stow(t *testing.T, c StowConfig) *Stow {
	t.Helper()
	if c.Name == "" {
		c.Name = "vna"
	}
	d, err := NewStow(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// turn leases all jobs and delivers them once in a session, and returns what was said of each.
func (b *bench) turn(d Destination) (map[string]outcome, error) {
	b.Helper()
	f := New(Config{Jobs: b.ledger, Destinations: []Destination{d}, Logger: slog.New(slog.DiscardHandler),
		Open: func(id dicom.ID) (Object, error) { return b.store.Open(id) }})
	jobs, err := b.ledger.Lease(b.Context(), "vna", batchSize, time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	out := map[string]outcome{}
	s := d.open(f)
	defer s.close()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	err = s.deliver(ctx, jobs, func(j ledger.Job, o outcome) {
		if _, twice := out[j.Object.Names.SOPInstance]; twice {
			b.Errorf("a job was reported twice")
		}
		out[j.Object.Names.SOPInstance] = o
	})
	for _, j := range jobs {
		if err := b.ledger.Later(b.Context(), j, 0, false, ""); err != nil {
			b.Fatal(err)
		}
	}
	return out, err
}

// answerBy stores when there is room.
func answerBy(room *atomic.Bool) func(http.ResponseWriter, *http.Request, []string) {
	return func(w http.ResponseWriter, _ *http.Request, uids []string) {
		if room.Load() {
			said{stored: uids}.write(w, 200)
			return
		}
		failed := map[string]int{}
		for _, uid := range uids {
			failed[uid] = 0xA700
		}
		said{failed: failed}.write(w, 409)
	}
}

// answerAndTell stores, and tells the test before it says so.
func answerAndTell(tell func(...string)) func(http.ResponseWriter, *http.Request, []string) {
	return func(w http.ResponseWriter, _ *http.Request, uids []string) {
		tell(uids...)
		said{stored: uids}.write(w, 200)
	}
}

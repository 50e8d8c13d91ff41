package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"edged/hub"
	"edged/hub/ledger"
	"edged/internal/dicom"
)

// desk is a hub whose console is asked without a network.
type desk struct {
	*testing.T
	h       *theHub
	handler http.Handler
	logged  *logText
	origin  string
}

type logText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func deskConfig(t *testing.T) Config {
	cfg := Default()
	cfg.DataDir = t.TempDir()
	cfg.Listen, cfg.Console.Listen = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Destinations = []Destination{
		{Name: "vna", Type: "dir", Confirm: "dir", Required: true, Path: filepath.Join(cfg.DataDir, "archive"), Create: true},
		{Name: "copy", Type: "dir", Confirm: "dir", Path: filepath.Join(cfg.DataDir, "copy"), Create: true},
	}
	cfg.Events.Sinks = []Sink{{Name: "pacs", Type: "file", Path: filepath.Join(cfg.DataDir, "events"), Timeout: time.Second}}
	return cfg
}

func newDesk(t *testing.T, change ...func(*Config)) *desk {
	t.Helper()
	cfg := deskConfig(t)
	for _, f := range change {
		f(&cfg)
	}
	d := &desk{T: t, logged: &logText{}, origin: "127.0.0.1:4000"}
	var err error
	if d.h, err = openHub(t.Context(), cfg, slog.New(slog.NewTextHandler(d.logged, &slog.HandlerOptions{Level: slog.LevelInfo}))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.h.close(); err != nil {
			t.Error(err)
		}
	})
	d.handler = d.h.desk.handler()
	return d
}

func (d *desk) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

// token makes one on the machine.
func (d *desk) token(role string) string {
	d.Helper()
	text, hash := newToken()
	name := fmt.Sprintf("%s-%x", role, hash[:4])
	d.must(d.h.ledger.AddToken(d.Context(), ledger.Token{Name: name, Role: role}, hash, "cli:test"))
	return text
}

// ask does one request.
func (d *desk) ask(method, path, token, body string, headers ...string) *httptest.ResponseRecorder {
	d.Helper()
	r := httptest.NewRequestWithContext(d.Context(), method, path, strings.NewReader(body))
	r.RemoteAddr, r.Host = d.origin, "127.0.0.1:8081"
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w
}

// get returns the answer of a GET that goes well.
func (d *desk) get(path, token string) node {
	d.Helper()
	w := d.ask("GET", path, token, "")
	var v node
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != http.StatusOK {
		d.Fatalf("GET %s: %d %v %s", path, w.Code, err, w.Body)
	}
	return v
}

// object n of a device; text makes contents differ.
func (d *desk) object(device string, n int, text string) hub.Object {
	d.Helper()
	o := hub.Object{Device: device, Length: int64(1000 + n), Study: fmt.Sprintf("1.2.99.%d", n/4), Priority: 1, Calling: "CT1",
		Names: dicom.Names{TransferSyntax: "1.2.840.10008.1.2.1", SOPClass: "1.2.840.10008.5.1.4.1.1.2", SOPInstance: fmt.Sprintf("1.2.98.%d", n)}}
	h := o.Names.NewHash()
	_, _ = io.WriteString(h, text)
	h.Sum(o.ID[:0])
	return o
}

func (d *desk) enrol(id, facility string, n byte) {
	d.Helper()
	d.must(d.h.ledger.AddCode(d.Context(), [32]byte{n, 7}, facility, time.Now().Add(time.Hour), "cli:test"))
	_, err := d.h.ledger.Claim(d.Context(), [32]byte{n, 7}, [32]byte{n, 8}, id, "")
	d.must(err)
}

// busy fills the rows with what every page has something of: what is on its way,
// held, refused, lost and archived.
func (d *desk) busy() {
	d.Helper()
	ctx, l := d.Context(), d.h.ledger
	for n := range 3 {
		d.enrol(fmt.Sprintf("box%d", n), fmt.Sprintf("ASL%d", n%2), byte(n+1))
	}
	var all []hub.Object
	for n := range 12 {
		all = append(all, d.object(fmt.Sprintf("box%d", n%3), n, "x"))
	}
	all = append(all, d.object("box0", 3, "other contents"))
	d.must(l.Receive(ctx, all))
	d.must(l.SayStudy(ctx, "box1", "1.2.98", 1, true, 4, "fiscal.check 2; of.tomorrow 1; study.births 0"))
	d.must(l.SayStudy(ctx, "box2", "<script>alert(2)", 1, true, 1, "accession.missing 1"))
	jobs, err := l.Lease(ctx, "vna", 20, time.Hour)
	d.must(err)
	for _, j := range jobs {
		switch j.Object.Names.SOPInstance {
		case "1.2.98.0", "1.2.98.1":
			d.must(l.Refuse(ctx, j, "A900 data set does not match: ROSSI^MARIO"))
		case "1.2.98.2":
			d.must(l.Lost(ctx, j, "digest"))
		case "1.2.98.4", "1.2.98.5":
			d.must(l.Done(ctx, j, ""))
		}
	}
}

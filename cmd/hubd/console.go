package main

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Status is what the console shows and /api/v1/status answers. It holds figures
// and names of appliances, never of people (P10).
type Status struct {
	State        string              `json:"state"` // ok | catching_up | attention | stopped
	Version      string              `json:"version"`
	StartedAt    time.Time           `json:"started_at"`
	Listen       string              `json:"listen"`
	Counters     Counters            `json:"counters"`
	Disk         Disk                `json:"disk"`
	Devices      Devices             `json:"devices"`
	Strangers    int                 `json:"strangers"` // connections to the TCP port that are not of appliances
	Destinations []DestinationStatus `json:"destinations"`
	Warnings     []string            `json:"warnings"`
}

// Counters are for the life of the data directory. Held, quarantined and lost are
// of this moment.
type Counters struct {
	Objects     int64 `json:"objects"`
	Bytes       int64 `json:"bytes"`
	Receipts    int64 `json:"receipts"`
	Archived    int64 `json:"archived"`
	Held        int64 `json:"held"`
	Quarantined int64 `json:"quarantined"`
	Lost        int64 `json:"lost"`        // asked for again, the copy here is missing or damaged
	Uncommitted int64 `json:"uncommitted"` // stored, and the archive has not committed itself yet
	Unconfirmed int64 `json:"unconfirmed"` // stored, and no commitment can say which of two contents
	Tests       int64 `json:"tests"`
}

// Disk is where the objects are. Below the reserve nothing new is received.
type Disk struct {
	FreeBytes    int64 `json:"free_bytes"`
	ReserveBytes int64 `json:"reserve_bytes"`
	Full         bool  `json:"full"`
}

// Devices says who has enrolled and who is there.
type Devices struct {
	Enrolled  int64             `json:"enrolled"`
	Revoked   int64             `json:"revoked"`
	Connected []ConnectedDevice `json:"connected"`
}

// ConnectedDevice is one connection of an appliance.
type ConnectedDevice struct {
	Device  string    `json:"device"`
	Carrier string    `json:"carrier"` // quic | tcp
	Since   time.Time `json:"since"`
	Bytes   int64     `json:"bytes"`
}

// DestinationStatus is what an archive has not got yet, and why.
type DestinationStatus struct {
	Name           string    `json:"name"`
	Type           string    `json:"type"`
	Confirm        string    `json:"confirm"`
	Required       bool      `json:"required"`
	BacklogObjects int64     `json:"backlog_objects"`
	BacklogBytes   int64     `json:"backlog_bytes"`
	OldestSeconds  float64   `json:"oldest_seconds"`
	Held           int64     `json:"held"`
	Quarantined    int64     `json:"quarantined"`
	LastWords      string    `json:"last_words,omitempty"` // why the object that was sent back last must wait
	Error          string    `json:"error,omitempty"`
	ErrorSince     time.Time `json:"error_since,omitzero"`

	// Of a destination that confirms by storage commitment.
	Uncommitted     int64   `json:"uncommitted"`
	WaitedSeconds   float64 `json:"uncommitted_oldest_seconds"`
	Unconfirmed     int64   `json:"unconfirmed"`
	CommitmentError string  `json:"commitment_error,omitempty"` // why it cannot be asked for
}

// console answers on console.listen.
type console struct {
	h *theHub

	mu     sync.Mutex // guards what follows
	cached Status
	at     time.Time
}

// cacheFor spares the ledger a walk over its jobs for each request.
const cacheFor = time.Second

func newConsole(h *theHub) http.Handler {
	c := &console{h: h}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", c.page)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
	mux.HandleFunc("GET /readyz", c.ready)
	mux.HandleFunc("GET /api/v1/status", c.api)
	mux.Handle("GET /metrics", promhttp.HandlerFor(newRegistry(c), promhttp.HandlerOpts{}))
	return secured(mux)
}

// secured sets what every answer carries: nothing here runs scripts, loads from
// elsewhere, or may be framed or kept.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+styleHash+"'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// status is at most cacheFor old.
func (c *console) status(ctx context.Context) (Status, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.at) < cacheFor {
		return c.cached, nil
	}
	s, err := c.h.status(ctx)
	if err == nil {
		c.cached, c.at = s, time.Now()
	}
	return s, err
}

func (h *theHub) status(ctx context.Context) (Status, error) {
	stats, err := h.ledger.Stats(ctx)
	if err != nil {
		return Status{}, err
	}
	s := Status{Version: programVersion(), StartedAt: h.started, Listen: h.udp.LocalAddr().String(), Warnings: append([]string{}, h.cfg.warnings()...), Destinations: []DestinationStatus{}}
	s.Counters = Counters{Objects: stats.Objects, Bytes: stats.Bytes, Receipts: stats.Receipts, Archived: stats.Archived, Held: stats.Held, Lost: stats.Lost, Tests: stats.Tests}
	s.Devices = Devices{Enrolled: stats.Devices, Revoked: stats.Revoked, Connected: []ConnectedDevice{}}
	s.Strangers = h.door.Strangers()
	for _, n := range h.receive.Connections() {
		s.Devices.Connected = append(s.Devices.Connected, ConnectedDevice{n.Device, n.Carrier, n.Since, n.Bytes})
	}
	for i, f := range h.forward.Status() {
		d, b := h.cfg.Destinations[i], stats.Backlog[f.Name]
		s.Counters.Quarantined += b.Quarantined
		s.Counters.Uncommitted += b.Uncommitted
		s.Counters.Unconfirmed += b.Unconfirmed
		s.Destinations = append(s.Destinations, DestinationStatus{
			Name: d.Name, Type: d.Type, Confirm: d.Confirm, Required: d.Required,
			BacklogObjects: b.Objects, BacklogBytes: b.Bytes, OldestSeconds: b.Oldest.Seconds(),
			Held: b.Held, Quarantined: b.Quarantined, LastWords: f.Last, Error: f.Error, ErrorSince: f.Since,
			Uncommitted: b.Uncommitted, WaitedSeconds: b.Waited.Seconds(), Unconfirmed: b.Unconfirmed, CommitmentError: f.Commitment,
		})
	}
	space, err := h.objects.Space()
	if err != nil {
		return Status{}, err
	}
	s.Disk = Disk{space.Free, space.Reserve, space.Short()}
	if s.Disk.Full {
		s.Warnings = append(s.Warnings, "the disk is full up to the reserve: nothing new is received until there is space; the appliances keep what they have")
	}
	for _, d := range s.Destinations {
		if d.stuck() {
			s.Warnings = append(s.Warnings, d.stuckWords())
		}
		s.Warnings = append(s.Warnings, d.commitmentWords()...)
	}
	s.State = stateOf(s, h.broken() != nil)
	return s, nil
}

// late is how old the oldest waiting object may be before the hub is behind.
const late = time.Minute

// stuckAfter is how old it may be before somebody must look: an archive that
// answers everything with "later" is no error that passes.
const stuckAfter = 30 * time.Minute

func (d DestinationStatus) stuck() bool { return d.OldestSeconds > stuckAfter.Seconds() }

// stuckWords say what is known of why, without the archive's comment, which may
// name a patient (P10): that is in the rows.
func (d DestinationStatus) stuckWords() string {
	words := fmt.Sprintf("destination %s: an object waits for it for %s", d.Name, time.Duration(d.OldestSeconds*float64(time.Second)).Round(time.Minute))
	if last := cmp.Or(d.Error, d.LastWords); last != "" {
		words += "; last heard: " + last
	}
	return words
}

// uncommittedAfter is how long an archive may take to report on what it stored
// before somebody must look.
const uncommittedAfter = 2 * time.Hour

func (d DestinationStatus) uncommitted() bool {
	return d.CommitmentError != "" || d.WaitedSeconds > uncommittedAfter.Seconds()
}

// commitmentWords say why what an archive has stored is not archived.
func (d DestinationStatus) commitmentWords() (words []string) {
	if d.CommitmentError != "" {
		words = append(words, fmt.Sprintf("destination %s: %s", d.Name, d.CommitmentError))
	}
	if d.WaitedSeconds > uncommittedAfter.Seconds() {
		words = append(words, fmt.Sprintf("destination %s: it has stored %d objects that it does not commit itself to, the oldest for %s; they are not archived",
			d.Name, d.Uncommitted, time.Duration(d.WaitedSeconds*float64(time.Second)).Round(time.Minute)))
	}
	if d.Unconfirmed > 0 {
		words = append(words, fmt.Sprintf("destination %s: %d objects share a SOP Instance UID with other contents, so that no storage commitment confirms them: hubd objects ls", d.Name, d.Unconfirmed))
	}
	return words
}

// stateOf is the worst of what there is.
func stateOf(s Status, broken bool) string {
	state := "ok"
	for _, d := range s.Destinations {
		if d.OldestSeconds > late.Seconds() {
			state = "catching_up"
		}
	}
	for _, d := range s.Destinations {
		if d.Error != "" || d.stuck() || d.uncommitted() {
			state = "attention"
		}
	}
	if s.Counters.Held+s.Counters.Quarantined+s.Counters.Lost+s.Counters.Unconfirmed > 0 || s.Disk.Full {
		state = "attention"
	}
	if broken {
		state = "stopped"
	}
	return state
}

// broken is why nothing can be received, nil when it can.
func (h *theHub) broken() error {
	if err := h.absence.err(); err != nil {
		return err
	}
	if err := h.ledger.Err(); err != nil {
		return err
	}
	return h.objects.Failed()
}

func (c *console) ready(w http.ResponseWriter, _ *http.Request) {
	if err := c.h.broken(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

func (c *console) api(w http.ResponseWriter, r *http.Request) {
	s, err := c.status(r.Context())
	if err != nil {
		c.unavailable(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(s); err != nil {
		c.h.log.Debug("status not sent", "err", err)
	}
}

func (c *console) unavailable(w http.ResponseWriter, err error) {
	c.h.log.Error("status", "err", err)
	http.Error(w, "the status cannot be read at the moment, see the log", http.StatusServiceUnavailable)
}

//go:embed console.html
var pageText string

//go:embed console.css
var style string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"style": func() template.CSS { return template.CSS(style) },
	"bytes": humanBytes,
	"age":   func(s float64) string { return time.Duration(s * float64(time.Second)).Round(time.Second).String() },
	"time":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
}).Parse(pageText))

func (c *console) page(w http.ResponseWriter, r *http.Request) {
	s, err := c.status(r.Context())
	if err != nil {
		c.unavailable(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := page.Execute(w, s); err != nil {
		c.h.log.Debug("page not sent", "err", err)
	}
}

func humanBytes(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}

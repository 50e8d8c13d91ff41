package page

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"edged/agent/account"
	"edged/agent/status"
)

// Source says what the page shows. Its methods are called from the goroutines
// of requests, several at a time, and must answer from memory within
// milliseconds: a slow answer is a page that stands still.
type Source interface {
	// Status of now; Status.At is when it was gathered. A value older than
	// 25 seconds is shown as a page that stands still.
	Status() status.Status
	// Studies returns at most limit studies, the latest first.
	Studies(limit int) []status.Study
	// Moving returns at most limit studies of which something leaves now, in any
	// order. After an outage these are the oldest, far behind what Studies returns.
	Moving(limit int) []status.Study
	// Devices returns the configured ones and those that were met, in any order.
	// What strangers can make this list grow to is bounded by the Source.
	Devices() []status.Device
	// Subscribe returns a channel of changes that is closed after ctx ends.
	// Events may be dropped for a slow reader; see Bell.
	Subscribe(ctx context.Context) <-chan status.Event
}

// Sentence says a finding in a language: its cause as a heading, and what was found, for
// who may see persons.
type Sentence func(language string, f status.Finding) (cause, says string)

// What somebody who has not logged in may see (page.anonymous).
const (
	AnonymousState  = "state"  // no person at all
	AnonymousMasked = "masked" // initials and year of birth, once studies carry them
)

// Config of a page.
type Config struct {
	Source     Source         // required
	Anonymous  string         // If empty, AnonymousState.
	Location   *time.Location // The facility's time zone. If nil, UTC.
	Language   string         // For those who ask for none of ours: it, en or de. If empty, it.
	MaxStreams int            // Streams of events at the same time. If zero, 64.
	Version    string         // Shown where Status.Version is empty.
	Logger     *slog.Logger   // If nil, nothing is logged.

	Accounts *account.Book // who may log in. If nil, nobody.
	Hosts    []string      // Names that browsers may call the page by to change something or see persons, in lower case, besides addresses and localhost. If nil, any.
	Sentence Sentence      // of findings. If nil, their codes are shown.

	// What the pages need; the pages of one that is nil are not there.
	Studies  StudyDesk
	Fix      FixDesk
	Devices  DeviceDesk
	Tests    TestDesk
	Alarms   AlarmDesk
	LineDesk LineDesk
	System   SystemDesk
	Audit    AuditDesk
	Days     DayDesk

	Signals func() status.Signals // of metrics, besides Source; asked once a scrape. If nil, there are none.

	now func() time.Time // for tests
}

const (
	maxStudies    = 500 // of one answer of the API
	shownStudies  = 12  // on the page
	shownDevices  = 12  // on the page
	staleAfter    = 25 * time.Second
	beatEvery     = 10 * time.Second
	writeDeadline = 10 * time.Second // for one event; a reader that takes longer is gone
)

// Page is the handler of all paths in the package comment.
type Page struct {
	cfg     Config
	handler http.Handler
	streams chan struct{}        // a slot is held by each open stream of events
	who     addresses            // of those who have them open
	turns   [lanes]chan struct{} // see inTurn
	slips   slips
}

var _ http.Handler = (*Page)(nil)

// New checks the configuration and returns a page. It starts nothing.
func New(cfg Config) (*Page, error) {
	cfg = withDefaults(cfg)
	if err := validate(cfg); err != nil {
		return nil, err
	}
	p := &Page{cfg: cfg, streams: make(chan struct{}, cfg.MaxStreams)}
	for i := range p.turns {
		p.turns[i] = make(chan struct{}, turnsAtOnce)
	}
	mux := http.NewServeMux()
	for _, r := range p.routes() {
		mux.Handle("GET "+r.pattern, r.handler)
	}
	for _, l := range p.leaves() {
		if l.raw != nil && l.role > 0 {
			mux.Handle("GET "+l.path, p.serveLeaf(l)) // a file, as long as it may be
		} else {
			mux.Handle("GET "+l.path, p.inTurn(p.serveLeaf(l)))
		}
	}
	for _, d := range p.deeds() {
		mux.Handle("POST "+d.path, p.serveDeed(d))
	}
	if cfg.Accounts != nil {
		mux.HandleFunc("POST /login", p.serveLogIn)
	}
	if cfg.Studies != nil {
		mux.HandleFunc("POST /studies", p.serveSearch)
	}
	mux.HandleFunc("GET /", p.serveNothing)
	p.handler = guarded(unhurried(mux))
	return p, nil
}

func withDefaults(cfg Config) Config {
	cfg.Anonymous = cmp.Or(cfg.Anonymous, AnonymousState)
	cfg.Language = cmp.Or(cfg.Language, "it")
	cfg.MaxStreams = cmp.Or(cfg.MaxStreams, 64)
	cfg.Location = cmp.Or(cfg.Location, time.UTC)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	if cfg.now == nil {
		cfg.now = time.Now
	}
	return cfg
}

func validate(cfg Config) error {
	switch {
	case cfg.Source == nil:
		return errors.New("page: Source is required")
	case cfg.Anonymous != AnonymousState && cfg.Anonymous != AnonymousMasked:
		return fmt.Errorf("page.anonymous is %q; allowed are %q and %q", cfg.Anonymous, AnonymousState, AnonymousMasked)
	case catalogues[cfg.Language] == nil:
		return fmt.Errorf("page language is %q; allowed are it, en and de", cfg.Language)
	case cfg.MaxStreams < 0:
		return fmt.Errorf("page: MaxStreams is %d; allowed is 1 or more", cfg.MaxStreams)
	}
	return nil
}

type route struct {
	pattern string
	handler http.Handler
}

// routes is the whole contract of this port; the test of openapi.json walks it.
func (p *Page) routes() []route {
	return []route{
		{p.stateLeaf().path, p.inTurn(p.serveLeaf(p.stateLeaf()))},
		{"/healthz", http.HandlerFunc(p.serveHealth)},
		{"/readyz", http.HandlerFunc(p.serveReady)},
		{"/metrics", p.inTurn(metricsHandler(p.cfg).ServeHTTP)},
		{"/api/v1/status", p.inTurn(p.serveStatus)},
		{"/api/v1/studies", p.inTurn(p.serveStudies)},
		{"/api/v1/devices", p.inTurn(p.serveDevices)},
		{"/api/v1/events", http.HandlerFunc(p.serveEvents)},
		{"/api/v1/openapi.json", asset("openapi.json")},
		{"/assets/{name}", http.HandlerFunc(serveAsset)},
	}
}

func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.handler.ServeHTTP(w, r)
}

// policyWith allows this origin's own files and nothing else: no inline script or
// style, no frame around us, no form that leads elsewhere. Scripts are those that
// the page itself names with its nonce, and only htmx writes markup (Trusted Types).
func policyWith(nonce string) string {
	policy := "default-src 'none'; style-src 'self'; img-src 'self'; font-src 'self'; " +
		"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
	if nonce == "" {
		return policy
	}
	return policy + "; script-src 'nonce-" + nonce + "'; require-trusted-types-for 'script'; trusted-types htmx"
}

func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policyWith(""))
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// console answers on console.listen: pages for people, an API for programs. Both
// are made of the same operations (api.go), so neither shows or does what the other
// does not.
type console struct {
	h        *theHub
	open     bool // who has no token sees the status: the address is a loopback one
	guard    *guard
	sessions *sessions
	memory   *memory
	sample   sampler
	probe    probe

	readiness readiness

	mu      sync.Mutex // guards what follows
	cached  Status
	at      time.Time
	sampled time.Time     // when the rates had their last point
	last    time.Duration // what the last reading took
	cost    time.Duration // the less of the last two: one alone may have waited for others
}

func newConsole(h *theHub) *console {
	return &console{h: h, open: h.cfg.Console.loopback(), guard: newGuard(), sessions: newSessions(), memory: newMemory()}
}

// handler is everything that is served.
func (c *console) handler() http.Handler {
	return secured(c.ownNames(http.NewCrossOriginProtection().Handler(c.routes())))
}

// ownNames refuses names that others give to this machine's loopback address: a page of
// their site is of the same origin then for a browser here, and would read what needs no
// token (DNS rebinding). Over TLS the certificate says who this is.
func (c *console) ownNames(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.open && r.TLS == nil && !ownName(r.Host) {
			p := &problem{Status: http.StatusMisdirectedRequest, Title: "that is no name of this console", Detail: "it listens on a loopback address: ask for 127.0.0.1, [::1] or localhost"}
			p.answer(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ownName reports whether no DNS of others has to do with host. Every browser sends one.
func ownName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	_, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return err == nil || host == "" || strings.EqualFold(host, "localhost")
}

// routes is a mux that knows what it has.
type routes struct {
	http.ServeMux
	patterns []string
}

// HandleFunc is that of http.ServeMux.
func (m *routes) HandleFunc(pattern string, h http.HandlerFunc) {
	m.patterns = append(m.patterns, pattern)
	m.ServeMux.HandleFunc(pattern, h)
}

func (c *console) routes() *routes {
	mux := &routes{}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
	mux.HandleFunc("GET /readyz", c.ready)
	mux.HandleFunc("GET /metrics", c.forViewers(promhttp.HandlerFor(newRegistry(c), promhttp.HandlerOpts{})))
	mux.HandleFunc("GET /api/v1/openapi.json", serveOpenAPI)
	for i := range operations {
		c.mount(mux, &operations[i])
	}
	c.mountPages(mux)
	return mux
}

// secured sets what every answer carries: nothing here runs scripts, loads from
// elsewhere, or may be framed or kept.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+styleHash+"'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// How old the figures may be that a page shows. Reading them is a walk over the open
// jobs: where that takes long it is done less often, so that it takes at most a
// twentieth of the time, and by keepFigures, so that nobody waits for it.
const (
	cacheFor  = time.Second
	cacheMost = 30 * time.Second
	cheap     = 100 * time.Millisecond
)

// figuresFor is how long figures are good that cost so much.
func figuresFor(cost time.Duration) time.Duration { return min(max(cacheFor, 20*cost), cacheMost) }

// status is at most cacheFor old; where reading it is dear, twice figuresFor.
func (c *console) status(ctx context.Context) (Status, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	good := cacheFor
	if c.cost > cheap {
		good = 2 * figuresFor(c.cost) // keepFigures is about to bring new ones
	}
	if !c.at.IsZero() && time.Since(c.at) < good {
		return c.cached, nil
	}
	begin := time.Now()
	s, err := c.h.status(ctx)
	if err == nil {
		s = c.keep(s, begin)
	}
	return s, err
}

// keep is called with mu held.
func (c *console) keep(s Status, begin time.Time) Status {
	c.sampled = begin
	s.Rates = c.sample.rates(s.Counters, begin)
	took := time.Since(begin)
	c.cached, c.at, c.last, c.cost = s, time.Now(), took, min(took, c.last)
	return s
}

// keepFigures reads the figures before somebody has to wait for them, where that
// would be felt. Elsewhere it only sees to it that rates have their points.
func (c *console) keepFigures(ctx context.Context) {
	c.mu.Lock()
	dear, old, sampled := c.cost > cheap, time.Since(c.at) >= figuresFor(c.cost), time.Since(c.sampled)
	c.mu.Unlock()
	if !(dear && old) && sampled < cacheMost {
		return
	}
	begin := time.Now()
	s, err := c.h.status(ctx)
	if err != nil {
		return // whoever asks hears why
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if dear {
		c.keep(s, begin)
		return
	}
	c.sampled = begin
	c.sample.rates(s.Counters, begin)
}

// run flushes what is kept in memory, each minute and at the end, and keeps the
// figures fresh.
func (c *console) run(ctx context.Context) error {
	figures, flush := time.NewTicker(cacheFor), time.NewTicker(time.Minute)
	defer figures.Stop()
	defer flush.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			c.flush(last)
			return nil
		case <-flush.C:
			c.flush(ctx)
		case <-figures.C:
			c.keepFigures(ctx)
		}
	}
}

// sampler makes rates of counters.
type sampler struct {
	points []samplePoint // at most a minute back, the oldest first
}

type samplePoint struct {
	at time.Time
	Counters
}

func (s *sampler) rates(now Counters, at time.Time) Rates {
	for len(s.points) > 1 && at.Sub(s.points[1].at) >= time.Minute {
		s.points = s.points[1:]
	}
	if n := len(s.points); n == 0 || at.Sub(s.points[n-1].at) >= cacheFor {
		s.points = append(s.points, samplePoint{at, now})
	}
	first := s.points[0]
	d := at.Sub(first.at).Seconds()
	if d < 0.5 {
		return Rates{}
	}
	per := func(a, b int64) float64 { return float64(max(0, a-b)) / d }
	return Rates{per(now.Objects, first.Objects), per(now.Bytes, first.Bytes), per(now.Archived, first.Archived)}
}

// originOf is where a request comes from, as the trail and the guard know it.
func originOf(r *http.Request) string { return hostOf(r.RemoteAddr) }

func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return "unknown"
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().WithZone("").String()
	}
	return host
}

// forViewers lets in who may see the status: everybody on a loopback address.
func (c *console) forViewers(next http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, p := c.admit(r, c.statusRole(), c.bearer); p != nil {
			p.answer(w)
			return
		}
		next.ServeHTTP(w, r)
	}
}

// statusRole is what one needs to see the status and no name.
func (c *console) statusRole() role {
	if c.open {
		return nobody
	}
	return viewer
}

// memory is what may be lost in a power cut: when appliances were seen and tokens
// used last.
type memory struct {
	mu           sync.Mutex // guards what follows
	seen, tokens map[string]time.Time
}

func newMemory() *memory {
	return &memory{seen: map[string]time.Time{}, tokens: map[string]time.Time{}}
}

func (m *memory) sawDevice(id string, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen[id] = at
}

func (m *memory) usedToken(name string, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tokens[name] = at
}

// take empties it.
func (m *memory) take() (seen, tokens map[string]time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	seen, tokens = m.seen, m.tokens
	m.seen, m.tokens = map[string]time.Time{}, map[string]time.Time{}
	return seen, tokens
}

// flush writes it. What cannot be written is forgotten: the next minute brings it anew.
func (c *console) flush(ctx context.Context) {
	now := time.Now()
	for _, n := range c.h.receive.Connections() {
		c.memory.sawDevice(n.Device, now)
	}
	seen, tokens := c.memory.take()
	if err := c.h.ledger.Seen(ctx, c.h.cfg.nodeID(), seen); err != nil && ctx.Err() == nil {
		c.h.log.Warn("last seen not written", "err", err)
	}
	if len(tokens) == 0 {
		return
	}
	if err := c.h.ledger.TokensUsed(ctx, tokens); err != nil && ctx.Err() == nil {
		c.h.log.Warn("last use of tokens not written", "err", err)
	}
}

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"edged/agent/auditmsg"
	"edged/agent/status"
	"edged/internal/config"
	"edged/internal/syslog5424"
)

// Syslog is where the audit messages of DICOM go (PS3.15 §A.5).
type Syslog struct {
	Server     string          `yaml:"server"`
	CA         string          `yaml:"ca"`
	Cert       string          `yaml:"cert"`
	Key        string          `yaml:"key"`
	TLSName    string          `yaml:"tls_name"` // in the receiver's certificate
	Quota      config.ByteSize `yaml:"quota"`
	PatientIDs bool            `yaml:"patient_ids"`
	Accessions bool            `yaml:"accessions"`
}

// syslogDir is below data_dir.
const syslogDir = "syslog"

func (s *Syslog) check(bad complain) {
	if s.Server == "" {
		return
	}
	if host, port, err := net.SplitHostPort(s.Server); err != nil || host == "" || port == "" {
		bad("syslog.server", "%q is not HOST:PORT, as audit.example.org:6514", s.Server)
	}
	if (s.Cert == "") != (s.Key == "") {
		bad("syslog", "cert and key are needed together")
	}
	if s.Quota < 1<<20 {
		bad("syslog.quota", "%d is less than 1MiB", int64(s.Quota))
	}
}

// tls reads the files at each call: whoever mends them need not restart anything.
func (s *Syslog) tls() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.TLSName}
	if s.CA != "" {
		text, err := os.ReadFile(s.CA)
		if err != nil {
			return nil, fmt.Errorf("syslog.ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("syslog.ca: no certificate in %s", s.CA)
		}
	}
	if s.Cert != "" {
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(s.Cert, s.Key)
			return &pair, err
		}
		if _, err := load(); err != nil {
			return nil, fmt.Errorf("syslog.cert: %w", err)
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return c, nil
}

// said is a message that is due. It is written by the herald, never by whoever carries
// images.
type said struct {
	at       time.Time
	severity int
	write    func(at time.Time) []byte
}

// herald tells the facility's audit repository what happens here. Its methods are for
// any goroutine, take no longer than a lock and wait for no disk; those of a nil one do
// nothing. What finds the queue full is counted, and told with the next that does not.
type herald struct {
	cfg    *Config
	author auditmsg.Author
	me     auditmsg.Party
	log    *slog.Logger
	now    func() time.Time
	dir    string

	persons func(study string) (patient string, accessions []string) // asked only if the configuration allows; nil: nobody knows
	rounds  []func()                                                 // looked at from time to time; see run

	queue    chan said
	overflow atomic.Int64 // found the queue full, untold
	lost     atomic.Int64 // ever since the start, without those of the sender

	mu     sync.Mutex // guards what follows
	sender *syslog5424.Sender
	why    error     // there is no sender
	since  time.Time // of why

	traffic traffic
	alerts  alerts
}

const (
	heraldQueue = 4096
	heraldBatch = 128
	roundEvery  = 5 * time.Second
	reopenAfter = 10 * time.Second
	lastWords   = 3 * time.Second // for what was said last, while all else has stopped
)

// newHerald is nil where there is nobody to tell.
func newHerald(cfg *Config, place []byte, log *slog.Logger) *herald {
	if cfg.Syslog.Server == "" {
		return nil
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "edged"
	}
	titles := []string{cfg.Dicom.AETitle}
	for _, t := range cfg.Dicom.AETitles {
		titles = append(titles, t.Title)
	}
	return &herald{
		cfg: cfg, log: log, now: func() time.Time { return time.Now().In(cfg.zone()) }, dir: filepath.Join(cfg.DataDir, syslogDir),
		author: auditmsg.Author{ID: fmt.Sprintf("edged-%x", place[:min(4, len(place))]), Site: cfg.Facility.Code,
			Accessions: cfg.Syslog.Accessions, PatientIDs: cfg.Syslog.PatientIDs},
		me:    auditmsg.Party{ID: strconv.Itoa(os.Getpid()), AETitles: titles, Name: "edged", Host: host},
		queue: make(chan said, heraldQueue),
	}
}

// say queues a message.
func (h *herald) say(severity int, write func(at time.Time) []byte) {
	if h == nil {
		return
	}
	select {
	case h.queue <- said{h.now(), severity, write}:
	default:
		h.overflow.Add(1)
		h.lost.Add(1)
	}
}

// run tells until ctx ends: first that the appliance has started, last that it stops. It
// belongs to what stops last, so that what the others say at their end is told.
func (h *herald) run(ctx context.Context) error {
	if h == nil {
		return nil
	}
	h.activity(false)
	tick := time.NewTicker(roundEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := h.open(); err != nil {
			h.cannot(err)
			pause(ctx, reopenAfter)
			continue
		}
		h.write(ctx, tick.C)
		h.close()
		if ctx.Err() == nil {
			pause(ctx, reopenAfter) // the disk does not keep what it is given
		}
	}
	return nil
}

// write keeps what is queued while another goroutine sends it, until ctx ends or the
// disk does not keep it.
func (h *herald) write(ctx context.Context, tick <-chan time.Time) {
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	parts := newGroup(sending)
	parts.Go(h.sender.Run)
	defer func() {
		stop()
		_ = parts.Wait() // Run ends without an error
	}()
	for {
		select {
		case <-ctx.Done():
			h.end()
			return
		case m := <-h.queue:
			if errors.Is(h.keep(m), syslog5424.ErrBroken) {
				return
			}
		case <-tick:
			for _, look := range h.rounds {
				look()
			}
		}
	}
}

// keep writes a message and all that wait behind it, for one flush of the disk.
func (h *herald) keep(first said) error {
	var batch []syslog5424.Message
	add := func(m said) {
		batch = append(batch, syslog5424.Message{Severity: m.severity, Time: m.at, Text: m.write(m.at)})
	}
	if n := h.overflow.Swap(0); n > 0 {
		add(said{h.now(), syslog5424.Warning, func(at time.Time) []byte { return h.confess(n, at) }})
	}
	add(first)
	for len(batch) < heraldBatch {
		select {
		case m := <-h.queue:
			add(m)
			continue
		default:
		}
		break
	}
	err := h.sender.AppendAll(batch...)
	if err != nil {
		h.log.Warn("audit messages are lost", "messages", len(batch), "err", err)
	}
	return err
}

// end says what is still to be said, and gives it a moment to arrive. What does not is
// told after the next start.
func (h *herald) end() {
	h.settleAll()
	h.activity(true)
	for len(h.queue) > 0 {
		if errors.Is(h.keep(<-h.queue), syslog5424.ErrBroken) {
			return
		}
	}
	for until := time.Now().Add(lastWords); time.Now().Before(until); {
		if st := h.sender.Status(); st.Waiting == 0 || st.LastError != "" {
			return
		}
		pause(context.Background(), 50*time.Millisecond)
	}
}

func (h *herald) open() error {
	t, err := h.cfg.Syslog.tls()
	if err != nil {
		return err
	}
	s, err := syslog5424.New(syslog5424.Config{Dir: h.dir, Quota: int64(h.cfg.Syslog.Quota), Address: h.cfg.Syslog.Server, TLS: t, Log: h.log,
		Header: syslog5424.Header{Hostname: h.me.Host, ProcID: h.me.ID}, Lost: h.confess})
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sender, h.why, h.since = s, nil, time.Time{}
	return nil
}

func (h *herald) cannot(err error) {
	h.mu.Lock()
	news := h.why == nil
	h.why = err
	if news && h.since.IsZero() {
		h.since = h.now()
	}
	h.mu.Unlock()
	if news {
		h.log.Error("no audit messages can be kept; images are received and sent all the same", "err", err)
	}
}

// close has the counts outlive the sender.
func (h *herald) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sender == nil {
		return
	}
	h.lost.Add(h.sender.Status().Dropped)
	_ = h.sender.Close() // what it has kept is durable
	h.sender, h.why, h.since = nil, errors.New("the audit messages are being opened again"), h.now()
}

// syslogStatus is how the audit messages fare, for the page and for metrics.
type syslogStatus struct {
	On      bool
	Server  string
	Waiting int64 // kept, or about to be, and not yet arrived
	Bytes   int64 // of them on the disk
	Lost    int64 // since the start
	Error   string
	Since   time.Time // when sending began to fail
}

func (h *herald) status() (st syslogStatus) {
	if h == nil {
		return st
	}
	st = syslogStatus{On: true, Server: h.cfg.Syslog.Server, Waiting: int64(len(h.queue)), Lost: h.lost.Load()}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sender == nil {
		if h.why != nil {
			st.Error, st.Since = h.why.Error(), h.since
		}
		return st
	}
	s := h.sender.Status()
	st.Waiting, st.Bytes, st.Lost = st.Waiting+s.Waiting, s.Bytes, st.Lost+s.Dropped
	st.Error, st.Since = s.LastError, s.Since
	return st
}

// tellOf has the parts tell the herald what they do.
func (a *appliance) tellOf(place []byte) {
	h := newHerald(&a.cfg, place, a.log)
	a.roster.tell = func(c caller, code status.RefusalCode, detail string) {
		a.tallied.refuse(code)
		h.turnedAway(c, code, detail)
	}
	if h == nil {
		return
	}
	h.persons = a.personOf
	h.rounds = []func(){h.settleQuiet, h.forgetAlerts, h.integrity(a.damage), h.chain(a.auditReport)}
	a.herald, a.door.herald, a.sender.herald = h, h, h
}

// syslogStatus is how the audit messages fare.
func (a *appliance) syslogStatus() syslogStatus { return a.herald.status() }

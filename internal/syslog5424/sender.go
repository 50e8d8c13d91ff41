package syslog5424

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"
)

// Config is how a Sender works.
type Config struct {
	Dir     string // of the spool, for this alone; made if it is not there
	Quota   int64  // bytes of the spool. If zero, 64 MiB; at least 512 KiB.
	Address string // HOST:PORT of the receiver; without a port 6514 (RFC 5425 §4.1)

	// TLS has the anchors that the receiver's certificate must lead to (RootCAs; nil:
	// those of the system) and our own certificate, if there is one. TLS is 1.2 or
	// later; the name in the certificate is ServerName or, if empty, the host of
	// Address. If nil, the zero value.
	TLS *tls.Config

	Header Header

	// Lost makes the text that tells the receiver how many messages were lost, and
	// when that was noticed. If nil, a sentence in English with MSGID "LOST".
	Lost func(count int64, at time.Time) []byte

	Dial func(ctx context.Context, network, address string) (net.Conn, error) // If nil, that of net.Dialer.
	Now  func() time.Time                                                     // If nil, time.Now.
	Log  *slog.Logger                                                         // If nil, nothing is logged.
}

const (
	minQuota     = 512 << 10
	firstBackoff = time.Second
	maxBackoff   = 5 * time.Minute
	gather       = time.Second // between two connections when there is no backlog
)

// Sender keeps messages and sends them.
type Sender struct {
	config Config
	spool  *spool

	mu sync.Mutex
	// mu guards:
	last  error     // why the last attempt failed; nil: it did not
	since time.Time // of the first failure in a row
}

// Status is what a page shows.
type Status struct {
	Waiting   int64     // messages in the spool
	Bytes     int64     // of the spool
	Dropped   int64     // messages lost: since New, and before if that has not been told yet
	LastError string    // empty: all is well
	Since     time.Time // when sending began to fail; zero: it does not, or the disk does
}

func (c *Config) complete() error {
	host, port, err := net.SplitHostPort(c.Address)
	if err != nil {
		host, port = strings.Trim(c.Address, "[]"), "6514"
	}
	if host == "" || port == "" {
		return fmt.Errorf("syslog: address %q: HOST:PORT is wanted", c.Address)
	}
	c.Address = net.JoinHostPort(host, port)
	if c.Quota == 0 {
		c.Quota = 64 << 20
	}
	if c.Quota < minQuota {
		return fmt.Errorf("syslog: quota %d: at least %d bytes", c.Quota, minQuota)
	}
	if c.TLS, err = clientTLS(c.TLS, host); err != nil {
		return err
	}
	if _, err := c.Header.Format(0, time.Time{}, nil); err != nil {
		return fmt.Errorf("syslog: %w", err)
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// clientTLS: RFC 5425 §4.2 and §5; a receiver that proves nothing would be anybody.
func clientTLS(given *tls.Config, host string) (*tls.Config, error) {
	if given == nil {
		given = new(tls.Config)
	}
	if given.InsecureSkipVerify {
		return nil, errors.New("syslog: the receiver's certificate has to be verified")
	}
	t := given.Clone()
	t.MinVersion = max(t.MinVersion, tls.VersionTLS12)
	if t.ServerName == "" {
		t.ServerName = host
	}
	return t, nil
}

// New opens the spool and starts nothing.
func New(c Config) (*Sender, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	spool, err := openSpool(c.Dir, c.Quota, c.Now, c.Log)
	if err != nil {
		return nil, err
	}
	return &Sender{config: c, spool: spool}, nil
}

// Message is a text, when it was said, and how grave it is.
type Message struct {
	Severity int       // If zero, Notice.
	Time     time.Time // If zero, now.
	Text     []byte
}

// Append keeps a text as a message of that severity (zero: Notice) and time (zero: now):
// when it returns nil it is on the disk. It is for any goroutine. After an error the
// message is counted as lost.
func (s *Sender) Append(severity int, at time.Time, text []byte) error {
	return s.AppendAll(Message{severity, at, text})
}

// AppendAll is Append of several with one fsync. After an error those that could not be
// kept are counted as lost.
func (s *Sender) AppendAll(messages ...Message) error {
	var failed error
	var wire [][]byte
	for _, m := range messages {
		if m.Time.IsZero() {
			m.Time = s.config.Now()
		}
		b, err := s.config.Header.Format(m.Severity, m.Time, m.Text)
		if err != nil {
			s.spool.mu.Lock()
			s.spool.lose(1)
			s.spool.mu.Unlock()
			failed = errors.Join(failed, err)
			continue
		}
		wire = append(wire, b)
	}
	if len(wire) == 0 {
		return failed
	}
	return errors.Join(failed, s.spool.put(wire...))
}

// Run sends what is there and what comes until ctx ends. What is not sent then is sent by
// the next Run. There is one Run at a time.
func (s *Sender) Run(ctx context.Context) error {
	for backoff := firstBackoff; ; {
		sent, err := s.deliver(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			s.failed(err)
			pause(ctx, backoff-rand.N(backoff/5))
			backoff = min(2*backoff, maxBackoff)
		case sent:
			s.succeeded()
			backoff = firstBackoff
			if !s.spool.backlog() {
				pause(ctx, gather)
			}
		default:
			select {
			case <-ctx.Done():
			case <-s.spool.wake:
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// deliver sends the oldest segment, if there is one.
func (s *Sender) deliver(ctx context.Context) (sent bool, err error) {
	seg, all, err := s.spool.take()
	if err != nil || seg.number == 0 {
		s.spool.release()
		return false, err
	}
	wire, arrived := s.wire(all)
	if len(wire) > 0 {
		err = s.send(ctx, wire)
	}
	if err != nil {
		s.spool.release()
		return false, err
	}
	s.spool.done(seg, arrived)
	return true, nil
}

// wire frames records and counts the messages in them.
func (s *Sender) wire(all []record) (b []byte, messages int64) {
	for _, r := range all {
		m := r.body
		if r.kind == kindLost {
			m = s.confession(r.lost())
		} else {
			messages++
		}
		b = frame(b, m)
	}
	return b, messages
}

// confession tells of what was lost.
func (s *Sender) confession(count int64, at time.Time) []byte {
	if s.config.Lost != nil {
		if m, err := s.config.Header.Format(Warning, at, s.config.Lost(count, at)); err == nil {
			return m
		}
	}
	h := s.config.Header
	h.MsgID = "LOST"
	m, err := h.Format(Warning, at, fmt.Appendf(nil, "%d messages were lost before they could be sent", count))
	if err != nil {
		panic(fmt.Sprintf("a header that New has tried: %v", err))
	}
	return m
}

func (s *Sender) failed(err error) {
	s.mu.Lock()
	first := s.last == nil
	s.last = err
	if first {
		s.since = s.config.Now()
	}
	s.mu.Unlock()
	if first {
		s.config.Log.Warn("syslog messages wait", "receiver", s.config.Address, "error", err)
	}
}

func (s *Sender) succeeded() {
	s.mu.Lock()
	was := s.last
	s.last, s.since = nil, time.Time{}
	s.mu.Unlock()
	if was != nil {
		s.config.Log.Info("syslog messages are sent again", "receiver", s.config.Address)
	}
}

// Status is for any goroutine.
func (s *Sender) Status() (st Status) {
	s.mu.Lock()
	last := s.last
	st.Since = s.since
	s.mu.Unlock()
	p := s.spool
	p.mu.Lock()
	defer p.mu.Unlock()
	st.Waiting, st.Bytes, st.Dropped = p.active.messages, p.bytes, p.dropped
	for _, seg := range p.sealed {
		st.Waiting += seg.messages
	}
	if err := errors.Join(p.broken, last); err != nil {
		st.LastError = err.Error()
	}
	return st
}

// Close closes the spool; Run has ended before. What waits stays.
func (s *Sender) Close() error { return s.spool.close() }

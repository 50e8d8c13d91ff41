package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"edged/agent/enrol"
	"edged/internal/identity"
	"edged/uplink"
)

// sender runs the uplink as soon as the appliance is enrolled.
type sender struct {
	cfg  *Config
	feed *feed

	studies uplink.Studies // nil in tests: nobody is told
	herald  *herald        // nil: nobody is told

	place []byte
	boot  []byte
	log   *slog.Logger

	mu    sync.Mutex // guards what follows
	link  *uplink.Uplink
	shape uplink.Shape     // of the link; see reshape
	id    *identity.Bundle // that hubs are called with
	why   string           // there is no identity
}

func newSender(cfg *Config, f *feed, place []byte, log *slog.Logger) *sender {
	boot := make([]byte, 16)
	rand.Read(boot)
	s := &sender{cfg: cfg, feed: f, place: place, boot: boot, log: log, shape: cfg.shape()}
	f.device = s.device
	return s
}

// device is the identity that hubs know, "" as long as there is none.
func (s *sender) device() string {
	if id := s.held(); id != nil {
		return id.Device().ID
	}
	return ""
}

// enrolPoll is how often a not enrolled appliance looks for its certificate.
const enrolPoll = time.Second

// run waits for the identity, then sends until ctx ends. Without a hub it only
// waits: receive and keep.
func (s *sender) run(ctx context.Context) error {
	if len(s.cfg.Uplink.Hubs) == 0 {
		<-ctx.Done()
		return nil
	}
	id := s.await(ctx)
	if id == nil {
		return nil
	}
	s.hold(id)
	source, keep := s.herald.listenTo(s.feed)
	link, err := uplink.New(uplink.Config{
		Hubs: s.cfg.Uplink.Hubs, TLS: identity.FollowTLS(s.held), Source: source, Keeper: keep, Studies: s.studies, BootID: s.boot, DataDirID: s.place,
		Software: "edged " + version, Shape: s.caps(), Transport: s.cfg.Uplink.Transport, LanesMin: s.cfg.Uplink.Lanes.Min, LanesMax: s.cfg.Uplink.Lanes.Max,
		Proxy: s.cfg.Uplink.Proxy, DSCP: uint8(s.cfg.Uplink.DSCP), Progress: s.feed.going.sent, Logger: s.log,
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.link = link
	err = link.SetShape(s.shape) // it may have been changed meanwhile
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return link.Run(ctx)
}

// caps are the rates in force.
func (s *sender) caps() uplink.Shape {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shape
}

// await waits for an identity. One that is damaged is waited for as well: it
// stops what leaves, never what arrives (P13).
func (s *sender) await(ctx context.Context) *identity.Bundle {
	path := filepath.Join(s.cfg.identityDir(), enrol.File)
	for {
		id, err := identity.LoadBundle(path)
		if err == nil {
			return id
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = errNotEnrolled
		}
		s.missing(err)
		if !pause(ctx, enrolPoll) {
			return nil
		}
	}
}

var errNotEnrolled = errors.New("not enrolled: run `edged enroll --hub HOST:PORT --code CODE`")

// missing notes why there is no identity, and logs it when that is news.
func (s *sender) missing(why error) {
	s.mu.Lock()
	news := s.why != why.Error()
	s.why = why.Error()
	s.mu.Unlock()
	if news {
		s.log.Warn("nothing is sent", "err", why)
	}
}

// status is that of the uplink, or of none.
func (s *sender) status() uplink.Status {
	s.mu.Lock()
	link, why := s.link, s.why
	s.mu.Unlock()
	if link != nil {
		return link.Status()
	}
	st := uplink.Status{Transport: "none"}
	if len(s.cfg.Uplink.Hubs) > 0 {
		st.Hub, st.LastError = s.cfg.Uplink.Hubs[0], why
	}
	return st
}

// hold makes id what hubs are called with from the next connection on.
func (s *sender) hold(id *identity.Bundle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id = id
}

// held is nil as long as the appliance is not enrolled.
func (s *sender) held() *identity.Bundle {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

// certificateUntil is the end of the certificate that hubs are called with,
// zero when there is none.
func (s *sender) certificateUntil() time.Time {
	if id := s.held(); id != nil {
		return id.Cert.NotAfter
	}
	return time.Time{}
}

func (s *sender) enrolled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link != nil
}

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
	cfg   *Config
	feed  *feed
	place []byte
	boot  []byte
	log   *slog.Logger

	mu   sync.Mutex // guards link
	link *uplink.Uplink
}

func newSender(cfg *Config, f *feed, place []byte, log *slog.Logger) *sender {
	boot := make([]byte, 16)
	rand.Read(boot)
	return &sender{cfg: cfg, feed: f, place: place, boot: boot, log: log}
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
	id, err := s.await(ctx)
	if id == nil {
		return err
	}
	link, err := uplink.New(uplink.Config{
		Hubs: s.cfg.Uplink.Hubs, TLS: id.ClientTLS(), Source: s.feed, Keeper: s.feed, BootID: s.boot, DataDirID: s.place,
		Software: "edged " + version, RateBitsPerSecond: int64(s.cfg.Uplink.Rate), Logger: s.log,
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.link = link
	s.mu.Unlock()
	return link.Run(ctx)
}

func (s *sender) await(ctx context.Context) (*identity.Bundle, error) {
	path := filepath.Join(s.cfg.identityDir(), enrol.File)
	for told := false; ; {
		id, err := identity.LoadBundle(path)
		if err == nil {
			return id, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if !told {
			told = true
			s.log.Warn("not enrolled, nothing is sent: run `edged enroll --hub HOST:PORT --code CODE`")
		}
		if !pause(ctx, enrolPoll) {
			return nil, nil
		}
	}
}

// status is that of the uplink, or of none.
func (s *sender) status() uplink.Status {
	s.mu.Lock()
	link := s.link
	s.mu.Unlock()
	if link != nil {
		return link.Status()
	}
	st := uplink.Status{Transport: "none"}
	if len(s.cfg.Uplink.Hubs) > 0 {
		st.Hub, st.LastError = s.cfg.Uplink.Hubs[0], "not enrolled"
	}
	return st
}

func (s *sender) enrolled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link != nil
}

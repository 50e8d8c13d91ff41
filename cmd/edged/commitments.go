package main

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"edged/agent/status"
	"edged/dimse"
	"edged/dimse/commitment"
	"edged/internal/dicom"
	"edged/spool"
)

// commitments is storage commitment as this appliance means it: requests live as
// notes in the spool's journal, the spool says what has become of the instances,
// the configuration which devices are told what, and where.
type commitments struct {
	keeper *keeper
	roster *roster
	cfg    *Config
	log    *slog.Logger
	notes  *notebook
	engine *commitment.Engine
}

// commitmentNotes is the prefix of their notes.
const commitmentNotes = "commitment/"

func newCommitments(cfg *Config, k *keeper, r *roster, log *slog.Logger) (*commitments, error) {
	c := &commitments{keeper: k, roster: r, cfg: cfg, log: log, notes: newNotebook(k, commitmentNotes, log)}
	var err error
	c.engine, err = commitment.New(commitment.Config{Store: c, Judge: c.judge, Reach: c.reach, Same: c.same, Log: log})
	return c, err
}

var _ commitment.Store = (*commitments)(nil)

// Put keeps a request (commitment.Store).
func (c *commitments) Put(ctx context.Context, t commitment.Transaction) error {
	err := c.notes.put(ctx, t.Key(), t.Append(nil))
	if errors.Is(err, errNoRoom) {
		return errors.Join(commitment.ErrFull, err)
	}
	return err
}

// Drop forgets a request that was answered (commitment.Store).
func (c *commitments) Drop(ctx context.Context, key string) error { return c.notes.drop(ctx, key) }

// All gives the requests that are there at a start (commitment.Store).
func (c *commitments) All(ctx context.Context) (out []commitment.Transaction, err error) {
	texts, err := c.notes.all(ctx)
	for name, text := range texts {
		t, err := commitment.Parse(text)
		if err != nil {
			c.log.Error("a commitment request cannot be read and will not be answered", "note", name, "err", err)
			continue
		}
		out = append(out, t)
	}
	return out, err
}

// answer runs the engine until ctx ends; it goes on when the spool ended while its
// notes were read.
func (c *commitments) answer(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := c.engine.Run(ctx); err != nil && ctx.Err() == nil {
			c.log.Error("commitment requests cannot be read, trying again", "err", err, "in", reopenPause)
			pause(ctx, reopenPause)
		}
	}
	return nil
}

// watch tells the engine when instances got further. What else may decide a
// request, it looks for by itself, less often.
func (c *commitments) watch(ctx context.Context) error {
	for {
		s, err := c.keeper.await(ctx)
		if err != nil {
			return nil
		}
		c.engine.Changed()
		c.follow(ctx, s)
		if !pause(ctx, 100*time.Millisecond) {
			return nil
		}
	}
}

func (c *commitments) follow(ctx context.Context, s *spool.Spool) {
	w := s.Watch(1024) // a burst of confirmations between two looks
	defer w.Close()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	news, told := false, time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-w.C:
			news = news || e.Lost || e.Discarded || e.State == spool.Archived || e.State == spool.Quarantined
		case now := <-tick.C:
			if news && now.Sub(told) >= c.between() {
				news, told = false, now
				c.engine.Changed()
			}
			if current, _ := c.keeper.get(); current != s {
				return
			}
		}
	}
}

// between is how long to leave the engine alone: it asks the spool about every
// instance that is waited for, and images come first.
func (c *commitments) between() time.Duration {
	return time.Second * time.Duration(1+c.pending().Instances/20_000)
}

// reach says where a device takes calls: one address and a port, from the
// configuration and never from the device (PS3.4 §J.3.3.1.2 leaves it to us).
func (c *commitments) reach(calling string) (cfg dimse.ClientConfig, ok bool) {
	for _, d := range c.roster.listed() {
		address, one := d.single()
		if d.AETitle != calling || !one || d.Port == 0 {
			continue
		}
		if ok {
			return cfg, false // two of that name: which one asked?
		}
		ok = true
		cfg = dimse.ClientConfig{Address: netip.AddrPortFrom(address, uint16(d.Port)).String(), ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersion: dicom.ImplementationVersionName}
		if d.TLS == tlsServer || d.TLS == tlsMutual {
			secure, err := c.cfg.Dicom.TLS.callback(d, c.log)
			if err != nil {
				c.log.Error("device cannot be called", "calling", calling, "err", err)
				return cfg, false
			}
			cfg.TLS = secure
		}
	}
	return cfg, ok
}

func (c *commitments) same(calling string) commitment.Same {
	for _, d := range c.roster.listed() {
		if d.AETitle == calling && d.quirk(quirkNewAssociation) {
			return commitment.SameNever
		}
	}
	return commitment.SameIfOpen
}

// pending is what the status says.
func (c *commitments) pending() (out status.Commitments) {
	for _, l := range c.engine.Lines() {
		out.Requests += int64(l.Transactions)
		out.Instances += int64(l.References)
		out.Unreached += int64(l.Unreached)
	}
	return out
}

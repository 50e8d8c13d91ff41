package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// ScrubStats tells what Scrub has read.
type ScrubStats struct {
	Objects   int64     // since the start
	Bytes     int64     // content, since the start
	Damaged   int64     // found by it since the start
	Position  uint64    // it is behind this object of its pass
	PassEnded time.Time // when it had last read all; zero: not yet
}

const (
	scrubStep  = 256 << 10 // read at once; then it pauses as ScrubRate wants
	scrubPause = time.Hour // between two passes: a small spool is not read all day
	scrubNote  = time.Minute
	maxDoubt   = 8
)

// Scrub reads every object again, oldest first, over and over, at
// Config.ScrubRate, and compares digests (P14). What is damaged is quarantined
// at once, while the hub or the modality may still have a good copy. It blocks
// until ctx ends (then it returns nil) or the spool fails (then it returns why).
// A start goes on where it was a minute before the end. It starts no goroutine.
//
// A read error is not a digest that is wrong. Sectors that cannot be read are
// damage, a loose cable is none, and quarantining all that is behind it would
// stop what may go on by itself. So an object is damaged only when it cannot be
// read by two opens while another one behind it can; otherwise it is told, and
// the next pass comes by again. A pass reads what was taken for damaged, too: what
// proves whole is an object again. Too few descriptors or too little memory say
// nothing about the disk.
func (s *Spool) Scrub(ctx context.Context) error {
	k := scrubber{s: s, rate: s.cfg.ScrubRate, buf: make([]byte, scrubStep), noted: time.Now()}
	for s.cfg.ScrubRate > 0 && k.pass(ctx) && s.rest(ctx, scrubPause) {
	}
	if s.cfg.ScrubRate > 0 {
		k.note()
	}
	for s.rest(ctx, scrubPause) { // switched off, or over: in any case it blocks
	}
	if ctx.Err() != nil {
		return nil
	}
	return s.Err()
}

// rest waits; false when it is over.
func (s *Spool) rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-s.gone:
	case <-t.C:
		return true
	}
	return false
}

// scrubber is one run of Scrub.
type scrubber struct {
	s     *Spool
	rate  int64
	buf   []byte
	due   time.Time // when the next read may come
	noted time.Time
	doubt []doubted
}

// doubted is an object that cannot be read since one could.
type doubted struct {
	e   *entry
	err error
}

// pass reads everything once; false when it is over.
func (k *scrubber) pass(ctx context.Context) bool {
	for e := k.s.nextToScrub(); e != nil; e = k.s.nextToScrub() {
		wrong := k.s.wrongSoFar(e)
		err := k.object(ctx, e)
		if ctx.Err() != nil || k.s.Err() != nil {
			return false
		}
		k.judge(e, err, wrong)
		if len(k.doubt) > maxDoubt {
			k.s.cfg.Logger.Error("the disk cannot be read", "objects", len(k.doubt), "error", err)
			k.doubt = nil
		}
		if time.Since(k.noted) >= scrubNote {
			k.note()
		}
	}
	k.doubt = nil
	k.s.endScrubPass()
	k.note()
	return true
}

// nextToScrub returns the object that is next, or nil at the end of the pass.
func (s *Spool) nextToScrub() *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := s.at(s.scrub.Position); i < len(s.order); i++ {
		if e := s.order[i]; !e.gone && e.fate == inPlace {
			return e
		}
	}
	return nil
}

func (s *Spool) wrongSoFar(e *entry) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(e.wrong)
}

// object reads one, by a second open if the first fails. No lock is held.
func (k *scrubber) object(ctx context.Context, e *entry) error {
	err := k.read(ctx, e)
	if err != nil && !isDamage(err) && ctx.Err() == nil {
		err = k.read(ctx, e)
	}
	return err
}

func isDamage(err error) bool { return errors.Is(err, errNotSealed) || errors.Is(err, ErrCorrupt) }

func (k *scrubber) read(ctx context.Context, e *entry) error {
	askDisk(k.s.fs, e.seq)
	c, err := openContent(k.s.fs, k.s.keys, e.seq)
	if err != nil {
		return err
	}
	defer c.Close()
	if c.c.id != e.id {
		return fmt.Errorf("%w: the file holds another object", ErrCorrupt)
	}
	for r := c.Checked(0); ; {
		n, err := r.Read(k.buf)
		k.s.mu.Lock()
		k.s.scrub.Bytes += int64(n)
		k.s.mu.Unlock()
		if err == io.EOF {
			return nil
		}
		if err == nil && !k.pause(ctx, n) {
			err = context.Canceled
		}
		if err != nil {
			return err
		}
	}
}

// pause keeps the rate.
func (k *scrubber) pause(ctx context.Context, n int) bool {
	now := time.Now()
	if k.due.Before(now) {
		k.due = now
	}
	k.due = k.due.Add(time.Duration(float64(n) / float64(k.rate) * float64(time.Second)))
	return k.s.rest(ctx, k.due.Sub(now))
}

// judge notes what reading e said.
func (k *scrubber) judge(e *entry, err error, wrong int) {
	s := k.s
	s.mu.Lock()
	gone, known := e.gone, e.damaged
	s.scrub.Position = e.seq
	s.scrub.Objects++
	s.mu.Unlock()
	switch {
	case gone || starved(err) || known && err != nil: // says nothing
	case err == nil:
		s.provedWhole(e.id, e.seq, wrong)
		for _, d := range k.doubt {
			k.condemn(d.e, fmt.Errorf("%w: cannot be read: %w", ErrCorrupt, d.err))
		}
		k.doubt = nil
	case isDamage(err):
		k.condemn(e, err)
	case errors.Is(err, os.ErrNotExist):
		k.condemn(e, fmt.Errorf("%w: its file is gone", ErrCorrupt))
	default:
		s.cfg.Logger.Warn("object cannot be read", "seq", e.seq, "error", err)
		k.doubt = append(k.doubt, doubted{e, err})
	}
}

func (k *scrubber) condemn(e *entry, why error) {
	s := k.s
	s.mu.Lock()
	stays := !e.gone && !e.damaged
	if stays {
		s.scrub.Damaged++
	}
	s.mu.Unlock()
	if stays {
		s.logged(s.markDamaged(e.id, e.seq, why))
	}
}

// endScrubPass: where there was nothing to read, nothing was read.
func (s *Spool) endScrubPass() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.scrub.Position != 0 {
		s.scrub.Position, s.scrub.PassEnded = 0, s.cfg.Now()
	}
}

// note makes the position durable. A failure costs reading again.
func (k *scrubber) note() {
	k.noted = time.Now()
	k.s.mu.Lock()
	o := k.s.scrub.op()
	k.s.mu.Unlock()
	if err := k.s.oblige(o); err != nil {
		k.s.cfg.Logger.Debug("position of the scrub not written", "error", err)
	}
}

func (st ScrubStats) op() op {
	o := op{kind: opScrubbed, seq: st.Position}
	if !st.PassEnded.IsZero() {
		o.at = st.PassEnded.UnixNano()
	}
	return o
}

// adoptScrub goes on where the journal says.
func (s *Spool) adoptScrub(o op) {
	s.scrub.Position = o.seq
	if o.at != 0 {
		s.scrub.PassEnded = time.Unix(0, o.at)
	}
}

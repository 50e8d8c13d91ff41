package spool

import (
	"errors"
	"os"
	"sync"
	"time"
)

// Admission is what the spool can take at the moment (P7).
type Admission uint8

const (
	Admit         Admission = iota // everything
	PauseBackfill                  // no back-filling: the low-water mark is near
	Refuse                         // nothing: full, or the spool has failed
)

func (a Admission) String() string {
	return [...]string{"admit", "pause_backfill", "refuse", "?"}[min(a, 3)]
}

// space knows what is taken by objects that are still being written, and the ballast.
type space struct {
	mu      sync.Mutex // guards writing
	writing int64

	ballastMu sync.Mutex // guards ballast, held while it is made or removed
	ballast   bool       // the file is there
	retry     int64      // Spool.age before which it is not tried again,
	retryFree int64      // unless so much is free
	backoff   time.Duration
}

// ballastPause is how long a ballast that could not be made is left alone, twice as
// long each time up to an hour: under a quota statfs promises room that is not there,
// and each try would write up to the last byte of it. It does not wait where as much
// became free as it takes.
const ballastPause = time.Minute

// Admission says what Create would say. It costs one statfs.
//
// Refuse below ReserveBytes free or from MaxBytes on; PauseBackfill below twice
// the reserve or above nine tenths of MaxBytes.
func (s *Spool) Admission() Admission {
	free, err := s.fs.Free()
	if err != nil || s.Err() != nil {
		return Refuse
	}
	return s.cfg.admit(free, s.used())
}

func (c *Config) admit(free, used int64) Admission {
	switch {
	case free < c.ReserveBytes || c.MaxBytes > 0 && used >= c.MaxBytes:
		return Refuse
	case free < 2*c.ReserveBytes || c.MaxBytes > 0 && used >= c.MaxBytes-c.MaxBytes/10:
		return PauseBackfill
	}
	return Admit
}

// used counts committed containers and what is being written.
func (s *Spool) used() (n int64) {
	s.mu.Lock()
	for _, b := range s.bytes {
		n += b
	}
	s.mu.Unlock()
	s.space.mu.Lock()
	defer s.space.mu.Unlock()
	return n + s.space.writing
}

// take reserves n bytes for a Writer or says ErrFull.
func (p *space) take(s *Spool, n int64) error {
	if s.Admission() == Refuse {
		return s.refuse()
	}
	p.mu.Lock()
	p.writing += n
	p.mu.Unlock()
	return nil
}

func (p *space) give(n int64) {
	p.mu.Lock()
	p.writing -= n
	p.mu.Unlock()
}

// yieldBallast gives up the ballast, so that a receipt can be written on a full
// disk. False when there is none left.
func (s *Spool) yieldBallast() bool {
	s.space.ballastMu.Lock()
	defer s.space.ballastMu.Unlock()
	if !s.space.ballast {
		return false
	}
	s.space.ballast = false
	err := s.fs.Remove(ballastName)
	s.cfg.Logger.Warn("disk is full: gave up the ballast", "bytes", s.cfg.BallastBytes, "error", err)
	return err == nil
}

// restoreBallast makes the file again as soon as there is room for it beside
// the reserve. Zeros are written, not only allocated: a file with holes is no
// ballast. Its content never matters, so it is not synced.
func (s *Spool) restoreBallast() {
	s.mu.Lock()
	age := s.age
	s.mu.Unlock()
	s.space.ballastMu.Lock()
	defer s.space.ballastMu.Unlock()
	free, err := s.fs.Free()
	if s.space.ballast || s.cfg.BallastBytes == 0 || err != nil || age < s.space.retry && free < s.space.retryFree || free < s.cfg.ReserveBytes+s.cfg.BallastBytes {
		return
	}
	if err := s.writeBallast(); err != nil {
		s.space.backoff = min(max(2*s.space.backoff, ballastPause), time.Hour)
		s.space.retry, s.space.retryFree = age+int64(s.space.backoff), free+s.cfg.BallastBytes
		s.cfg.Logger.Warn("ballast not made", "again_in", s.space.backoff, "error", err)
		return
	}
	s.space.ballast, s.space.backoff = true, 0
}

func (s *Spool) writeBallast() error {
	if err := s.fs.Remove(ballastName); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := s.fs.Create(ballastName)
	if err != nil {
		return err
	}
	defer f.Close()
	zeros := make([]byte, min(s.cfg.BallastBytes, 1<<20))
	for left := s.cfg.BallastBytes; left > 0; left -= int64(len(zeros)) {
		if _, err := f.Write(zeros[:min(left, int64(len(zeros)))]); err != nil {
			return errors.Join(err, s.fs.Remove(ballastName))
		}
	}
	return nil
}

// findBallast says whether a whole one is there from the last time.
func (s *Spool) findBallast() {
	f, err := s.fs.Open(ballastName)
	if err != nil {
		return
	}
	defer f.Close()
	size, err := f.Size()
	s.space.ballast = err == nil && size > 0 && size >= s.cfg.BallastBytes
}

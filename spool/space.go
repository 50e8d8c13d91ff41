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

	ballastMu sync.Mutex // guards all below, held while the ballast is made or removed
	ballast   int64      // bytes of the file; zero: it is not there
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
	bytes := s.space.ballast
	if bytes == 0 {
		return false
	}
	s.space.ballast = 0
	err := s.fs.Remove(ballastName)
	s.cfg.Logger.Warn("disk is full: gave up the ballast", "bytes", bytes, "error", err)
	return err == nil
}

// ballastBytes is how large the ballast has to be: BallastBytes for receipts, and as
// much as notes take for the snapshot that holds them. That part doubles, so that
// notes which come one by one seldom have it made again.
func (s *Spool) ballastBytes() int64 {
	s.mu.Lock()
	notes := s.notes.bytes + s.notes.asking
	s.mu.Unlock()
	step := s.cfg.BallastBytes
	if notes == 0 || step == 0 {
		return step
	}
	for step < notes {
		step *= 2
	}
	return s.cfg.BallastBytes + step
}

// enoughBallast has the ballast made larger when there is room.
func (s *Spool) enoughBallast() bool {
	s.restoreBallast()
	want := s.ballastBytes()
	s.space.ballastMu.Lock()
	defer s.space.ballastMu.Unlock()
	return s.space.ballast >= want
}

// restoreBallast makes the file again as soon as there is room for it beside
// the reserve: what receipts take at least, and as much of what notes take as fits,
// so that receipts are not without any because of notes. Zeros are written, not only
// allocated: a file with holes is no ballast. Its content never matters, so it is
// not synced.
func (s *Spool) restoreBallast() {
	s.mu.Lock()
	age := s.age
	s.mu.Unlock()
	want := s.ballastBytes()
	s.space.ballastMu.Lock()
	defer s.space.ballastMu.Unlock()
	have := s.space.ballast
	if have >= want {
		return
	}
	free, err := s.fs.Free()
	free += have // it goes before the new one is made
	if want = s.fittingBallast(want, free-s.cfg.ReserveBytes); err != nil || want <= have || age < s.space.retry && free < s.space.retryFree {
		return
	}
	s.space.ballast = 0
	if err := s.writeBallast(want); err != nil {
		if have > 0 && s.writeBallast(have) == nil { // what there was at least
			s.space.ballast = have
		}
		s.space.backoff = min(max(2*s.space.backoff, ballastPause), time.Hour)
		s.space.retry, s.space.retryFree = age+int64(s.space.backoff), free+want
		s.cfg.Logger.Warn("ballast not made", "again_in", s.space.backoff, "error", err)
		return
	}
	s.space.ballast, s.space.backoff = want, 0
}

// fittingBallast is the largest that room has place for, zero if none. The part for
// notes is halved until it fits, so that one which grows with the room is seldom made
// again.
func (s *Spool) fittingBallast(want, room int64) int64 {
	receipts := s.cfg.BallastBytes
	for notes := want - receipts; want > room && want > receipts; notes /= 2 {
		if want = receipts + notes; notes < receipts {
			want = receipts
		}
	}
	if want > room {
		return 0
	}
	return want
}

func (s *Spool) writeBallast(bytes int64) error {
	if err := s.fs.Remove(ballastName); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := s.fs.Create(ballastName)
	if err != nil {
		return err
	}
	defer f.Close()
	zeros := make([]byte, min(bytes, 1<<20))
	for left := bytes; left > 0; left -= int64(len(zeros)) {
		if _, err := f.Write(zeros[:min(left, int64(len(zeros)))]); err != nil {
			return errors.Join(err, s.fs.Remove(ballastName))
		}
	}
	return nil
}

// findBallast finds a whole one that is there from the last time, large enough for
// receipts at least.
func (s *Spool) findBallast() {
	f, err := s.fs.Open(ballastName)
	if err != nil {
		return
	}
	defer f.Close()
	size, err := f.Size()
	if err == nil && size >= s.cfg.BallastBytes {
		s.space.ballast = size
	}
}

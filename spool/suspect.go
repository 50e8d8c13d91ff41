package spool

import (
	"errors"
	"fmt"
	"os"
)

// After a failed sync the page cache proves nothing (D-S6), and it outlives this
// process. What tells the next one is a name: "suspect". It is not synced, because
// it has to live exactly as long as the page cache that it warns of.
//
// A disk may refuse a sync because it is full: a thin pool does. So the marker must
// not need room. The file is there from the first start on, as "calm", and is only
// renamed; both names lie in one directory, and nothing is allocated.

// errSync marks the error of a sync. Whatever number it carries it is final: a full
// thin pool, a quota of a remote block device, memory that the kernel lacked. ENOSPC
// is transient where something was to be written, never here.
var errSync = errors.New("sync")

// synced marks the error of a sync, but not that of an open before it.
func synced(err error) error {
	if err == nil || noDescriptor(err) {
		return err
	}
	return fmt.Errorf("%w: %w", errSync, err)
}

// suspect leaves the marker. Should that fail in all ways, the kernel still tells
// the first syncfs afterwards of the failed writeback.
func (s *Spool) suspect() {
	err := markSuspect(s.fs)
	if err != nil && s.yieldBallast() {
		err = markSuspect(s.fs)
	}
	if err != nil {
		s.cfg.Logger.Error("no marker of the failure could be left for the next start", "error", err)
	}
}

// markSuspect also makes a file, where none was prepared, or a directory, which a
// process without descriptors still can.
func markSuspect(fs FS) error {
	err := fs.Rename(calmName, suspectName)
	if err == nil {
		return nil
	}
	f, cerr := fs.Create(suspectName)
	if cerr == nil {
		return f.Close()
	}
	if errors.Is(cerr, os.ErrExist) {
		return nil
	}
	if merr := fs.Mkdir(suspectName); merr != nil {
		return errors.Join(err, cerr, merr)
	}
	return nil
}

// calmDown takes the marker back, or prepares it. Not having it prepared is no
// reason to stop: it can still be made when it is needed.
func (s *Spool) calmDown(suspect bool) error {
	if suspect {
		if s.fs.Rename(suspectName, calmName) == nil {
			return nil
		}
		return s.fs.Remove(suspectName)
	}
	if f, err := s.fs.Create(calmName); err == nil {
		return f.Close()
	} else if !errors.Is(err, os.ErrExist) {
		s.cfg.Logger.Warn("marker not prepared", "error", err)
	}
	return nil
}

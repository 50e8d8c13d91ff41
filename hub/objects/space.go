package objects

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"edged/internal/dicom"
)

// Space is what is left on the disk, of partial objects and, without a bucket, of
// whole ones. A bucket tells nobody how much it still takes.
type Space struct {
	Free    int64 // bytes that we may still write
	Reserve int64 // of them stay free: Config.ReserveBytes, at most a tenth of the disk

	Apart bool // whole objects are in a bucket: to remove them makes no room here
	Full  bool // the bucket has refused the last object because it is full
}

// Short reports whether nothing new is taken.
func (s Space) Short() bool { return s.Free < s.Reserve }

// Tight reports whether whole objects that need not be here should go now.
func (s Space) Tight() bool {
	if s.Apart {
		return s.Full
	}
	return s.Free < 2*s.Reserve
}

// Space asks the file system, and remembers what the bucket said.
func (s *Store) Space() (Space, error) {
	var st unix.Statfs_t
	if err := s.statfs(s.dir, &st); err != nil {
		return Space{}, fmt.Errorf("free space: %w", err)
	}
	block := int64(st.Bsize)
	space := Space{Free: int64(st.Bavail) * block, Reserve: min(s.keep, int64(st.Blocks)*block/10)}
	if s.bucket != nil {
		space.Apart, space.Full = true, s.bucket.isFull()
	}
	return space, nil
}

// someRoom is what a disk has left that is not full: what does not fit there is
// too big for it, and others are not.
const someRoom = 16 << 20

// room returns an ErrFull unless n more bytes leave the reserve free. What is being
// written at the same time is not counted: the reserve is much larger.
func (s *Store) room(n int64) error {
	if s.keep == 0 {
		return nil
	}
	space, err := s.Space()
	left := space.Free - space.Reserve
	if err != nil || n <= left {
		return err
	}
	full := ErrFull
	if left >= someRoom {
		full = ErrTooBig
	}
	return fmt.Errorf("%w: %d bytes are free, %d of them are kept so", full, space.Free, space.Reserve)
}

// makeRoom is room, for p; where there is none, partial objects that nobody has claimed
// for a while make it, whosever they are, the longest unused first: they can be sent
// again. p.mu is held, so nobody else's is waited for.
func (s *Store) makeRoom(p *partial, n int64) error {
	for {
		err := s.room(n)
		if !errors.Is(err, ErrFull) || !s.dropUnused(p) {
			return err
		}
	}
}

// dropUnused reports whether there was one to drop.
func (s *Store) dropUnused(p *partial) bool {
	for _, other := range s.longestUnused() {
		if other != p && other.mu.TryLock() {
			old := time.Since(other.used) >= s.unused
			if old && other.owner == nil && !other.gone {
				s.log.Info("a partial object that nobody claims made room", "object", other.key.id, "bytes", other.onDisk)
				other.drop()
			}
			other.mu.Unlock()
			return old
		}
	}
	return false
}

// Remove forgets whole objects and returns those that are gone from the shelf for
// good; what was not there before counts. The caller has decided, durably, that
// no row needs them.
func (s *Store) Remove(ids []dicom.ID) (gone []dicom.ID, err error) { return s.shelf.remove(ids) }

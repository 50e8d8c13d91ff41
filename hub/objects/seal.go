package objects

import (
	"errors"
	"fmt"
	"sync"

	"edged/internal/dicom"
)

// parallel is how many files of one Seal are flushed at once.
const parallel = 4

// Seal makes complete partial objects durable under their IDs and answers for
// each: nil, ErrDigest (dropped: start again from 0), ErrPreempted, ErrLength when bytes are missing, or
// ErrFailed.
//
// The order is: compare digest, fdatasync(file), rename, and when all of the
// call stand there, one fsync for each directory. That fsync is the commit point.
func (s *Store) Seal(claims []*Partial) []error {
	errs := make([]error, len(claims))
	if err := s.Failed(); err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	s.flushAll(claims, errs)
	dirs := map[string][]int{}
	for i, c := range claims {
		if errs[i] == nil {
			dir := objectDir(c.p.key.id)
			dirs[dir] = append(dirs[dir], i)
		}
	}
	for dir, members := range dirs {
		if err := syncDir(s.root, dir); err != nil {
			err = s.fail(fmt.Errorf("fsync %s: %w", dir, err))
			for _, i := range members {
				errs[i] = err
			}
		}
	}
	return errs
}

// flushAll brings the files of all claims to their names, a few at a time.
func (s *Store) flushAll(claims []*Partial, errs []error) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for i, c := range claims {
		slots <- struct{}{}
		wg.Go(func() {
			errs[i] = c.flush()
			<-slots
		})
	}
	wg.Wait()
}

// flush proves one object, flushes it and gives it its name.
func (c *Partial) flush() error {
	p := c.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owner != c || p.gone {
		return ErrPreempted
	}
	if p.size != p.length {
		return fmt.Errorf("seal with %d of %d bytes: %w", p.size, p.length, ErrLength)
	}
	if err := p.ready(); err != nil {
		p.drop()
		return fmt.Errorf("seal: %w", full(err))
	}
	if dicom.ID(p.hash.Sum(nil)) != p.key.id {
		p.drop()
		return ErrDigest
	}
	if err := p.store.fdatasync(int(p.file.Fd())); err != nil {
		// Never flushed again and never believed: the pages may be marked clean (P8).
		p.drop()
		if err = full(err); errors.Is(err, ErrFull) {
			return err
		}
		return p.store.fail(fmt.Errorf("fdatasync: %w", err))
	}
	return p.name()
}

// name renames the flushed file and ends the partial object.
func (p *partial) name() error {
	if err := p.store.root.Rename(p.key.path(), objectPath(p.key.id)); err != nil {
		p.drop()
		return fmt.Errorf("seal: %w", full(err))
	}
	p.close()
	p.store.account(p.key.device, -p.onDisk)
	p.forget()
	return nil
}

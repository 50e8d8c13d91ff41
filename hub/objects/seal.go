package objects

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"edged/internal/dicom"
)

// parallel is how many flushes one Seal of a directory has under way: a disk merges them.
const parallel = 8

// Seal makes complete partial objects durable under their IDs and answers for
// each: nil, ErrDigest (dropped: start again from 0), ErrPreempted, ErrLength when bytes are missing,
// ErrFull, or ErrFailed.
//
// In a directory the order is: compare digest, fdatasync(file), name, and when all of the
// call stand there, one fsync for each directory. That fsync is the commit point. In a
// bucket it is the answer to the request that stores the whole object, see package comment.
// After ErrFull from there the claim has ended, and its bytes stay for the next one.
//
// What is sealed stays claimed, and its bytes stay this device's, until Recorded: if
// its row cannot be written, or the hub ends before it is, the next claim has all
// bytes and is sealed again, to no effect.
func (s *Store) Seal(claims []*Partial) []error {
	errs := make([]error, len(claims))
	if err := s.Failed(); err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	s.shelf.seal(claims, errs)
	return errs
}

func (d directory) seal(claims []*Partial, errs []error) {
	d.flushAll(claims, errs)
	d.syncDirs(claims, errs)
}

// flushAll brings the files of all claims to their names, a few at a time.
func (d directory) flushAll(claims []*Partial, errs []error) {
	inParallel(len(claims), parallel, func(i int) { errs[i] = claims[i].flush() })
}

// syncDirs flushes each directory in which an object got its name.
func (d directory) syncDirs(claims []*Partial, errs []error) {
	members := map[string][]int{}
	for i, c := range claims {
		if errs[i] == nil {
			dir := objectDir(c.p.key.id)
			members[dir] = append(members[dir], i)
		}
	}
	dirs := slices.Collect(maps.Keys(members))
	inParallel(len(dirs), parallel, func(n int) {
		err := d.sync(dirs[n])
		if err == nil {
			return
		}
		for _, i := range members[dirs[n]] {
			errs[i] = err
			if errors.Is(err, ErrFull) {
				claims[i].Release() // nothing was tried: sealed again the directory is flushed
				continue
			}
			claims[i].Drop() // sealed again it would change no directory, and nothing would be flushed
		}
	})
}

// inParallel calls f for 0 to n-1, width at a time, and waits for all.
func inParallel(n, width int, f func(int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, width) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}

// flush proves one object, flushes it and gives it its name.
func (c *Partial) flush() error {
	p := c.p
	p.mu.Lock()
	defer p.mu.Unlock()
	p.readAgain(c)
	if err := c.prove(); err != nil {
		c.keep(err)
		return err
	}
	if err := p.store.fdatasync(int(p.file.Fd())); err != nil {
		// Never flushed again and never believed: the pages may be marked clean (P8).
		p.drop()
		if err = full(err); errors.Is(err, ErrFull) {
			return err
		}
		return p.store.fail(fmt.Errorf("fdatasync: %w", err))
	}
	err := p.name()
	c.keep(err)
	return err
}

// readAgain forgets what was hashed when the file was closed since: an error of writing
// it out may have been told to nobody then (P8). Once before the seal, not at each opening.
func (p *partial) readAgain(c *Partial) {
	if p.again && p.owner == c && !p.gone {
		p.hash, p.hashed, p.again = p.names.NewHash(), 0, false
	}
}

// keep ends a claim where there was no descriptor or no memory, and keeps the bytes.
func (c *Partial) keep(err error) {
	if spent(err) && c.p.owner == c && !c.p.gone {
		c.p.rest()
	}
}

// prove says whether c may be sealed: all bytes are there and have the digest.
// p.mu is held.
func (c *Partial) prove() error {
	p := c.p
	if p.owner != c || p.gone {
		return ErrPreempted
	}
	if p.size != p.length {
		return fmt.Errorf("seal with %d of %d bytes: %w", p.size, p.length, ErrLength)
	}
	if err := p.ready(); err != nil {
		if !spent(err) {
			p.drop()
		}
		return fmt.Errorf("seal: %w", full(err))
	}
	if dicom.ID(p.hash.Sum(nil)) != p.key.id {
		p.drop()
		return ErrDigest
	}
	return nil
}

// name gives the flushed file its second name. Where there is an object already, of
// another appliance or of an earlier life of the hub, it is replaced: two files, or
// two names of one, of which the kernel leaves both (rename(2)).
func (p *partial) name() error {
	from, to := p.key.path(), objectPath(p.key.id)
	p.close()
	p.again = false // its bytes were flushed
	err := p.store.root.Link(from, to)
	if spent(err) {
		return fmt.Errorf("seal: %w", full(err))
	}
	p.sealed = true
	if err == nil {
		return nil
	}
	if err := p.store.root.Rename(from, to); err != nil {
		if spent(err) {
			p.sealed = false
		} else {
			p.drop()
		}
		return fmt.Errorf("seal: %w", full(err))
	}
	if err := p.store.root.Link(to, from); err != nil && !errors.Is(err, fs.ErrExist) {
		// A file system without links, or no room: it is sealed, no more.
		p.store.account(p.key.device, -p.onDisk)
		p.forget()
	}
	return nil
}

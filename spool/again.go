package spool

import (
	"errors"
	"fmt"
	"path"
	"slices"
)

// What was taken for damaged is read again at every start: a loose cable passes,
// and a file proves by itself whether it is what was stored. Nothing else counts:
// what proves whole is an object again, whatever was said of it before.

// second is that look.
type second struct {
	*recovery
	place map[uint64]ID // of what is in its place
	whole map[ID]bool   // here, and nobody doubts it
}

// lookAgain clears what is in its place and proves whole, and brings back what
// lies in the quarantine folder, or under a wrong name, and does so. It is done
// when the file is there; a segment that says so follows. Cut before that, the
// next start comes to the same end.
func (r *recovery) lookAgain() error {
	k := second{r, map[uint64]ID{}, map[ID]bool{}}
	for _, o := range r.found {
		k.place[o.seq] = o.c.id
		if !r.doubted(o.seq, o.c) {
			k.whole[o.c.id] = true
		}
	}
	if err := k.inPlace(); err != nil {
		return err
	}
	names, err := r.s.fs.ReadDir(quarantineDir)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if seq, ok := parseObjectName(name); ok {
			if _, err := k.elsewhere(path.Join(quarantineDir, name), seq); err != nil {
				return err
			}
		}
	}
	return k.strangers()
}

// doubted says whether the journal takes the object in place for damaged; also
// when it did not know which object that was.
func (r *recovery) doubted(seq uint64, c *container) bool {
	f := r.book.facts[seq]
	return f != nil && f.damaged && (f.id == c.id || f.id == ID{})
}

// inPlace looks at files that are where they belong. After a failed sync, one that
// does not prove whole now goes to quarantine: were it found whole later, then
// perhaps only in the page cache, and what comes from there is written anew.
func (k second) inPlace() error {
	for i, o := range k.found {
		if !k.doubted(o.seq, o.c) || k.whole[o.c.id] {
			continue
		}
		_, err := k.prove(objectName(o.seq), o.seq)
		if err := k.ctx.Err(); err != nil {
			return err
		}
		if f := k.book.facts[o.seq]; err != nil && f.id == (ID{}) { // now it is known whose damage that is
			*f = facts{id: o.c.id, quarantined: true, damaged: true, reason: clip("damaged: " + err.Error())}
		}
		switch {
		case err == nil:
			k.clear(o.seq, o.seq, o.c)
		case k.suspect && o.seq >= k.book.standing.mark && !starved(err):
			if err := k.setAside(o.seq, err); err != nil {
				return err
			}
			delete(k.place, o.seq)
			k.found[i].c = nil
		}
	}
	k.found = slices.DeleteFunc(k.found, func(o found) bool { return o.c == nil })
	return nil
}

// strangers looks at names that are of no object. What holds one all the same goes
// to its place, or at least to the quarantine folder, where everybody is told of it.
func (k second) strangers() error {
	for _, name := range k.foreign {
		done, err := k.elsewhere(name, 0)
		if err == nil && !done {
			done, err = k.takeIn(name)
		}
		if err != nil {
			return err
		}
		if !done {
			k.rep.Foreign++
			k.s.cfg.Logger.Warn("foreign file in the spool, left alone", "name", name)
		}
	}
	return nil
}

// takeIn moves a foreign file whose seal names an object that is not here whole.
func (k second) takeIn(name string) (bool, error) {
	b, c, err := k.openAny(name)
	if b != nil {
		b.Close()
	}
	if err != nil || k.gone(c.seq, c) || k.occupied(c) || exists(k.s.fs, asideName(c.seq)) {
		return false, nil
	}
	if err := k.s.fs.Rename(name, asideName(c.seq)); noSpace(err) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return true, synced(k.s.fs.SyncDir(quarantineDir))
}

// elsewhere brings the file of that name to the place that its seal tells, if it
// is whole and nothing is there. seq is what its name says; zero: nothing. The
// bytes are copied: those in the page cache may have been refused by the disk.
func (k second) elsewhere(name string, seq uint64) (bool, error) {
	b, c, err := k.openAny(name)
	if b != nil {
		b.Close()
	}
	if err != nil || k.gone(seq, c) || k.gone(c.seq, c) {
		return false, nil
	}
	if id, here := k.place[c.seq]; here && id == c.id {
		return k.twice(name, c)
	}
	if k.occupied(c) || k.whole[c.id] {
		return false, nil
	}
	if c, err = k.prove(name, c.seq); err != nil {
		return false, k.ctx.Err()
	}
	switch err := k.copyToPlace(name, c.seq); {
	case errors.Is(err, errSync):
		return false, err
	case isDamage(err), noSpace(err), starved(err):
		k.s.cfg.Logger.Warn("file in quarantine is whole and cannot be brought back now", "name", name, "error", err)
		return false, nil
	case err != nil:
		return false, err
	}
	k.s.lean(c)
	k.found = append(k.found, found{c.seq, c})
	k.place[c.seq], k.maxSeq = c.id, max(k.maxSeq, c.seq)
	k.spare = append(k.spare, name)
	k.clear(seq, c.seq, c)
	return true, nil
}

// twice is a file that is in its place as well: a start was cut behind the copy.
// It may go when the copy proves itself and its name is durable.
func (k second) twice(name string, c *container) (bool, error) {
	if k.doubted(c.seq, c) {
		return false, nil
	}
	if _, err := k.prove(objectName(c.seq), c.seq); err != nil {
		return false, k.ctx.Err()
	}
	if k.suspect { // the sync that failed may have been that of its name: it is made anew
		switch err := k.copyToPlace(name, c.seq); {
		case errors.Is(err, errSync):
			return false, err
		case err != nil:
			return false, k.ctx.Err()
		}
	} else if err := synced(k.s.fs.SyncDir(shardName(c.seq))); err != nil {
		return false, err
	}
	k.spare = append(k.spare, name)
	return true, nil
}

func (r *recovery) openAny(name string) (*blob, *container, error) {
	b, err := openBlob(r.s.fs, r.s.keys, name)
	if err != nil {
		return b, nil, err
	}
	c, err := readContainer(b, b.size)
	if err == nil && (c.seq == 0 || c.seq >= maxSeq) {
		err = fmt.Errorf("%w: number %d", errNotSealed, c.seq)
	}
	if c != nil {
		c.disk = b.disk
	}
	return b, c, err
}

// prove reads all of a file that must be the object seq.
func (r *recovery) prove(name string, seq uint64) (*container, error) {
	b, c, err := r.openAny(name)
	if b != nil {
		defer b.Close()
	}
	if err == nil && c.seq != seq {
		err = fmt.Errorf("%w: the seal is of object %d", errNotSealed, c.seq)
	}
	if err == nil {
		err = c.proveContent(contextReaderAt{r.ctx, b}, nil)
	}
	return c, err
}

// gone says whether a row let the object go: what is left of it is unlinked.
func (k second) gone(seq uint64, c *container) bool { return k.healed[seq] || k.tomb[seq] == c.id }

// occupied says whether the place of c is another's, by a file or by the journal.
func (k second) occupied(c *container) bool {
	f := k.book.facts[c.seq]
	return k.unread[c.seq] != nil || exists(k.s.fs, objectName(c.seq)) || f != nil && f.id != c.id && f.id != ID{}
}

// clear takes back what was said of the bytes of an object, under its own number
// and under the one that its file's name had. What nobody had taken for an object
// counts as received now.
func (k second) clear(named, seq uint64, c *container) {
	f := k.book.facts[seq]
	if f == nil && named != seq && k.book.facts[named] != nil && k.book.facts[named].id == c.id {
		f = k.book.facts[named]
		delete(k.book.facts, named)
	}
	if f != nil && f.torn && f.id == (ID{}) && seq < k.book.standing.mark && !c.test {
		k.book.standing.counters[CountReceived]++
	}
	if f != nil && f.id == c.id {
		healed := f.healed()
		k.book.facts[seq] = &healed
	} else {
		delete(k.book.facts, seq)
	}
	delete(k.damage, c.id)
	k.whole[c.id] = true
	k.rep.Returned++
	k.s.cfg.Logger.Info("object that was taken for damaged is whole", "seq", seq, "id", c.id)
}

package spool

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
)

// CommitResult says what a Commit did.
type CommitResult uint8

const (
	Fresh     CommitResult = iota // a new object is here now
	Duplicate                     // the same object was here already and is untouched (P4)
)

// pendingCommit lets a second Commit of the same ID wait for the first.
type pendingCommit struct{ done chan struct{} }

// Commit makes the object durable and visible, and only then returns.
//
// Syscall order (D-S1): write the rest and the seal, rename to the final name,
// fdatasync(file), fsync(directory) shared with whoever else is waiting. The
// commit point is that fsync: before it a crash leaves the object absent, whole
// or set aside; after it the object is there. Nothing acts on the object before
// Commit has returned.
//
// ctx is looked at before the rename only; what is behind it cannot be taken
// back. ErrFull leaves nothing behind. A process without descriptors gets it, too:
// the rename opens the directory, or fails before it, and nothing behind it has
// to open anything. Every other error of the disk is fatal
// to the spool (P8): the object may or may not be there after recovery.
func (w *Writer) Commit(ctx context.Context) (Object, CommitResult, error) {
	if w.closed {
		return Object{}, 0, errors.New("commit of an object that was closed")
	}
	defer w.Abort()
	if w.err != nil {
		return Object{}, 0, w.err
	}
	id := ID(w.hash.Sum(nil))
	e, twin, err := w.s.claimProved(ctx, id)
	if err != nil {
		return Object{}, 0, err
	}
	if twin != nil {
		return *twin, Duplicate, nil
	}
	w.describe(e)
	if err = w.place(e); err == nil {
		w.closed = true // the name in tmp is gone, Abort has nothing to do
	}
	o, err := w.s.settle(e, w.new, w.s.cfg.Source(w.new.Meta), err)
	if err != nil {
		return Object{}, 0, err
	}
	o.Meta = w.new.Meta
	return o, Fresh, nil
}

func (w *Writer) describe(e *entry) {
	e.content, e.start = w.n, int64(len(w.head))
	e.disk = w.s.keys.sizeOnDisk(e.start + e.content + sealSize)
	e.received = w.s.cfg.Now().UnixNano()
	e.flags, e.priority, e.test, e.preface = w.new.Flags|w.end.Flags, w.new.Priority, w.new.Test, uint32(len(w.new.Preface))
	e.name = sumOf(w.new.Name)
}

// claim reserves id and gives it a sequence number, or returns the durable
// object that has it already. While the same object is being committed by
// somebody else it waits: a duplicate is answered only when the first copy is
// itself durable. A copy that is known to be damaged answers for nothing.
func (s *Spool) claim(ctx context.Context, id ID) (*entry, *Object, error) {
	for {
		s.mu.Lock()
		if err := errors.Join(s.usable(), ctx.Err()); err != nil {
			s.mu.Unlock()
			return nil, nil, err
		}
		if old := s.byID[id]; old != nil && !old.damaged {
			o := old.object()
			s.mu.Unlock()
			o.Meta = s.meta(o.Seq)
			return nil, &o, nil
		}
		first := s.pending[id]
		if first == nil {
			e := &entry{facts: facts{id: id}, seq: s.next}
			s.next++
			s.inflight[e.seq] = struct{}{}
			s.pending[id] = &pendingCommit{done: make(chan struct{})}
			s.mu.Unlock()
			return e, nil, nil
		}
		s.mu.Unlock()
		select {
		case <-first.done:
		case <-s.gone:
		case <-ctx.Done():
		}
	}
}

// place carries out the order above.
func (w *Writer) place(e *entry) error {
	s := w.s
	if err := s.makeShard(e.seq); err != nil {
		return s.openError(err)
	}
	end := seal{seq: e.seq, content: e.content, received: e.received, id: e.id, head: sha256.Sum256(w.head), end: w.end}
	if _, err := w.buf.Write(end.encode()); err != nil {
		return s.writeError(fmt.Errorf("write object: %w", err))
	}
	if err := w.buf.Flush(); err != nil {
		return s.writeError(fmt.Errorf("write object: %w", err))
	}
	if err := w.out.finish(); err != nil {
		return s.writeError(fmt.Errorf("write object: %w", err))
	}
	w.startWriting(w.out.n)
	if err := s.fs.Rename(w.tmp, objectName(e.seq)); err != nil {
		return s.writeError(fmt.Errorf("name object: %w", err))
	}
	if mutant == mutantIndexAhead {
		s.indexAhead(e)
	}
	err := s.syncObject(w.f)
	w.release()
	if err == nil {
		err = s.syncShard(e.seq)
	}
	if err != nil {
		return s.fail(err)
	}
	return nil
}

func (s *Spool) syncObject(f File) error {
	if mutant == mutantNoFileSync {
		return nil
	}
	err := f.Sync()
	if err != nil && mutant == mutantSecondSync {
		err = f.Sync()
	}
	if err != nil {
		return fmt.Errorf("sync object: %w", err)
	}
	return nil
}

// syncShard shares one fsync among all whose renames happened before it starts.
// Neighbours in sequence nearly always lie in one directory; at a border the
// leader syncs both.
//
// A failure ends the spool before the next leader can begin: Linux tells it once,
// so a second fsync of that directory would say yes to names that are not on the
// disk (SPOOL-4, D-S6).
func (s *Spool) syncShard(seq uint64) error {
	if mutant == mutantNoDirSync {
		return nil
	}
	return s.shards.do([]op{{seq: seq}}, func(ops []op) error {
		if err := s.Err(); err != nil {
			return err
		}
		done := map[string]bool{}
		for _, o := range ops {
			dir := shardName(o.seq)
			if done[dir] {
				continue
			}
			done[dir] = true
			if err := s.fs.SyncDir(dir); err != nil {
				return s.fail(fmt.Errorf("sync object directory: %w", err))
			}
		}
		return nil
	})
}

// makeShard creates the directory of a sequence number, durable in its parent
// before anything in it is acknowledged (SPOOL-3). Whoever waited while that failed
// does not sync the parent again (SPOOL-4).
func (s *Spool) makeShard(seq uint64) error {
	dir := shardName(seq)
	s.dirMu.Lock()
	defer s.dirMu.Unlock()
	if s.dirs[dir] {
		return nil
	}
	if err := s.Err(); err != nil {
		return err
	}
	if err := s.fs.Mkdir(dir); err != nil {
		return fmt.Errorf("create object directory: %w", err)
	}
	if mutant != mutantNoParentSync {
		if err := s.fs.SyncDir(objectsDir); err != nil {
			return s.fail(synced(err))
		}
	}
	s.dirs[dir] = true
	return nil
}

// settle ends a claim: the object becomes visible, or its number stays unused.
func (s *Spool) settle(e *entry, n New, source string, err error) (Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.inflight, e.seq)
	p := s.pending[e.id]
	delete(s.pending, e.id)
	defer close(p.done)
	if err == nil {
		err = s.usable() // somebody else's sync failed meanwhile: say nothing good
	}
	if err != nil {
		return Object{}, err
	}
	e.source = s.sources.number(source)
	e.group = s.intern(n.Group)
	e.part = e.group.part(n.Part)
	if old := s.byID[e.id]; old != nil {
		e.inherit(old)
		s.wakeRun()
	}
	s.publish(e)
	s.arrived(e.group, n)
	s.day.add(hourOf(s.age), e.size())
	if !e.test && !e.again {
		s.counters[CountReceived]++
	}
	s.dirty = true
	s.unproved += e.size() + unprovedEach
	if s.unproved >= maxUnproved {
		s.unproved = 0
		s.wakeRun()
	}
	return e.object(), nil
}

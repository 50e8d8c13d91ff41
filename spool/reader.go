//go:build linux

package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
)

// Reader looks at a spool while no daemon runs on it. It changes nothing and
// uses no index: what it says comes from the files and the journal.
type Reader struct {
	fs   *osFS
	keys *keyring
	lock io.Closer
	book *book
	tomb map[uint64]ID
	heal map[uint64]bool // damaged copies that were replaced by good ones

	names map[nameSum]ID // of Each: the first object of a name
	past  tombs          // what was forgotten, by name
	seqs  []uint64
	bad   error // directories of objects that cannot be read; nil: none
}

// OpenReadOnly opens dir. key is that of Config; nil when nothing is encrypted.
// ErrLocked means that a daemon is running: ask that one.
func OpenReadOnly(dir string, key []byte) (*Reader, error) {
	keys, err := newKeyring(key)
	if err != nil {
		return nil, err
	}
	fs, err := openOSFS(dir)
	if err != nil {
		return nil, err
	}
	lock, err := fs.Lock(true)
	if err != nil {
		fs.close()
		return nil, fmt.Errorf("spool %s: %w", dir, err)
	}
	r := &Reader{fs: fs, keys: keys, lock: lock}
	if err := r.load(); err != nil {
		r.Close()
		return nil, fmt.Errorf("read spool %s: %w", dir, err)
	}
	return r, nil
}

func (r *Reader) load() (err error) {
	if r.book, _, err = readJournal(r.fs, r.keys); err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		r.book = newBook() // nothing was ever kept here
	}
	r.tomb, r.heal = tombsBySeq(r.book.tombs), healedBySeq(r.book.tombs)
	for _, o := range r.book.tombs {
		r.past.add(o, len(r.book.tombs))
	}
	shards, err := r.fs.ReadDir(objectsDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(shards) > 0 {
		r.seqs, err = listObjects(r.fs, r.seeDirectory)
	}
	return err
}

// seeDirectory: one that cannot be read holds nothing up, as at a start (P6); Each
// tells of it when all others have been seen.
func (r *Reader) seeDirectory(dir string, _ []string, err error) error {
	_, ours := shardOf(path.Base(dir))
	if err == nil || !ours || starved(err) {
		return unlessForeign(ours, err)
	}
	r.bad = errors.Join(r.bad, fmt.Errorf("directory of objects cannot be read: %w", err))
	return nil
}

// Close frees the lock.
func (r *Reader) Close() error {
	return errors.Join(r.lock.Close(), r.fs.close())
}

// Each calls f with every object, oldest first, until f returns an error. What
// nobody has proved yet, from the mark on, is read and compared as a start would. What
// is no whole container comes as an Object in state Quarantined, Damaged, with
// the reason and the ID that the journal has, else zero. Files of forgotten
// objects that are still there do not come. What is lost comes last, and after it an
// error if a directory of objects cannot be read: what is in there and not in the
// journal did not come.
func (r *Reader) Each(f func(Object) error) error {
	here, whole, closed := map[uint64]bool{}, map[ID]bool{}, map[uint64]error{}
	r.names = map[nameSum]ID{}
	for _, seq := range r.seqs {
		o, forgotten, err := r.object(seq)
		if errors.Is(err, errClosed) {
			closed[seq] = err
			continue
		}
		if err != nil {
			return err
		}
		if forgotten {
			continue
		}
		here[seq] = true
		whole[o.ID] = whole[o.ID] || !o.Damaged
		if err := f(o); err != nil {
			return err
		}
	}
	if err := r.eachLost(here, whole, closed, f); err != nil {
		return err
	}
	return r.bad
}

// eachLost passes over what has come again already, though no row says so yet.
func (r *Reader) eachLost(here map[uint64]bool, whole map[ID]bool, closed map[uint64]error, f func(Object) error) error {
	all, _, err := findLost(context.Background(), r.fs, r.keys, r.book, here, closed)
	if err != nil {
		return err
	}
	for _, l := range all {
		if whole[l.id] {
			continue
		}
		if err := f(l.entry().object()); err != nil {
			return err
		}
	}
	return nil
}

// errClosed is a file that cannot be opened, by itself.
var errClosed = errors.New("no way into it")

func (r *Reader) object(seq uint64) (o Object, forgotten bool, err error) {
	if r.heal[seq] {
		return o, true, nil
	}
	b, c, err := openObject(r.fs, r.keys, seq)
	if b == nil && starved(err) {
		return o, false, err
	}
	if b == nil {
		return o, false, fmt.Errorf("%w: %w", errClosed, err)
	}
	defer b.Close()
	if err == nil && seq >= r.book.standing.mark && r.tomb[seq] != c.id {
		err = c.proveContent(b, nil) // as a start does: behind the mark a seal proves nothing
	}
	if notOurs(err) {
		return o, false, err
	}
	if err != nil {
		return r.broken(seq, err), false, nil
	}
	if r.tomb[seq] == c.id {
		return o, true, nil
	}
	o = c.object(r.book.facts[seq])
	o.Conflict = r.meets(c)
	return o, false, nil
}

// broken is a file that is no whole container and that no start has set aside yet.
func (r *Reader) broken(seq uint64, why error) Object {
	var f facts
	if known := r.book.facts[seq]; known != nil {
		f = *known
	}
	f.quarantined, f.damaged, f.reason = true, true, why.Error()
	if f.id == (ID{}) {
		f.id, _ = identify(context.Background(), r.fs, r.keys, objectName(seq), seq) // why is known
	}
	if f.id == (ID{}) && r.book.unproved(seq) {
		f.torn, f.reason = true, tornReason
	}
	return Object{ID: f.id, Seq: seq, State: Quarantined, Damaged: true, Unfinished: f.torn, HubHasCopy: f.hubHasCopy(), Reason: f.because()}
}

// object is the container as callers see it; f may be nil.
func (c *container) object(f *facts) Object {
	e := &entry{facts: facts{id: c.id}, seq: c.seq, start: c.start, content: c.content, disk: c.disk, received: c.received,
		group: &group{name: c.group}, part: &part{name: c.part}, flags: c.flags, preface: uint32(c.parts.preface), priority: c.priority, test: c.test}
	if f != nil && f.id == c.id {
		e.facts = *f
	}
	o := e.object()
	o.Meta = c.meta
	return o
}

// Open opens the content of the object with that sequence number.
func (r *Reader) Open(seq uint64) (*Content, error) {
	c, err := openContent(r.fs, r.keys, seq)
	if err != nil {
		return nil, fmt.Errorf("open object %d: %w", seq, err)
	}
	return c, nil
}

// Verify reads an object and checks seal and digest (P14).
func (r *Reader) Verify(ctx context.Context, seq uint64) error {
	askDisk(r.fs, seq)
	c, err := r.Open(seq)
	if err == nil {
		defer c.Close()
		_, err = io.CopyBuffer(onlyWriter{io.Discard}, contextReader{ctx, c.Checked(0)}, make([]byte, 256<<10))
	}
	if errors.Is(err, errNotSealed) {
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

// Counters returns the counters as the journal has them, and with them the
// objects that came after it was last written.
func (r *Reader) Counters() (map[string]uint64, error) {
	out := map[string]uint64{}
	for name, n := range r.book.standing.counters {
		out[name] = n
	}
	err := r.Each(func(o Object) error {
		if o.Seq >= r.book.standing.mark && !o.Test && !o.Lost && o.ID != (ID{}) {
			out[CountReceived]++
		}
		return nil
	})
	return out, err
}

// Forgotten lists the objects that were forgotten last, newest first.
func (r *Reader) Forgotten(limit int) []Forgotten { return forgottenOf(r.book.tombs, limit) }

func tombsBySeq(list []op) map[uint64]ID {
	m := make(map[uint64]ID, len(list))
	for _, o := range list {
		m[o.seq] = o.id
	}
	return m
}

func healedBySeq(list []op) map[uint64]bool {
	m := map[uint64]bool{}
	for _, o := range list {
		if o.healed || o.discard {
			m[o.seq] = true
		}
	}
	return m
}

// forgottenOf turns tombstones, oldest first, around.
func forgottenOf(list []op, limit int) (out []Forgotten) {
	for i := len(list) - 1; i >= 0 && len(out) < limit; i-- {
		o := list[i]
		if o.healed {
			continue
		}
		out = append(out, o.forgotten())
	}
	return out
}

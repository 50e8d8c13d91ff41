package spool

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A note is a small obligation of the caller's own that has to live as long as an
// object does: who is still owed an answer, what was said about a study (D-S4). The
// spool knows its key and nothing of what it says.
type note struct{ key, body string }

// What notes may take (P9, P7): all of them lie in memory and in every snapshot.
const (
	MaxNoteKey  = 256
	MaxNote     = 256 << 10
	maxNotes    = 64 << 20
	noteRowSize = 64 // at least what a row takes beside key and body
)

func (n note) size() int64 { return noteRowSize + int64(len(n.key)) + int64(len(n.body)) }

// notes are those that are durable, and what is asked for. Guarded by Spool.mu.
type notes struct {
	all    map[string]string
	bytes  int64 // of them, by note.size
	asking int64 // that calls of NoteSet, which are not over, may add
}

// sizeOf is what the note of that key takes; zero: there is none.
func (n *notes) sizeOf(key string) int64 {
	body, ok := n.all[key]
	if !ok {
		return 0
	}
	return note{key, body}.size()
}

// apply makes a durable row true.
func (n *notes) apply(o op) {
	n.bytes -= n.sizeOf(o.note.key)
	if o.kind == opNoteGone {
		delete(n.all, o.note.key)
		return
	}
	if n.all == nil {
		n.all = map[string]string{}
	}
	n.all[o.note.key] = o.note.body
	n.bytes += o.note.size()
}

// ops is what a snapshot says of them.
func (n *notes) ops() []op {
	out := make([]op, 0, len(n.all))
	for key, body := range n.all {
		out = append(out, op{kind: opNote, note: &note{key, body}})
	}
	return out
}

// ErrNote: a note has no key, or its key or body is too long.
var ErrNote = errors.New("note cannot be kept")

func checkNote(key string, size int) error {
	switch {
	case key == "" || len(key) > MaxNoteKey:
		return fmt.Errorf("%w: its key has %d bytes, want 1 to %d", ErrNote, len(key), MaxNoteKey)
	case size > MaxNote:
		return fmt.Errorf("%w: it has %d bytes, want at most %d", ErrNote, size, MaxNote)
	}
	return nil
}

// NoteSet keeps a note, in place of the one that its key had. It is durable when it
// returns nil; after any error nothing is known about it, and the one before it, or
// none, or this one may be found later.
//
// ErrFull: all notes together would take more than 64 MiB, or the disk has no room for
// this one beside what receipts need: the reserve is left alone, and the ballast is made
// larger first, so that a snapshot with all notes in it finds room as one without them
// would (P7, D-S8).
func (s *Spool) NoteSet(ctx context.Context, key string, body []byte) error {
	if err := errors.Join(checkNote(key, len(body)), ctx.Err()); err != nil {
		return err
	}
	n := note{key, string(body)}
	more, err := s.askForNote(n)
	if err != nil {
		return err
	}
	defer func() {
		s.mu.Lock()
		s.notes.asking -= more
		s.mu.Unlock()
	}()
	if err := s.roomForNotes(); err != nil {
		return err
	}
	o := op{kind: opNote, note: &n}
	if mutant == mutantEarlyNote {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.applyLive(o)
		return nil
	}
	return s.oblige(o)
}

// askForNote reserves what n adds to all of them.
func (s *Spool) askForNote(n note) (more int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	more = max(0, n.size()-s.notes.sizeOf(n.key))
	if s.notes.bytes+s.notes.asking+more > maxNotes {
		return 0, fmt.Errorf("%w: of notes", ErrFull)
	}
	s.notes.asking += more
	return more, nil
}

// roomForNotes says ErrFull unless the disk has room for those that are asked for
// beside the reserve, and the ballast covers all.
func (s *Spool) roomForNotes() error {
	enough := s.enoughBallast()
	free, err := s.fs.Free()
	s.mu.Lock()
	asking := s.notes.asking
	s.mu.Unlock()
	if err != nil || !enough || free < s.cfg.ReserveBytes+asking {
		return s.refuse()
	}
	return nil
}

// NoteDrop lets notes go. It is durable when it returns nil; keys that have no note
// are passed over. A full disk does not hinder it as long as there is ballast.
func (s *Spool) NoteDrop(ctx context.Context, keys ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ops := make([]op, 0, len(keys))
	for _, key := range keys {
		if checkNote(key, 0) == nil { // else it has none
			ops = append(ops, op{kind: opNoteGone, note: &note{key: key}})
		}
	}
	return s.oblige(ops...)
}

// Notes shows all notes whose key begins with prefix, in the order of their keys, as
// they were at one moment, until visit returns an error. visit may keep the body, and may
// call the spool.
func (s *Spool) Notes(prefix string, visit func(key string, body []byte) error) error {
	s.mu.Lock()
	if err := s.usable(); err != nil {
		s.mu.Unlock()
		return err
	}
	some := maps.Clone(s.notes.all)
	s.mu.Unlock()
	maps.DeleteFunc(some, func(key, _ string) bool { return !strings.HasPrefix(key, prefix) })
	for _, key := range slices.Sorted(maps.Keys(some)) {
		if err := visit(key, []byte(some[key])); err != nil {
			return err
		}
	}
	return nil
}

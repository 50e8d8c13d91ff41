package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"

	"edged/spool"
)

// notebook keeps the obligations of a service as notes of the spool (D-S4): what
// is longer than a note, in parts.
//
//	key   PREFIX NAME / set, 16 hexadecimal digits / part, 3 digits
//	body  +---------------+-----------+------------------------
//	      | 01            | parts u16 | this part of the text
//	      +---------------+-----------+------------------------
//
// A text that takes the place of another is a set of its own, with a higher
// number. Its parts are durable before the older set is dropped; so after a crash
// there is the older, the newer, or both, and a set that is not whole counts for
// nothing and is dropped.
type notebook struct {
	keeper *keeper
	prefix string // ends with a slash
	log    *slog.Logger

	mu   sync.Mutex // guards what follows
	next uint64     // of sets
	sets map[string]noteSet
}

// noteSet is where a text is.
type noteSet struct {
	number uint64
	parts  int
}

const (
	notePart     = 200 << 10 // bytes of a text in one note
	maxNoteParts = 64
	noteVersion  = 1
)

func newNotebook(k *keeper, prefix string, log *slog.Logger) *notebook {
	return &notebook{keeper: k, prefix: prefix, log: log, sets: make(map[string]noteSet)}
}

// errNoRoom is what the services call a lack that passes: of disk, or of the
// whole spool while it is opened again.
var errNoRoom = errors.New("no room for it now")

// noteName stands for a name that a stranger chose.
func noteName(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

func (b *notebook) key(name string, set uint64, part int) string {
	return fmt.Sprintf("%s%s/%016x/%03d", b.prefix, name, set, part)
}

// put keeps a text under a name, in place of an older one. It is durable when put
// returns nil.
func (b *notebook) put(ctx context.Context, name string, text []byte) error {
	s, err := b.keeper.get()
	if err != nil {
		return fmt.Errorf("%w: %w", errNoRoom, err)
	}
	parts := max(1, (len(text)+notePart-1)/notePart)
	if parts > maxNoteParts {
		return fmt.Errorf("%w: it has %d bytes", errNoRoom, len(text))
	}
	b.mu.Lock()
	b.next++
	set := noteSet{b.next, parts}
	b.mu.Unlock()
	for i := range parts {
		body := binary.BigEndian.AppendUint16([]byte{noteVersion}, uint16(parts))
		body = append(body, text[i*notePart:min((i+1)*notePart, len(text))]...)
		if err := s.NoteSet(ctx, b.key(name, set.number, i), body); err != nil {
			b.forget(s, name, set)
			if errors.Is(err, spool.ErrFull) {
				return fmt.Errorf("%w: %w", errNoRoom, err)
			}
			return err
		}
	}
	b.mu.Lock()
	old, had := b.sets[name]
	b.sets[name] = set
	b.mu.Unlock()
	if had {
		b.forget(s, name, old)
	}
	return nil
}

// forget drops what nobody asks for any more. When that fails the next start does.
func (b *notebook) forget(s *spool.Spool, name string, set noteSet) {
	if err := b.dropSet(context.Background(), s, name, set); err != nil {
		b.log.Debug("a note stays for now", "err", err)
	}
}

func (b *notebook) dropSet(ctx context.Context, s *spool.Spool, name string, set noteSet) error {
	keys := make([]string, set.parts)
	for i := range keys {
		keys[i] = b.key(name, set.number, i)
	}
	return s.NoteDrop(ctx, keys...)
}

// drop forgets a text, durably.
func (b *notebook) drop(ctx context.Context, name string) error {
	b.mu.Lock()
	set, there := b.sets[name]
	b.mu.Unlock()
	if !there {
		return nil
	}
	s, err := b.keeper.get()
	if err != nil {
		return err
	}
	if err := b.dropSet(ctx, s, name, set); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sets[name] == set {
		delete(b.sets, name)
	}
	return nil
}

// all reads every text, the newest whole one of each name, and drops the rest. It
// waits for the spool.
func (b *notebook) all(ctx context.Context) (map[string][]byte, error) {
	s, err := b.keeper.await(ctx)
	if err != nil {
		return nil, err
	}
	found, stray, err := b.read(s)
	if err != nil {
		return nil, err
	}
	texts := make(map[string][]byte)
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, parts := range found {
		b.next = max(b.next, id.set)
		old, had := b.sets[id.name]
		switch {
		case !whole(parts) || had && old.number > id.set:
			stray = append(stray, b.keysOf(id, parts)...)
			continue
		case had:
			stray = append(stray, b.keysOf(noteID{id.name, old.number}, found[noteID{id.name, old.number}])...)
		}
		b.sets[id.name] = noteSet{id.set, len(parts)}
		texts[id.name] = joined(parts)
	}
	if len(stray) > 0 {
		b.log.Warn("parts of notes that are not whole are dropped", "of", b.prefix, "parts", len(stray))
		err = s.NoteDrop(ctx, stray...)
	}
	return texts, err
}

type noteID struct {
	name string
	set  uint64
}

// read gathers the parts by set; stray are notes that this never wrote.
func (b *notebook) read(s *spool.Spool) (found map[noteID]map[int][]byte, stray []string, err error) {
	found = make(map[noteID]map[int][]byte)
	err = s.Notes(b.prefix, func(key string, body []byte) error {
		id, part, ok := parseNoteKey(strings.TrimPrefix(key, b.prefix))
		if !ok || len(body) < 3 || body[0] != noteVersion {
			stray = append(stray, key)
			return nil
		}
		if found[id] == nil {
			found[id] = make(map[int][]byte)
		}
		found[id][part] = body
		return nil
	})
	return found, stray, err
}

func parseNoteKey(s string) (id noteID, part int, ok bool) {
	f := strings.Split(s, "/")
	if len(f) != 3 || len(f[1]) != 16 || len(f[2]) != 3 {
		return id, 0, false
	}
	set, err := strconv.ParseUint(f[1], 16, 64)
	n, err2 := strconv.ParseUint(f[2], 10, 16)
	return noteID{f[0], set}, int(n), err == nil && err2 == nil
}

func whole(parts map[int][]byte) bool {
	for i := range len(parts) {
		if body, there := parts[i]; !there || int(binary.BigEndian.Uint16(body[1:])) != len(parts) {
			return false
		}
	}
	return len(parts) > 0
}

func joined(parts map[int][]byte) (text []byte) {
	for i := range len(parts) {
		text = append(text, parts[i][3:]...)
	}
	return text
}

func (b *notebook) keysOf(id noteID, parts map[int][]byte) (keys []string) {
	for part := range parts {
		keys = append(keys, b.key(id.name, id.set, part))
	}
	return keys
}

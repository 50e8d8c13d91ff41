package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
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
// nothing and is dropped. What a failed change may have left is dropped with the
// next change of the same name: else it might take the place of what came after it.
type notebook struct {
	keeper *keeper
	prefix string // ends with a slash
	log    *slog.Logger

	reading sync.RWMutex // held by all against changes, of which it would see half

	mu   sync.Mutex // guards what follows
	next uint64     // of sets
	sets map[string]noteSet
	left map[string][]string // keys of which nobody knows whether they are gone, by name
}

// noteSet is where a text is.
type noteSet struct {
	number uint64
	parts  int
}

const (
	notePart     = 200 << 10 // bytes of a text in one note
	maxNoteParts = 64
	maxLeft      = 4096 // names of which something is left over
	noteVersion  = 1
)

func newNotebook(k *keeper, prefix string, log *slog.Logger) *notebook {
	return &notebook{keeper: k, prefix: prefix, log: log, sets: make(map[string]noteSet), left: make(map[string][]string)}
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
	b.reading.RLock()
	defer b.reading.RUnlock()
	if err := b.tidy(ctx, s, name); err != nil {
		return fmt.Errorf("%w: what failed before is not dropped: %w", errNoRoom, err)
	}
	b.mu.Lock()
	b.next++
	set := noteSet{b.next, parts}
	b.mu.Unlock()
	for i := range parts {
		body := binary.BigEndian.AppendUint16([]byte{noteVersion}, uint16(parts))
		body = append(body, text[i*notePart:min((i+1)*notePart, len(text))]...)
		if err := s.NoteSet(ctx, b.key(name, set.number, i), body); err != nil {
			b.forget(s, name, noteSet{set.number, i + 1}) // this part may be there
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

// forget drops what nobody asks for any more. When that fails it is left over: the
// next change of the name drops it, or the next start.
func (b *notebook) forget(s *spool.Spool, name string, set noteSet) {
	b.mu.Lock()
	b.left[name] = append(b.left[name], b.keys(name, set)...)
	b.mu.Unlock()
	if err := b.tidy(context.Background(), s, name); err != nil {
		b.log.Debug("a note stays for now", "err", err)
	}
}

// tidy drops what is left over of a name. When there is too much of other names it
// refuses to make more (P9).
func (b *notebook) tidy(ctx context.Context, s *spool.Spool, name string) error {
	b.mu.Lock()
	keys, many := b.left[name], len(b.left)
	b.mu.Unlock()
	switch {
	case len(keys) == 0 && many >= maxLeft:
		return fmt.Errorf("%d notes are left over", many)
	case len(keys) == 0:
		return nil
	}
	return b.dropKeys(ctx, s, name, keys)
}

// dropKeys lets keys of a name go, the oldest first: what is left after a crash is
// never older than what was there. All that is left over of the name is among them.
func (b *notebook) dropKeys(ctx context.Context, s *spool.Spool, name string, keys []string) error {
	if err := s.NoteDrop(ctx, slices.Sorted(slices.Values(keys))...); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.left, name)
	return nil
}

func (b *notebook) keys(name string, set noteSet) []string {
	keys := make([]string, set.parts)
	for i := range keys {
		keys[i] = b.key(name, set.number, i)
	}
	return keys
}

// drop forgets a text, durably, and with it whatever may come back in its place.
func (b *notebook) drop(ctx context.Context, name string) error {
	b.reading.RLock()
	defer b.reading.RUnlock()
	b.mu.Lock()
	set, there := b.sets[name]
	keys := slices.Concat(b.left[name], b.keys(name, set))
	b.mu.Unlock()
	if len(keys) == 0 {
		return nil
	}
	s, err := b.keeper.get()
	if err != nil {
		return err
	}
	if err := b.dropKeys(ctx, s, name, keys); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if there && b.sets[name] == set {
		delete(b.sets, name)
	}
	return nil
}

// all reads every text, the newest whole one of each name, and drops the rest of
// what this has written. It waits for the spool. It may be called again.
func (b *notebook) all(ctx context.Context) (map[string][]byte, error) {
	s, err := b.keeper.await(ctx)
	if err != nil {
		return nil, err
	}
	b.reading.Lock()
	defer b.reading.Unlock()
	found, next, err := b.read(s)
	if err != nil {
		return nil, err
	}
	sets := make(map[string]noteSet)
	for id, parts := range found {
		if whole(parts) && id.set >= sets[id.name].number {
			sets[id.name] = noteSet{id.set, len(parts)}
		}
	}
	texts, left := make(map[string][]byte), make(map[string][]string)
	for id, parts := range found {
		if set, ok := sets[id.name]; ok && set.number == id.set {
			texts[id.name] = joined(parts)
		} else {
			left[id.name] = append(left[id.name], b.keysOf(id, parts)...)
		}
	}
	b.mu.Lock()
	b.sets, b.left, b.next = sets, left, max(b.next, next)
	b.mu.Unlock()
	b.tidyAll(ctx, s)
	return texts, nil
}

// tidyAll drops what a start finds left over. Failing that it is done with the next
// change of each name: what is good is good all the same.
func (b *notebook) tidyAll(ctx context.Context, s *spool.Spool) {
	b.mu.Lock()
	left := maps.Clone(b.left)
	b.mu.Unlock()
	for name, keys := range left {
		b.log.Warn("parts of notes that are not whole, or not the newest, are dropped", "of", b.prefix, "parts", len(keys))
		if err := b.dropKeys(ctx, s, name, keys); err != nil {
			b.log.Warn("notes stay for now", "of", b.prefix, "err", err)
			return
		}
	}
}

type noteID struct {
	name string
	set  uint64
}

// read gathers the parts by set, and the highest number of one. Whatever this has
// not written stays where it is: a later version of this program may have.
func (b *notebook) read(s *spool.Spool) (found map[noteID]map[int][]byte, next uint64, err error) {
	found = make(map[noteID]map[int][]byte)
	var strange []noteID
	err = s.Notes(b.prefix, func(key string, body []byte) error {
		id, part, ok := parseNoteKey(strings.TrimPrefix(key, b.prefix))
		if ok {
			next = max(next, id.set)
		}
		if !ok || len(body) < 3 || body[0] != noteVersion {
			strange = append(strange, id)
			return nil
		}
		if found[id] == nil {
			found[id] = make(map[int][]byte)
		}
		found[id][part] = body
		return nil
	})
	for _, id := range strange {
		delete(found, id)
	}
	if len(strange) > 0 {
		b.log.Error("notes of an unknown version are left alone", "of", b.prefix, "notes", len(strange))
	}
	return found, next, err
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

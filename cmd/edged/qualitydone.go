package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"edged/internal/durable"
)

// doneFile has the studies whose data somebody has seen to, below data_dir: by their opaque
// key, with which findings those were, and when. It names nobody, and its loss means that
// they are shown again.
//
//	{"version":1,"done":{"0011223344556677":{"found":2166136261,"at":"2026-11-22T10:00:00Z"},...}}
const doneFile = "seento.json"

const (
	maxDone   = 20_000
	doneBytes = 4 << 20             // of the file; maxDone rows in the most spacious spelling are less
	doneKept  = 30 * 24 * time.Hour // longer than a study counts
)

type doneRow struct {
	Found uint32    `json:"found"`
	At    time.Time `json:"at"`
}

type doneBook struct {
	file string
	now  func() time.Time

	mu  sync.Mutex                         // who writes has it
	all atomic.Pointer[map[uint64]doneRow] // is never changed: who asks waits for no disk
}

type doneText struct {
	Version int                `json:"version"`
	Done    map[string]doneRow `json:"done"`
}

// openDone reads the file. With an error there is an empty book all the same.
func openDone(file string, now func() time.Time) (*doneBook, error) {
	b, all := &doneBook{file: file, now: now}, map[uint64]doneRow{}
	b.all.Store(&all)
	text, err := durable.ReadFile(file, doneBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	var in doneText
	if err == nil {
		err = json.Unmarshal(text, &in)
	}
	if err == nil && in.Version != 1 {
		err = fmt.Errorf("version %d", in.Version)
	}
	if err != nil {
		return b, fmt.Errorf("%s: %w", doneFile, err)
	}
	for key, row := range in.Done {
		if number := keyNumber(key); number != 0 && len(all) < maxDone {
			all[number] = row
		}
	}
	return b, nil
}

// has is whether somebody has seen to these findings of a study.
func (b *doneBook) has(key uint64, found []metaFinding) bool {
	row, ok := (*b.all.Load())[key]
	return ok && row.Found == codeSum(found)
}

// set is on the disk before it counts.
func (b *doneBook) set(key uint64, found uint32) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	out := doneText{Version: 1, Done: map[string]doneRow{keyText(key): {found, now}}}
	kept := map[uint64]doneRow{key: {found, now}}
	for k, row := range *b.all.Load() {
		if k != key && now.Sub(row.At) < doneKept && len(kept) < maxDone {
			out.Done[keyText(k)], kept[k] = row, row
		}
	}
	text, err := json.Marshal(out)
	if err == nil {
		err = durable.WriteFile(b.file, text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", doneFile, err)
	}
	b.all.Store(&kept)
	return nil
}

package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// backfillLog remembers which studies of a PACS have come, so that a run goes on
// where another stopped: a line for each, the beginning of the SHA-256 of its UID
// and how many images came. Each line is synced before the next study begins. A
// study of which the PACS has more by now is brought again. The file is locked
// while a run has it, and stays until somebody deletes it.
type backfillLog struct {
	f    *os.File
	done map[string]int
}

func openBackfillLog(from, to target, again bool) (*backfillLog, error) {
	dir, err := stateDir()
	if err != nil {
		return nil, fmt.Errorf("backfill: %w", err)
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{from.title, from.address, to.title}, "\x00")))
	name := filepath.Join(dir, fmt.Sprintf("backfill-%x.log", sum[:8]))
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("backfill: %w", err)
	}
	l := &backfillLog{f: f, done: make(map[string]int)}
	if err := l.read(again); err != nil {
		f.Close()
		return nil, fmt.Errorf("backfill: %s: %w", name, err)
	}
	return l, nil
}

func (l *backfillLog) read(again bool) error {
	if err := syscall.Flock(int(l.f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return errors.New("another run from the same PACS has it; wait for that, or stop it first")
		}
		return err
	}
	if again {
		return l.f.Truncate(0)
	}
	text, err := io.ReadAll(l.f)
	if err != nil {
		return err
	}
	whole := text[:bytes.LastIndexByte(text, '\n')+1] // what a crash cut short is a study to bring again
	for line := range strings.Lines(string(whole)) {
		key, count, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.Atoi(count); err == nil {
			l.done[key] = n
		}
	}
	return l.f.Truncate(int64(len(whole)))
}

func studyKey(s foundStudy) string {
	sum := sha256.Sum256([]byte(s.uid))
	return fmt.Sprintf("%x", sum[:16])
}

func (l *backfillLog) has(s foundStudy) bool {
	n, ok := l.done[studyKey(s)]
	return ok && n >= min(s.instances, 0xFFFF)
}

// add is durable when it returns.
func (l *backfillLog) add(s foundStudy, instances int) error {
	l.done[studyKey(s)] = instances
	if _, err := fmt.Fprintf(l.f, "%s %d\n", studyKey(s), instances); err != nil {
		return fmt.Errorf("remember a study: %w", err)
	}
	return l.f.Sync()
}

func (l *backfillLog) close() { l.f.Close() }

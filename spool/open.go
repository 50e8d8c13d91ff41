package spool

import (
	"container/list"
	"context"
	"fmt"

	"edged/internal/durable"
)

// Open opens the spool in cfg.Dir, or makes it. It always runs recovery; there
// is no shorter way after a clean end (SPOOL-14). It returns when everything
// that it found is proved to be on the disk. A second opener gets ErrLocked.
func Open(ctx context.Context, cfg Config) (*Spool, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	keys, err := newKeyring(cfg.Key)
	if err != nil {
		return nil, err
	}
	fs, err := openFS(cfg)
	if err != nil {
		return nil, err
	}
	lock, err := fs.Lock(false)
	if err != nil {
		closeFS(fs)
		return nil, fmt.Errorf("spool %s: %w", cfg.Dir, err)
	}
	s := newSpool(cfg, fs)
	s.lock, s.keys, s.journal.keys = lock, keys, keys
	if err := s.recover(ctx); err != nil {
		s.journal.close()
		lock.Close()
		closeFS(fs)
		return nil, fmt.Errorf("recover spool %s: %w", cfg.Dir, err)
	}
	s.restoreBallast()
	if real, ok := fs.(*osFS); ok {
		s.index = s.openIndex(ctx, real)
	}
	return s, nil
}

func openFS(cfg Config) (FS, error) {
	if cfg.FS != nil {
		return cfg.FS, nil
	}
	if err := durable.Mkdir(cfg.Dir, 0o700); err != nil { // SPOOL-3 holds for the spool's own name, too
		return nil, fmt.Errorf("spool: %w", err)
	}
	if !cfg.AllowUnsafeFilesystem {
		if err := CheckFilesystem(cfg.Dir); err != nil {
			return nil, err
		}
	}
	return openOSFS(cfg.Dir)
}

// closeFS frees the directories that the real file system keeps open.
func closeFS(fs FS) {
	if c, ok := fs.(*osFS); ok {
		c.close()
	}
}

func newSpool(cfg Config, fs FS) *Spool {
	s := &Spool{cfg: cfg, fs: fs, dirs: map[string]bool{}, kick: make(chan struct{}, 1), gone: make(chan struct{}),
		next: 1, aged: cfg.Now(), inflight: map[uint64]struct{}{}, pending: map[ID]*pendingCommit{}, byID: map[ID]*entry{}, byName: map[nameSum]*entry{},
		groups: map[string]*group{}, openGroups: map[string]int{}, expected: map[string]expectation{}, unsettled: map[*group]struct{}{}, untold: list.New(), counters: map[string]uint64{}, watchers: map[*Watcher]struct{}{}, leased: map[*entry]struct{}{}}
	s.queue, s.sources = newQueue(), newSources()
	s.journal = &journal{fs: fs, yield: s.yieldBallast}
	return s
}

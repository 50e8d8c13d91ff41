package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"edged/agent/status"
	"edged/spool"
)

// keeper keeps a spool open. When one fails (P8) it is closed and opened again,
// which recovers it; meanwhile modalities are refused for now and the page says
// so.
type keeper struct {
	cfg     spool.Config
	key     func() ([]byte, error) // asked before each opening; nil: there is no encryption
	log     *slog.Logger
	changed func() // somebody should look again

	mu      sync.Mutex // guards what follows
	current *spool.Spool
	why     error             // why there is none
	read    status.Recovering // how far an opening has got
	news    chan struct{}     // closed when current changes
	stepped uint64            // signs that an opening gets on, or waits and tries again
}

// errOpening is why there is no spool yet.
var errOpening = errors.New("the spool is being recovered")

func newKeeper(cfg spool.Config, log *slog.Logger, changed func()) *keeper {
	k := &keeper{cfg: cfg, log: log, changed: changed, why: errOpening, news: make(chan struct{})}
	k.cfg.Progress = k.progress(cfg.Progress)
	return k
}

// progress remembers how far an opening has got, and passes it on.
func (k *keeper) progress(next func(done, total int)) func(done, total int) {
	return func(done, total int) {
		k.mu.Lock()
		k.read = status.Recovering{Done: int64(done), Total: int64(total)}
		k.stepped++
		k.mu.Unlock()
		k.changed()
		if next != nil {
			next(done, total)
		}
	}
}

// recovering is how far the opening under way has got, nil when there is none, or
// when it has not counted anything yet.
func (k *keeper) recovering() *status.Recovering {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r := k.read; k.current == nil && r.Total > 0 {
		return &r
	}
	return nil
}

// reopenPause bounds how fast a disk that fails again and again is tried.
const reopenPause = 5 * time.Second

// What has the spool open when the daemon starts is a command that reads it, or a
// daemon that is ending: both end. A command gives way; see giveWay.
const (
	lockedPause    = 2 * time.Second
	lockedPatience = 10 * time.Second // from then on the page says what is in the way
)

var errInTheWay = errors.New("another process has the spool open, and nothing can be received until it ends (`fuser` on the spool's file `lock` names it)")

// run keeps the spool until ctx ends. It gives up only on what waiting does not
// mend: a file system that loses data.
func (k *keeper) run(ctx context.Context) error {
	var blocked time.Time // since when somebody has been in the way
	for ctx.Err() == nil {
		k.step()
		err := k.once(ctx)
		if errors.Is(err, spool.ErrUnsafe) {
			return err
		}
		if errors.Is(err, spool.ErrLocked) {
			blocked = k.outwait(ctx, blocked)
			continue
		}
		blocked = time.Time{}
		if ctx.Err() == nil {
			k.set(nil, fmt.Errorf("the spool is stopped: %w", err))
			k.log.Error("spool stopped, opening it again", "err", err, "in", reopenPause)
			pause(ctx, reopenPause)
		}
	}
	return nil
}

// outwait waits a moment for another process.
func (k *keeper) outwait(ctx context.Context, since time.Time) time.Time {
	if since.IsZero() {
		since = time.Now()
		k.log.Warn("another process has the spool open, waiting for it to end")
	}
	if _, why := k.get(); time.Since(since) > lockedPatience && why != errInTheWay {
		k.set(nil, errInTheWay)
		k.log.Error("spool cannot be opened", "err", errInTheWay)
	}
	pause(ctx, lockedPause)
	return since
}

func (k *keeper) step() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stepped++
}

// steps is another number each time an opening has got on.
func (k *keeper) steps() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stepped
}

// once opens, runs and closes one spool.
func (k *keeper) once(ctx context.Context) error {
	s, err := k.open(ctx)
	if err != nil {
		return err
	}
	k.set(s, nil)
	parts := newGroup(ctx)
	for _, part := range []func(context.Context) error{s.Run, s.Scrub} {
		parts.Go(part)
	}
	err = parts.Wait()
	k.set(nil, errOpening)
	return errors.Join(err, s.Close())
}

// open gets the key anew each time: one that is missing, or a TPM that is not there
// yet, is waited for, with the page up to say so.
func (k *keeper) open(ctx context.Context) (*spool.Spool, error) {
	cfg := k.cfg
	if k.key != nil {
		key, err := k.key()
		if err != nil {
			return nil, err
		}
		cfg.Key = key
	}
	return spool.Open(ctx, cfg)
}

func (k *keeper) set(s *spool.Spool, why error) {
	k.mu.Lock()
	k.current, k.why, k.read = s, why, status.Recovering{}
	k.stepped++
	close(k.news)
	k.news = make(chan struct{})
	k.mu.Unlock()
	k.changed()
}

// get is the open spool, or why there is none.
func (k *keeper) get() (*spool.Spool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current == nil {
		return nil, k.why
	}
	return k.current, nil
}

// await is get that waits for a spool.
func (k *keeper) await(ctx context.Context) (*spool.Spool, error) {
	for {
		k.mu.Lock()
		s, news := k.current, k.news
		k.mu.Unlock()
		if s != nil {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-news:
		}
	}
}

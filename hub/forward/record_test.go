package forward

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edged/hub/ledger"
)

// fullDisk is a ledger that takes no outcome for a while: a lease found room in the pages
// that it had, an outcome does not.
type fullDisk struct {
	*ledger.Ledger

	mu      sync.Mutex // guards what follows
	left    int        // so many are refused
	refused int
	leased  map[int64]bool
}

var errDiskFull = errors.New("database or disk is full (13)")

func (d *fullDisk) refuse() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left == 0 {
		return nil
	}
	d.left--
	d.refused++
	return errDiskFull
}

func (d *fullDisk) Lease(ctx context.Context, destination string, n int, ttl time.Duration) ([]ledger.Job, error) {
	jobs, err := d.Ledger.Lease(ctx, destination, n, ttl)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, j := range jobs {
		d.leased[j.Seq] = true
	}
	return jobs, err
}

func (d *fullDisk) Done(ctx context.Context, j ledger.Job, words string) error {
	if err := d.refuse(); err != nil {
		return err
	}
	return d.Ledger.Done(ctx, j, words)
}

func (d *fullDisk) Later(ctx context.Context, j ledger.Job, after time.Duration, tried bool, words string) error {
	if err := d.refuse(); err != nil {
		return err
	}
	return d.Ledger.Later(ctx, j, after, tried, words)
}

// withFullDisk refuses so many outcomes.
func (b *bench) withFullDisk(outcomes int) *fullDisk {
	d := &fullDisk{Ledger: b.ledger, left: outcomes, leased: map[int64]bool{}}
	b.jobs = d
	return d
}

// far is more than a test refuses.
const far = 1 << 30

// A moment in which the ledger could not write costs no object the hour that its job is
// lent for: what was delivered is archived as soon as the ledger writes again, and what
// was not is delivered then.
func TestAnOutcomeThatCouldNotBeRecordedIsRecordedSoon(t *testing.T) {
	t.Run("done", func(t *testing.T) {
		b := newBench(t, "vna")
		b.receiveOf(ctClass, 20)
		full := b.withFullDisk(30)
		b.run(b.archived(20), NewDir(DirConfig{Name: "vna", Path: filepath.Join(b.dir, "vna"), Create: true}))
		if full.refused != 30 {
			t.Errorf("%d outcomes were refused", full.refused)
		}
	})
	t.Run("given back", func(t *testing.T) {
		b := newBench(t, "vna")
		b.receiveOf(ctClass, 20)
		full := b.withFullDisk(30)
		path := filepath.Join(b.dir, "vna")
		d := NewDir(DirConfig{Name: "vna", Path: path}) // is away: everything that was leased is given back
		b.run(func() bool {
			full.mu.Lock()
			defer full.mu.Unlock()
			return full.left == 0
		}, d)
		b.run(b.archived(20), NewDir(DirConfig{Name: "vna", Path: path, Create: true}))
	})
}

// While no outcome can be recorded no more jobs are taken than can be kept in memory, and
// nothing is delivered again and again.
func TestWhatCannotBeRecordedIsBounded(t *testing.T) {
	b := newBench(t, "vna")
	b.receiveOf(ctClass, 100)
	full := b.withFullDisk(far)
	d := NewDir(DirConfig{Name: "vna", Path: filepath.Join(b.dir, "vna"), Create: true})
	b.run(func() bool {
		full.mu.Lock()
		defer full.mu.Unlock()
		return full.refused > 20*batchSize
	}, d)
	if most := (d.Workers() + 1) * batchSize; len(full.leased) > most || b.stats().Archived != 0 {
		t.Errorf("%d jobs were taken of which nothing could be recorded, want %d at most", len(full.leased), most)
	}
}

// A hub that ends in an orderly way tries once more; what it cannot write even then is
// delivered again by the next one.
func TestWhatCouldNotBeRecordedIsTriedOnceMoreAtTheEnd(t *testing.T) {
	b := newBench(t, "vna")
	b.receiveOf(ctClass, 5)
	b.record = Backoff{time.Hour, time.Hour}
	full := b.withFullDisk(far)
	d := NewDir(DirConfig{Name: "vna", Path: filepath.Join(b.dir, "vna"), Create: true})
	refused := func() bool {
		full.mu.Lock()
		defer full.mu.Unlock()
		return full.refused == 5
	}
	b.run(func() bool {
		done := refused()
		if done {
			full.mu.Lock()
			full.left = 2
			full.mu.Unlock()
		}
		return done
	}, d)
	if s := b.stats(); s.Archived != 3 {
		t.Errorf("%d archived, want 3", s.Archived)
	}
	b.reopenLedger()
	b.jobs = nil
	b.run(b.archived(5), d)
}

// What is older than a lease is forgotten: its job is lent again, and a ledger that never
// takes one outcome keeps no worker from its others.
func TestWhatIsOlderThanItsLeaseIsForgotten(t *testing.T) {
	f := New(Config{Lease: time.Nanosecond, Destinations: []Destination{NewDir(DirConfig{Name: "vna"})}})
	tried := 0
	f.record(t.Context(), ledger.Job{Destination: "vna"}, "done", func(context.Context) error { tried++; return errDiskFull })
	r := f.recorders["vna"]
	if got := r.room(); got != batchSize-1 {
		t.Errorf("room for %d", got)
	}
	if left := r.write(t.Context()); left != 0 || tried != 2 || r.room() != batchSize {
		t.Errorf("%d are kept after %d attempts", left, tried)
	}
}

// A ledger that was away for long, and is back, is found back within some seconds: until
// then a destination takes nothing.
func TestARecorderComesSoonAfterTheLedgerIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(Config{Lease: 24 * time.Hour, Destinations: []Destination{NewDir(DirConfig{Name: "vna"})}})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r := f.recorders["vna"]
		go r.run(ctx)
		for away := range 10 { // whenever it comes back between two tries
			back := time.Now().Add(time.Hour + time.Duration(away)*time.Second)
			for range batchSize {
				f.record(ctx, ledger.Job{Destination: "vna"}, "done", func(context.Context) error {
					if time.Now().Before(back) {
						return errDiskFull
					}
					return nil
				})
			}
			for time.Now().Before(back) || r.room() == 0 {
				time.Sleep(100 * time.Millisecond)
			}
			if late := time.Since(back); late > 7*time.Second {
				t.Errorf("%v after it is back", late)
			}
		}
	})
}

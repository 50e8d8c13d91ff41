package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"edged/internal/dicom"
	"edged/spool"
	"edged/spool/vault"
)

// verdict is what one power cut left.
type verdict struct {
	acked, lost, altered int // altered: acknowledged or not, what is listed as whole is not what was sent
	unfinished           int // set aside; none of them was acknowledged
	words                []string
}

func (v *verdict) say(format string, args ...any) {
	v.words = append(v.words, fmt.Sprintf(format, args...))
}

// look starts the appliance's disk again after a cut: file system and spool
// recover, then every object is read and compared with what was sent.
func (r *recording) look(ctx context.Context, disk *image, dir string, acked []int, number int, at time.Time) (v verdict, err error) {
	v.acked = len(acked)
	f, err := tmpFile()
	if err != nil {
		return v, err
	}
	defer f.Close()
	if err := disk.writeTo(f); err != nil {
		return v, err
	}
	unmount, err := mountFile(f, r.kind, dir)
	if err != nil {
		v.lost = len(acked)
		v.say("the file system does not mount: %v", err)
		return v, nil
	}
	defer func() { err = errors.Join(err, unmount()) }()
	if _, err := os.Stat(spoolDir(dir)); errors.Is(err, os.ErrNotExist) {
		if v.lost = len(acked); v.lost > 0 {
			v.say("there is no spool")
		}
		return v, nil
	}
	again := 1
	if number%sampleEvery == 0 {
		again = 2
	}
	return v, r.open(ctx, dir, acked, again, at, &v)
}

// sampleEvery is how often what the first recovery made is recovered again.
const sampleEvery = 10

func spoolDir(disk string) string { return filepath.Join(dataDir(disk), "spool") }

// open recovers the spool, so often, and compares.
func (r *recording) open(ctx context.Context, dir string, acked []int, times int, at time.Time, v *verdict) error {
	var before []spool.ID
	for i := range times {
		cfg, err := spoolConfig(dir)
		var s *spool.Spool
		if err == nil {
			s, err = openSpool(ctx, cfg)
		}
		if err != nil {
			v.lost = len(acked)
			v.say("the spool does not open: %v", err)
			return nil
		}
		here := list(s)
		switch {
		case i == 0:
			r.compare(s, here, acked, at, v)
		case !slices.Equal(here, before): // SPOOL-15
			v.lost++
			v.say("a second recovery lists %d objects, the first %d", len(here), len(before))
		}
		before = here
		if err := s.Close(); err != nil {
			return err
		}
	}
	return nil
}

// spoolConfig opens what edged wrote, as edged does: with its key, which may be
// made only while nothing needs one.
func spoolConfig(disk string) (spool.Config, error) {
	cfg := spool.Config{Dir: spoolDir(disk), ReserveBytes: -1}
	needed, err := spool.NeedsKey(cfg.Dir)
	if err != nil {
		return cfg, err
	}
	cfg.Key, err = vault.Open(vault.Config{Dir: filepath.Join(dataDir(disk), "keys"), Needed: needed})
	return cfg, err
}

// openSpool waits a moment for the lock: a child that another goroutine starts
// right now has a copy of every descriptor until its exec.
func openSpool(ctx context.Context, cfg spool.Config) (s *spool.Spool, err error) {
	for range 100 {
		if s, err = spool.Open(ctx, cfg); !errors.Is(err, spool.ErrLocked) {
			return s, err
		}
		pause(20)
	}
	return s, err
}

func list(s *spool.Spool) (all []spool.ID) {
	for after := uint64(0); ; {
		page := s.Objects(after, 1000)
		if len(page) == 0 {
			return all
		}
		for _, o := range page {
			if o.State != spool.Quarantined {
				all = append(all, o.ID)
			}
			after = o.Seq
		}
	}
}

// compare reads everything that is listed as whole, and finds what was acknowledged.
func (r *recording) compare(s *spool.Spool, here []spool.ID, acked []int, at time.Time, v *verdict) {
	v.unfinished = int(s.Stats().Unfinished)
	if n := s.Stats().Missing; n > 0 {
		v.lost += int(n)
		v.say("the journal knows of %d objects whose files are gone, and of no row that allowed it (SPOOL-17)", n)
	}
	whole := make(map[dicom.ID]error, len(here))
	sent := make(map[dicom.ID]int, len(r.sent))
	for i, o := range r.sent {
		sent[o.id] = i
	}
	for _, id := range here {
		i, ours := sent[dicom.ID(id)]
		if !ours {
			v.altered++
			v.say("%s is listed and was never sent", id)
			continue
		}
		whole[dicom.ID(id)] = same(s, id, r.sent[i].dataSet)
	}
	for _, i := range acked {
		id := r.sent[i].id
		err, listed := whole[id]
		delete(whole, id)
		since, archived := r.archived[id]
		switch {
		case !listed && archived && !since.After(at): // forgotten, as it may be (P2)
		case !listed:
			v.lost++
			v.say("object %d was acknowledged and is not there", i)
		case err != nil:
			v.altered++
			v.say("object %d was acknowledged: %v", i, err)
		}
	}
	for id, err := range whole {
		if err != nil {
			v.altered++
			v.say("%s was not acknowledged, but is listed as whole: %v", id, err)
		}
	}
}

var errAltered = errors.New("its bytes are not what was sent")

// same reads an object as it would leave the appliance.
func same(s *spool.Spool, id spool.ID, want []byte) error {
	c, err := s.Open(id)
	if err != nil {
		return err
	}
	defer c.Close()
	got, err := io.ReadAll(io.LimitReader(c.Checked(0), int64(len(want))+1))
	if err == nil && !bytes.Equal(got, want) {
		err = errAltered
	}
	return err
}

// tally sums up verdicts.
type tally struct {
	cuts, acked, lost, altered, unfinished int
	replaying                              time.Duration
	words                                  []string // the first few
}

func (t *tally) add(where string, v verdict) {
	t.cuts++
	t.acked += v.acked
	t.lost += v.lost
	t.altered += v.altered
	t.unfinished += v.unfinished
	for _, w := range v.words {
		if len(t.words) < 20 {
			t.words = append(t.words, where+": "+w)
		}
	}
}

func (t *tally) String() string {
	return fmt.Sprintf("cuts=%d acked=%d lost=%d altered=%d", t.cuts, t.acked, t.lost, t.altered)
}

// bad says whether a promise was broken.
func (t *tally) bad() bool { return t.lost+t.altered > 0 }

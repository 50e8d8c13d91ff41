package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"edged/internal/dicom"
)

// story is what happens while the disk is recorded.
type story struct {
	kind         fileSystem
	associations int
	objects      int
	seed         uint64
	hub          bool // a hub takes everything, its archive confirms, the appliance forgets (P2)
	kill         bool // edged gets SIGKILL on the way and is started again: what is only in the page cache must not count (D-S5)
	badWrite     bool // one write of content fails with EIO on the way (P8)
	badFlushes   bool // halfway every flush begins to fail, and never works again; only with one association
}

// recording is a story that was told.
type recording struct {
	story
	base *image // the disk before the first start of edged
	log  []op
	sent []object
	said string // by edged

	archived map[dicom.ID]time.Time // since when the archive has what may be forgotten
}

func (s story) String() string {
	words := []string{fmt.Sprintf("%s W=%d seed=%d", s.kind.name, s.associations, s.seed)}
	for _, w := range []struct {
		word string
		is   bool
	}{{"hub", s.hub}, {"kill", s.kill}, {"eio", s.badWrite}, {"badflush", s.badFlushes}} {
		if w.is {
			words = append(words, w.word)
		}
	}
	return strings.Join(words, " ")
}

// record tells the story with the programs in bin. It begins with an empty disk:
// the making of every directory is under the cuts, too.
func (s story) record(ctx context.Context, bin string) (r *recording, err error) {
	dir, err := os.MkdirTemp("", "powercut-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	r = &recording{story: s}
	if r.sent, err = makeObjects(s.seed, s.objects); err != nil {
		return nil, err
	}
	stage, err := newStage(ctx, dir, s.kind, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stage.close()) }()
	r.base = stage.disk.record()
	if s.hub {
		return r, r.withHub(ctx, bin, dir, stage)
	}
	a, err := newAppliance(bin, dir, stage.dir, spoolKeys)
	if err != nil {
		return nil, err
	}
	return r, r.tell(ctx, stage, a, func() error { return nil })
}

func (r *recording) withHub(ctx context.Context, bin, dir string, stage *stage) error {
	h, err := newRegion(bin, dir)
	if err != nil {
		return err
	}
	defer h.kill()
	a, err := newAppliance(bin, dir, stage.dir, h.hubKeys())
	if err != nil {
		return err
	}
	if err := h.enrol(ctx, a); err != nil {
		return err
	}
	if err := r.tell(ctx, stage, a, func() error { return h.takeAll(ctx, stage.dir, len(r.sent)) }); err != nil {
		return err
	}
	r.archived, err = h.archived(r.sent)
	return err
}

// tell runs the appliance until everything is sent and then has ended.
func (r *recording) tell(ctx context.Context, stage *stage, a *appliance, then func() error) error {
	if err := a.start(); err != nil {
		return err
	}
	defer func() { a.kill() }()
	err := r.send(ctx, stage, a, r.sent)
	if err == nil {
		err = then()
	}
	if err != nil {
		return fmt.Errorf("%w; edged said: %.2000s", err, a.said())
	}
	r.log, r.said = stage.disk.stop(), a.said()
	return nil
}

// spoolKeys leave the small disks to the objects.
const spoolKeys = "spool: {reserve_bytes: 1MiB}\n"

// send lets the sender send, and does to edged and its disk what the story says.
func (s story) send(ctx context.Context, stage *stage, a *appliance, objects []object) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	giveUp := time.AfterFunc(time.Hour, cancel)
	defer giveUp.Stop()
	var restarted error
	m := &sender{address: a.dicom, associations: s.associations, objects: objects, mark: stage.disk.mark}
	m.marked = func(n int) {
		switch {
		case s.badWrite && n == len(objects)/3:
			stage.disk.fail(faults{failWrites: 1, failFrom: contentWrite})
		case s.badFlushes && n == len(objects)/2:
			stage.disk.fail(faults{failFlushes: 1 << 30})
			giveUp.Reset(refusedFor)
		case s.kill && n == len(objects)*2/3:
			a.kill()
			restarted = a.start()
		}
	}
	err := errors.Join(m.run(ctx), restarted)
	if s.badFlushes {
		return m.stoppedAt(len(objects)/2, stage.disk.failed())
	}
	if err != nil {
		return err
	}
	if s.badWrite && stage.disk.failed() == 0 {
		return errors.New("no write failed, although one was to")
	}
	return nil
}

// refusedFor is how long a sender goes on with an appliance that cannot flush:
// longer than it takes to open its spool again.
const refusedFor = 8 * time.Second

// stoppedAt says whether no Success came after the n-th, and refusals did.
func (s *sender) stoppedAt(n, failed int) error {
	if got := s.done.Load(); got != int64(n) || s.refused.Load() == 0 || failed == 0 {
		return fmt.Errorf("after %d failed flushes: %d answers of success, want %d; %d refusals, want some", failed, got, n, s.refused.Load())
	}
	return nil
}

// contentWrite is more than file systems write at once for themselves here: a
// write of so many bytes is content.
const contentWrite = 100 << 10

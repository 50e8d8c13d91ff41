package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// story is what happens while the disk is recorded.
type story struct {
	kind         fileSystem
	associations int
	objects      int
	seed         uint64
	kill         bool // edged gets SIGKILL on the way and is started again: what is only in the page cache must not count (D-S5)
	badWrite     bool // one write of content fails with EIO on the way (P8)
}

// recording is a story that was told.
type recording struct {
	story
	base *image // the disk before the first start of edged
	log  []op
	sent []object
}

func (s story) String() string {
	words := []string{fmt.Sprintf("%s W=%d seed=%d", s.kind.name, s.associations, s.seed)}
	for word, is := range map[string]bool{"kill": s.kill, "eio": s.badWrite} {
		if is {
			words = append(words, word)
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
	a, err := newAppliance(bin, dir, stage.dir, spoolKeys)
	if err != nil {
		return nil, err
	}
	r.base = stage.disk.record()
	if err := a.start(); err != nil {
		return nil, err
	}
	defer func() { a.kill() }()
	if err := s.send(ctx, stage, a, r.sent); err != nil {
		return nil, fmt.Errorf("%w; edged said: %.2000s", err, a.said())
	}
	r.log = stage.disk.stop()
	return r, nil
}

// spoolKeys leave the small disks to the objects.
const spoolKeys = "spool: {reserve_bytes: 1MiB}\n"

// send lets the sender send, and does to edged and its disk what the story says.
func (s story) send(ctx context.Context, stage *stage, a *appliance, objects []object) error {
	var restarted error
	m := &sender{address: a.dicom, associations: s.associations, objects: objects, mark: stage.disk.mark}
	m.marked = func(n int) {
		switch {
		case s.badWrite && n == len(objects)/3:
			stage.disk.fail(faults{failWrites: 1, failFrom: contentWrite})
		case s.kill && n == len(objects)*2/3:
			a.kill()
			restarted = a.start()
		}
	}
	if err := errors.Join(m.run(ctx), restarted); err != nil {
		return err
	}
	if s.badWrite && stage.disk.failed() == 0 {
		return errors.New("no write failed, although one was to")
	}
	return nil
}

// contentWrite is more than file systems write at once for themselves here: a
// write of so many bytes is content.
const contentWrite = 100 << 10

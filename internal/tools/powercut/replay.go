package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// keep says what of the writes that no flush covers is on the disk after a cut.
type keep int

const (
	keepNone keep = iota
	keepSome      // any of them, torn into pieces, too
	keepAll
	keeps
)

// cut is a power cut: after which line of the log, and what is kept.
type cut struct {
	after int
	keep  keep
}

// cuts chooses n places: half directly after a Success was heard, where a
// promise is youngest, a quarter directly after a flush, a quarter anywhere.
func (r *recording) cuts(n int, random *rand.Rand) (all []cut) {
	places := map[opKind][]int{}
	for i, o := range r.log {
		places[o.kind] = append(places[o.kind], i)
	}
	anywhere := func() int { return random.IntN(len(r.log)) }
	after := func(kind opKind) int {
		if len(places[kind]) == 0 {
			return anywhere()
		}
		return places[kind][random.IntN(len(places[kind]))]
	}
	for i := range n {
		c := cut{anywhere(), keep(random.IntN(int(keeps)))}
		switch i % 4 {
		case 0, 1:
			c.after = after(opMark)
		case 2:
			c.after = after(opFlush)
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b cut) int { return a.after - b.after })
	return all
}

// replay makes n power cuts of the recording and looks at what each leaves.
func (r *recording) replay(ctx context.Context, n int, dir string, total *tally) error {
	began := time.Now()
	defer func() { total.replaying += time.Since(began) }()
	random := newRandom(r.seed)
	p := newPlayer(r.base.clone())
	at := 0
	for i, c := range r.cuts(n, random) {
		for ; at <= c.after; at++ {
			p.play(r.log[at])
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		v, err := r.look(ctx, p.crash(c.keep, random), dir, p.acked, i, r.log[c.after].at)
		if err != nil {
			return fmt.Errorf("%s, cut after line %d of %d: %w", r.story, c.after, len(r.log), err)
		}
		total.add(fmt.Sprintf("%s, cut after line %d of %d, keep %d", r.story, c.after, len(r.log), c.keep), v)
	}
	return nil
}

// player walks through a log.
type player struct {
	disk    *image           // what is durable
	pending []op             // written since the last flush
	doubt   map[int64][]byte // pages that a failed flush left behind, by offset
	acked   []int            // objects of which the sender has heard Success
}

func newPlayer(disk *image) *player { return &player{disk: disk, doubt: make(map[int64][]byte)} }

func newRandom(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 3)) }

const (
	pageBytes   = 4096
	sectorBytes = 512
)

func (p *player) play(o op) {
	switch o.kind {
	case opWrite:
		p.pending = append(p.pending, o)
	case opFlush:
		for _, w := range p.pending {
			p.disk.write(w.data, w.off)
			pieces(w, pageBytes, func(off int64, _ []byte) { delete(p.doubt, off) })
		}
		p.pending = nil
	case opDoubt:
		for _, w := range p.pending {
			pieces(w, pageBytes, func(off int64, part []byte) { p.doubt[off] = part })
		}
		p.pending = nil
	case opMark:
		p.acked = append(p.acked, o.mark)
	}
}

// pieces cuts a write at the borders of pages or sectors.
func pieces(w op, size int64, f func(off int64, part []byte)) {
	for at := int64(0); at < int64(len(w.data)); {
		n := min(size-(w.off+at)%size, int64(len(w.data))-at)
		f(w.off+at, w.data[at:at+n])
		at += n
	}
}

// crash is the disk after a cut now. It is good until the next play.
func (p *player) crash(k keep, random *rand.Rand) *image {
	c := p.disk.overlay()
	some := func(off int64, part []byte) {
		if k == keepAll || k == keepSome && random.IntN(2) == 0 {
			c.write(part, off)
		}
	}
	for off, part := range p.doubt {
		some(off, part)
	}
	for _, w := range p.pending {
		size := int64(pageBytes)
		if len(w.data) >= contentWrite && random.IntN(4) == 0 {
			size = sectorBytes
		}
		pieces(w, size, some)
	}
	return c
}

// tmpFile is a file in memory without a name.
func tmpFile() (*os.File, error) {
	fd, err := unix.MemfdCreate("powercut", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("a file in memory: %w", err)
	}
	return os.NewFile(uintptr(fd), "powercut"), nil
}

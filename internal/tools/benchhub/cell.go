package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"edged/hub/hubtest"
	"edged/internal/s3lab"
	"edged/internal/tools/lab"
)

// cell is a fleet that sends so many objects of a size to a hub with certain rows.
type cell struct {
	size       int64
	objects    int
	appliances int
	carrier    string // tcp if empty

	database string        // URL; empty: SQLite
	bucket   *s3lab.Bucket // of the objects; nil: files
	before   int           // objects that are in the rows already
	archive  bool          // forward to a folder, too
	pace     int           // objects a second that come; 0: as fast as they can

	rooms  bool // the hub is put together by this program; else it is hubd
	noRows bool // and records nothing
	timed  bool // and says how long rows took
	// profile is a file for where the hub's time goes, of rooms only.
	profile string
}

// outcome is what one run of a cell came to.
type outcome struct {
	rate     float64       // objects a second, from the first offer to the last receipt
	took     time.Duration // the same as a time
	hub, own time.Duration // CPU of the hub and of the load generator for all objects
	rss      int64         // most of the hub
	left     int64         // not archived when the last receipt came
	archived float64       // objects a second, to the last confirmation
	filled   time.Duration // to enter what is in the rows before
	rows     time.Duration // in which a transaction of rows was under way, if timed
}

func (o outcome) perObject(d time.Duration, n int) string {
	return fmt.Sprintf("%.2f", d.Seconds()*1e3/float64(n))
}

// bounded is once within the time of a cell.
func (c cell) bounded(ctx context.Context, b *bench) (outcome, error) {
	ctx, cancel := within(ctx, b.cell+c.prefillTime(), "the cell")
	defer cancel()
	return c.once(ctx, b.lab)
}

// prefillTime bounds what is entered before, at a tenth of what an idle machine does.
func (c cell) prefillTime() time.Duration { return time.Duration(c.before) * time.Second / 5000 }

// within bounds what is measured. Its error says which bound it was.
func within(ctx context.Context, d time.Duration, what string) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, fmt.Errorf("%s was given %s", what, d))
}

// once runs the cell on a new hub in a new folder. The objects are made before the clock
// runs: their digests are the modality's business.
func (c cell) once(ctx context.Context, l *lab.Lab) (out outcome, err error) {
	if ctx.Err() != nil {
		return out, context.Cause(ctx)
	}
	dir, err := l.Folder(l.Dir, "hub")
	if err != nil {
		return out, err
	}
	defer empty(dir)
	h, f, filled, err := c.start(ctx, l, dir)
	if err != nil {
		return out, err
	}
	defer h.Stop()
	if out, err = c.against(ctx, h, f, dir); err != nil {
		return out, fmt.Errorf("%w: %s", err, h.Said())
	}
	out.filled = filled
	if c.timed {
		h.Stop()
		out.rows, err = rowsTime(h.Said())
	}
	return out, err
}

// against has the fleet connect, send, and go.
func (c cell) against(ctx context.Context, h *lab.Process, f *hubtest.Fleet, dir string) (out outcome, err error) {
	runs, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() { failed = f.Run(runs) })
	defer func() {
		stop()
		wg.Wait()
		err = errors.Join(err, failed)
	}()
	if err := f.Await(ctx, func(g hubtest.Figures) bool { return g.Connected == g.Appliances || lab.Ended(h.Cmd) }); err != nil {
		return out, err
	}
	parts := c.parts()
	lab.Settle(dir)
	return c.send(ctx, h, f, parts)
}

// start makes a hub in dir whose rows know the fleet.
func (c cell) start(ctx context.Context, l *lab.Lab, dir string) (*lab.Process, *hubtest.Fleet, time.Duration, error) {
	at, err := lab.FreePlace()
	if err != nil {
		return nil, nil, 0, err
	}
	data := filepath.Join(dir, "hub")
	ca, err := hubtest.OpenCA(filepath.Join(data, "ca"))
	if err != nil {
		return nil, nil, 0, err
	}
	f, err := hubtest.NewFleet(hubtest.FleetConfig{Hubs: []string{at.Address}, CA: ca, Appliances: c.appliances, Carrier: c.carrier})
	if err != nil {
		return nil, nil, 0, err
	}
	rows, err := openLedger(ctx, data, c.database, c.archive)
	if err != nil {
		return nil, nil, 0, err
	}
	err = hubtest.Enrol(ctx, rows, "BENCH", f.IDs()...)
	if err := errors.Join(err, rows.Close()); err != nil {
		return nil, nil, 0, err
	}
	filled, err := c.prefill(ctx, data)
	if err != nil {
		return nil, nil, 0, err
	}
	h, err := c.launch(ctx, l, dir, at)
	return h, f, filled, err
}

// launch starts hubd, or the rooms of it in a process of this program.
func (c cell) launch(ctx context.Context, l *lab.Lab, dir string, at lab.Place) (*lab.Process, error) {
	if !c.rooms {
		h, err := c.hubd(dir, at)
		if err == nil {
			err = h.Start(ctx, l)
		}
		if err != nil {
			return nil, err
		}
		return h.Process, nil
	}
	args := []string{childVerb, "-dir", filepath.Join(dir, "hub"), "-listen", at.Address, "-database", c.database}
	for flag, on := range map[string]bool{"-archive": c.archive, "-no-rows": c.noRows} {
		if on {
			args = append(args, flag)
		}
	}
	if c.profile != "" {
		args = append(args, "-profile", c.profile)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return l.Start(ctx, "hub", nil, nil, self, args...)
}

// parts are each appliance's objects, in studies of fifty.
func (c cell) parts() [][]hubtest.Object {
	parts := make([][]hubtest.Object, c.appliances)
	const study = 50
	for i := range parts {
		n := (c.objects + i) / c.appliances
		for s := 0; n > 0; s++ {
			k := min(n, study)
			parts[i] = append(parts[i], hubtest.Study(uint64(i*1_000_000+s), k, hubtest.Kind{Length: c.size, Priority: 1})...)
			n -= k
		}
	}
	return parts
}

func (c cell) send(ctx context.Context, h *lab.Process, f *hubtest.Fleet, parts [][]hubtest.Object) (out outcome, err error) {
	before, err := h.CPU()
	if err != nil {
		return out, err
	}
	own, began := ownCPU(), time.Now()
	n, err := c.feed(ctx, f, parts)
	if err != nil {
		return out, err
	}
	all := int64(n)
	if err := f.Await(ctx, func(g hubtest.Figures) bool { return g.Received == all || lab.Ended(h.Cmd) }); err != nil {
		return out, err
	}
	out.took = time.Since(began)
	after, err := h.CPU()
	if err != nil {
		return out, err
	}
	g := f.Figures()
	out.rate, out.hub, out.own, out.left = float64(all)/out.took.Seconds(), after-before, ownCPU()-own, all-g.Archived
	out.rss, _ = h.Peak()
	if g.Received != all { // Await returns so only when the hub has ended
		return out, fmt.Errorf("the hub ended: %d objects were sent, %d have a receipt", all, g.Received)
	}
	if !c.archive {
		return out, nil
	}
	if err := f.Await(ctx, func(g hubtest.Figures) bool { return g.Archived == all || lab.Ended(h.Cmd) }); err != nil {
		return out, err
	}
	if g := f.Figures(); g.Archived != all {
		return out, fmt.Errorf("the hub ended: %d objects were received, %d archived", all, g.Archived)
	}
	out.archived = float64(all) / time.Since(began).Seconds()
	return out, nil
}

// feed gives the appliances what they have to send, all at once or at the pace; who is
// late catches up.
func (c cell) feed(ctx context.Context, f *hubtest.Fleet, parts [][]hubtest.Object) (n int, err error) {
	began, most := time.Now(), 0
	for _, objects := range parts {
		most = max(most, len(objects))
	}
	for k := range most {
		for i, objects := range parts {
			switch {
			case c.pace == 0 && k == 0:
				f.Member(i).Add(objects...)
				n += len(objects)
			case c.pace > 0 && k < len(objects):
				f.Member(i).Add(objects[k])
				n++
			}
		}
		if c.pace > 0 {
			err = pause(ctx, time.Until(began.Add(time.Duration(n)*time.Second/time.Duration(c.pace))))
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// median is the run in the middle by rate.
func median(runs []outcome) outcome {
	slices.SortFunc(runs, func(a, b outcome) int {
		switch {
		case a.rate < b.rate:
			return -1
		case a.rate > b.rate:
			return 1
		}
		return 0
	})
	return runs[len(runs)/2]
}

// spread shows the rates of runs: the median, the least and the greatest.
func spread(runs []outcome) string {
	var rates []float64
	for _, r := range runs {
		rates = append(rates, r.rate)
	}
	return lab.Spread(rates)
}

// empty gives the room of the files below dir back and leaves the files until the lab is
// closed: ext4 without a journal looks at each inode that was freed in the last minutes
// before it makes a file, and what one cell removed would cost the next ones up to
// 0.4 ms of CPU for each object.
func empty(dir string) {
	filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			os.Truncate(path, 0) // what keeps its room is removed later
		}
		return nil
	})
}

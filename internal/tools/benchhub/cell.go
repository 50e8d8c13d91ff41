package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"edged/hub/hubtest"
	"edged/internal/tools/lab"
)

// cell is a fleet that sends so many objects of a size to a hub with certain rows.
type cell struct {
	size       int64
	objects    int
	appliances int
	database   string // URL; empty: SQLite
	noRows     bool   // the hub records nothing
	archive    bool   // and forwards to a folder
	carrier    string // tcp if empty
	profile    string // file
}

// outcome is what one run of a cell came to.
type outcome struct {
	rate     float64       // objects a second, from the first offer to the last receipt
	hub, own time.Duration // CPU of the hub and of the load generator for all objects
	rss      int64         // most of the hub
	left     int64         // not archived when the last receipt came
	archived float64       // objects a second, to the last confirmation
}

func (o outcome) perObject(d time.Duration, n int) string {
	return fmt.Sprintf("%.2f", d.Seconds()*1e3/float64(n))
}

// once runs the cell on a new hub in a new folder. The objects are made before the clock
// runs: their digests are the modality's business.
func (c cell) once(ctx context.Context, l *lab.Lab) (out outcome, err error) {
	dir, err := l.Folder(l.Dir, "hub")
	if err != nil {
		return out, err
	}
	defer os.RemoveAll(dir)
	h, f, err := c.start(ctx, l, dir)
	if err != nil {
		return out, err
	}
	defer h.Stop()
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
	if out, err = c.send(ctx, h, f, parts); err != nil {
		err = fmt.Errorf("%w: %s", err, h.Said())
	}
	return out, err
}

func (c cell) start(ctx context.Context, l *lab.Lab, dir string) (*lab.Process, *hubtest.Fleet, error) {
	address, err := lab.FreeAddress()
	if err != nil {
		return nil, nil, err
	}
	ca, err := hubtest.OpenCA(filepath.Join(dir, "ca"))
	if err != nil {
		return nil, nil, err
	}
	f, err := hubtest.NewFleet(hubtest.FleetConfig{Hubs: []string{address}, CA: ca, Appliances: c.appliances, Carrier: c.carrier})
	if err != nil {
		return nil, nil, err
	}
	rows, err := openLedger(ctx, dir, c.database, c.archive)
	if err != nil {
		return nil, nil, err
	}
	if err := errors.Join(hubtest.Enrol(ctx, rows, "BENCH", f.IDs()...), rows.Close()); err != nil {
		return nil, nil, err
	}
	args := []string{childVerb, "-dir", dir, "-listen", address, "-database", c.database}
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
		return nil, nil, err
	}
	h, err := l.Start(ctx, "hub", nil, nil, self, args...)
	return h, f, err
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
	own, began, n := ownCPU(), time.Now(), 0
	for i, objects := range parts {
		f.Member(i).Add(objects...)
		n += len(objects)
	}
	all := int64(n)
	if err := f.Await(ctx, func(g hubtest.Figures) bool { return g.Received == all || lab.Ended(h.Cmd) }); err != nil {
		return out, err
	}
	took := time.Since(began)
	after, err := h.CPU()
	if err != nil {
		return out, err
	}
	g := f.Figures()
	out.rate, out.hub, out.own, out.left = float64(all)/took.Seconds(), after-before, ownCPU()-own, all-g.Archived
	out.rss, _ = h.Peak()
	if g.Received != all {
		return out, fmt.Errorf("%d objects were sent, %d have a receipt", all, g.Received)
	}
	if !c.archive {
		return out, nil
	}
	if err := f.Await(ctx, func(g hubtest.Figures) bool { return g.Archived == all || lab.Ended(h.Cmd) }); err != nil {
		return out, err
	}
	out.archived = float64(all) / time.Since(began).Seconds()
	return out, nil
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

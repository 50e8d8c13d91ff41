package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"edged/internal/tools/lab"
)

// senders is a way to send: so many storescu at once, each with its part.
type senders struct {
	name  string
	parts []string // folders
	env   []string
}

// cell is a target under a way to send.
type cell struct {
	target
	senders
	runs  int
	rates []float64 // objects a second
	cpu   []float64 // of the target, milliseconds an object; children not counted
}

// cstore is the section on receiving: on the file system of the lab and, when
// asked for, on one with a journal.
func cstore(ctx context.Context, l *lab.Lab, o options, r *lab.Report) error {
	if _, err := exec.LookPath("storescu"); err != nil {
		return fmt.Errorf("%w: install DCMTK (Debian: dcmtk)", err)
	}
	one, four, err := makeFiles(ctx, l, o.objects)
	if err != nil {
		return err
	}
	if err := cstoreOn(ctx, l, o, l.Dir, one, four, r); err != nil || o.loop == "" {
		return err
	}
	dir, err := mountLoop(ctx, l, o.loop)
	if err != nil {
		return err
	}
	return cstoreOn(ctx, l, o, dir, one, four, r)
}

func cstoreOn(ctx context.Context, l *lab.Lab, o options, dir string, one, four []string, r *lab.Report) error {
	ceiling, err := diskCeiling(dir)
	if err != nil {
		return err
	}
	cells := plan(o.runs, one, four)
	err = measure(ctx, l, o, dir, cells)
	r.Add(cstoreTable(o, dir, ceiling, cells, r.Figures))
	return err
}

// measure runs the cells interleaved, so that a busy moment hits all alike.
func measure(ctx context.Context, l *lab.Lab, o options, dir string, cells []cell) error {
	for run := range o.runs {
		for i := range cells {
			c := &cells[i]
			if run >= c.runs || c.target.missing() {
				continue
			}
			rate, err := c.once(ctx, l, dir, o.objects)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", c.target.name, c.senders.name, err)
			}
			c.rates = append(c.rates, rate)
		}
	}
	return nil
}

// columns are the targets of a row of the table, in order.
var columns = []target{edgedTarget, storescpTarget, orthancTarget, storescpPlain}

// plan is every cell, a row of the table after the other. Where a timer of the
// kernel rules and not the disk, one run is enough.
func plan(runs int, one, four []string) (cells []cell) {
	for _, way := range []senders{{"1 association", one, fast}, {"4 associations", four, fast}, {lateSenders, one, slow}} {
		for _, t := range columns {
			c := cell{target: t, senders: way, runs: runs}
			if t.name == storescpPlain.name || way.name == lateSenders && t.name != edgedTarget.name {
				c.runs = 1
			}
			cells = append(cells, c)
		}
	}
	return cells
}

const lateSenders = "1 association, no TCP_NODELAY"

// makeFiles makes n objects in one folder, and hard links to them in four.
func makeFiles(ctx context.Context, l *lab.Lab, n int) (one, four []string, err error) {
	all := filepath.Join(l.Dir, "files")
	if _, err := lab.Call(ctx, nil, l.Program("modsim"), "make", "--profile", spec(n), "--out", all); err != nil {
		return nil, nil, err
	}
	for i := range 4 {
		four = append(four, filepath.Join(l.Dir, fmt.Sprintf("quarter-%d", i+1)))
		if err := os.Mkdir(four[i], 0o700); err != nil {
			return nil, nil, err
		}
	}
	i := 0
	err = filepath.WalkDir(all, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		i++
		return os.Link(name, filepath.Join(four[i%4], d.Name()))
	})
	if err == nil && i != n {
		err = fmt.Errorf("modsim made %d files, want %d", i, n)
	}
	return []string{all}, four, err
}

// once starts the target on an empty folder, sends, counts, and clears up. The
// clock runs from the start of the first sender to the end of the last.
func (c *cell) once(ctx context.Context, l *lab.Lab, dir string, n int) (float64, error) {
	data, err := l.Folder(dir, strings.Fields(c.target.name)[0])
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(data)
	s, err := c.target.start(ctx, l, data, len(c.parts))
	if err != nil {
		return 0, err
	}
	defer s.Stop()
	lab.Settle(dir)
	before, err := s.CPU()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := c.send(ctx, s); err != nil {
		return 0, fmt.Errorf("%w: %s", err, s.Said())
	}
	took := time.Since(began)
	after, err := s.CPU()
	if err != nil {
		return 0, err
	}
	c.cpu = append(c.cpu, lab.Per(float64((after-before).Milliseconds()), float64(n)))
	got, err := s.count(ctx)
	if err == nil && got != n {
		err = fmt.Errorf("%d objects were sent, %d are there", n, got)
	}
	return float64(n) / took.Seconds(), err
}

func (c *cell) send(ctx context.Context, s *service) error {
	host, port, _ := strings.Cut(s.address, ":")
	var all []*exec.Cmd
	for _, part := range c.parts {
		cmd := lab.Command(ctx, c.env, nil, "storescu", "--call", s.aet, "--required", host, port, "--scan-directories", "--recurse", part)
		if err := cmd.Start(); err != nil {
			return waitAll(all, err)
		}
		all = append(all, cmd)
	}
	return waitAll(all, nil)
}

// waitAll waits for each and keeps the first error.
func waitAll(all []*exec.Cmd, first error) error {
	for _, cmd := range all {
		if err := cmd.Wait(); err != nil && first == nil {
			first = fmt.Errorf("storescu: %w", err)
		}
	}
	return first
}

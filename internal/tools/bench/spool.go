package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"edged/internal/tools/lab"
)

// flushDelay is what a slow disk adds to every flush.
const flushDelay = 5 * time.Millisecond

// spoolResults is what the goals are judged by.
type spoolResults struct {
	disk, slow []spoolCell
	mixed      []mixedResult
	recovered  []recovered
}

// spoolSection compares the spool, without and with encryption, with other ways
// to keep objects, on a new journalled file system on a loop device.
func spoolSection(ctx context.Context, l *lab.Lab, o options, r *lab.Report) error {
	if os.Geteuid() != 0 {
		s := lab.Section{Title: "Spool", Head: []string{"", ""}}
		s.Note("Not measured: a loop device needs root.")
		r.Add(s)
		return nil
	}
	kind := o.loop
	if kind == "" {
		kind = "ext4"
	}
	var res spoolResults
	err := onDisk(ctx, l, o, kind, 0, func(d *blockDisk) error { return spoolOnDisk(ctx, l, o, d, r, &res) })
	if err == nil {
		err = onDisk(ctx, l, o, kind, flushDelay, func(d *blockDisk) error { return spoolOnSlowDisk(ctx, l, o, d, r, &res) })
	}
	if err == nil {
		r.Add(res.judge(r.Figures))
	}
	return err
}

func onDisk(ctx context.Context, l *lab.Lab, o options, kind string, delay time.Duration, do func(*blockDisk) error) error {
	d, err := newDisk(ctx, l, o, kind, delay)
	if err != nil {
		return err
	}
	return errors.Join(do(d), d.close())
}

func spoolOnDisk(ctx context.Context, l *lab.Lab, o options, d *blockDisk, r *lab.Report, res *spoolResults) error {
	if err := mustEncrypt(ctx, l, d); err != nil {
		return err
	}
	res.disk = spoolPlan(int64(o.objects))
	if err := measureSpool(ctx, l, o.runs, d, res.disk); err != nil {
		return err
	}
	r.Add(spoolTable("Spool against other stores, on "+d.String(), o.runs, res.disk))
	if err := mix(ctx, l, o, d, res); err != nil {
		return err
	}
	r.Add(mixedTable(res.mixed))
	if err := recoverAll(ctx, l, o, d, res); err != nil {
		return err
	}
	r.Add(recoveredTable(res.recovered))
	return nil
}

func spoolOnSlowDisk(ctx context.Context, l *lab.Lab, o options, d *blockDisk, r *lab.Report, res *spoolResults) error {
	res.slow = slowPlan(int64(o.objects))
	if err := measureSpool(ctx, l, o.runs, d, res.slow); err != nil {
		return err
	}
	r.Add(spoolTable(fmt.Sprintf("Spool with %s added to every flush, on %s", flushDelay, d), o.runs, res.slow))
	return nil
}

// mustEncrypt makes sure that what is called encrypted is: no preface is found in
// the file of an object.
func mustEncrypt(ctx context.Context, l *lab.Lab, d *blockDisk) error {
	dir, err := l.Folder(d.dir, "proof")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := spoolEncrypted.open(ctx, dir)
	if err != nil {
		return err
	}
	err = errors.Join(s.put(ctx, 1, content{1 << 10, noise}), s.close())
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "spool", "objects", "*", "*.obj"))
	if err == nil && len(files) != 1 {
		err = fmt.Errorf("%d files of one object", len(files))
	}
	if err != nil {
		return err
	}
	b, err := os.ReadFile(files[0])
	if err == nil && len(b) > 8 && string(b[:8]) == "EDGEDOBJ" {
		err = errors.New("the spool with a key does not encrypt")
	}
	return err
}

// The sizes of objects and the numbers of writers that are measured.
var (
	spoolSizes   = []int64{10 << 10, objectBytes, 20 << 20}
	spoolWriters = []int{1, 4, 16}
)

// spoolPlan has about as long for each size. The raw loop is for whoever is alone.
func spoolPlan(objects int64) (cells []spoolCell) {
	for _, size := range spoolSizes {
		for _, writers := range spoolWriters {
			for _, kind := range []storeKind{spoolPlain, spoolEncrypted, naive, unsafeStore, rawStore} {
				if kind.name == rawStore.name && writers > 1 {
					continue
				}
				cells = append(cells, spoolCell{kind: kind, size: size, writers: writers, objects: objectsOf(size, objects)})
			}
		}
	}
	return cells
}

func slowPlan(objects int64) (cells []spoolCell) {
	for _, writers := range []int{1, 16} {
		for _, kind := range []storeKind{spoolPlain, spoolEncrypted, naive} {
			cells = append(cells, spoolCell{kind: kind, size: objectBytes, writers: writers, objects: objects})
		}
	}
	return cells
}

// objectsOf is how many objects of a size a run has: many small ones, few large.
func objectsOf(size, objects int64) int64 {
	switch {
	case size < objectBytes:
		return 3 * objects
	case size > objectBytes:
		return max(16, objects/12)
	}
	return objects
}

// measureSpool runs the cells interleaved, so that a busy moment hits all alike.
func measureSpool(ctx context.Context, l *lab.Lab, runs int, d *blockDisk, cells []spoolCell) error {
	for range runs {
		for i := range cells {
			o, err := cells[i].once(ctx, l, d)
			if err != nil {
				return err
			}
			cells[i].runs = append(cells[i].runs, o)
		}
	}
	return nil
}

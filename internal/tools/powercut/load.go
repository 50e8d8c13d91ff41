package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"edged/dimse"
	"edged/internal/dicom"
)

// Goals of a disk that takes 5 ms more for every flush (R14).
const (
	loadAssociations = 16
	loadObject       = 512 << 10
	loadDelay        = 5 * time.Millisecond
	loadDisk         = 6 << 30          // a round ends before it is full
	loadRound        = 20 * time.Second // then comes a fresh disk: it is in memory
	goalRate         = 200
	goalP99          = 150 * time.Millisecond
	goalRSS          = 256 << 20
)

// figures of a load.
type figures struct {
	took    time.Duration
	answers []time.Duration // sorted
	refused int64
	rss     int64
	flushes int
}

// load sends for o.load, in rounds, and prints a line for each file system.
func load(ctx context.Context, o options) (bool, error) {
	ok := true
	for _, name := range o.fileSystems {
		var sum figures
		for left := o.load; left > 0; left -= loadRound {
			f, err := loadOnce(ctx, o, fileSystems[name], min(left, loadRound))
			if err != nil {
				return false, fmt.Errorf("load on %s: %w", name, err)
			}
			sum.join(f)
			fmt.Fprintln(os.Stderr, name, f)
		}
		slices.Sort(sum.answers)
		fmt.Printf("%s: %s\n", name, &sum)
		ok = ok && sum.good()
	}
	return ok, nil
}

func (f *figures) join(o *figures) {
	f.took += o.took
	f.answers = append(f.answers, o.answers...)
	f.refused += o.refused
	f.flushes += o.flushes
	f.rss = max(f.rss, o.rss)
}

func (f *figures) rate() float64 { return float64(len(f.answers)) / f.took.Seconds() }

// p99 is of sorted answers.
func (f *figures) p99() time.Duration {
	if len(f.answers) == 0 {
		return 0
	}
	return f.answers[len(f.answers)*99/100]
}

func (f *figures) good() bool {
	return f.rate() >= goalRate && f.p99() <= goalP99 && f.rss <= goalRSS && f.refused == 0
}

func (f *figures) String() string {
	return fmt.Sprintf("load=%s associations=%d flush=+%s objects=%d rate=%.0f/s p99=%s rss=%dMiB refused=%d flushes_per_object=%.2f", f.took.Round(time.Second), loadAssociations,
		loadDelay, len(f.answers), f.rate(), f.p99().Round(time.Millisecond), f.rss>>20, f.refused, float64(f.flushes)/float64(max(1, len(f.answers))))
}

// loadOnce is one round on a fresh disk.
func loadOnce(ctx context.Context, o options, kind fileSystem, d time.Duration) (f *figures, err error) {
	dir, err := os.MkdirTemp("", "powercut-load-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	stage, err := newStage(ctx, dir, kind, loadDisk)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stage.close()) }()
	a, err := newAppliance(o.bin, dir, stage.dir, spoolKeys)
	if err != nil {
		return nil, err
	}
	stage.disk.fail(faults{flushDelay: loadDelay})
	if err := a.start(); err != nil {
		return nil, err
	}
	defer func() { a.kill() }()
	if err := a.ready(ctx); err != nil {
		return nil, err
	}
	before := stage.disk.flushed()
	if f, err = press(ctx, a.dicom, d); err != nil {
		return nil, fmt.Errorf("%w; edged said: %.2000s", err, a.said())
	}
	f.flushes = stage.disk.flushed() - before
	f.rss, err = peak(a.cmd.Process.Pid)
	return f, err
}

// press stores on all associations until d is over.
func press(ctx context.Context, address string, d time.Duration) (*figures, error) {
	made, err := oneStudy(1, 0, loadObject)
	if err != nil {
		return nil, err
	}
	f, began := &figures{}, time.Now()
	ctx, cancel := context.WithTimeout(ctx, d+30*time.Second)
	defer cancel()
	var (
		all  sync.WaitGroup
		next atomic.Uint64
		mu   sync.Mutex // guards f and err
	)
	for range loadAssociations {
		all.Go(func() {
			answers, refused, one := pressOne(ctx, address, made, &next, began.Add(d))
			mu.Lock()
			defer mu.Unlock()
			f.answers, f.refused, err = append(f.answers, answers...), f.refused+refused, errors.Join(err, one)
		})
	}
	all.Wait()
	f.took = time.Since(began)
	slices.Sort(f.answers)
	return f, err
}

func pressOne(ctx context.Context, address string, o object, next *atomic.Uint64, until time.Time) (answers []time.Duration, refused int64, err error) {
	c, err := (&sender{address: address, objects: []object{o}}).dial(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer c.Release(ctx)
	for time.Now().Before(until) {
		n := next.Add(1)
		rq := dimse.StoreRequest{SOPClassUID: o.SOPClass, SOPInstanceUID: o.SOPInstance + "." + strconv.FormatUint(n, 10), TransferSyntaxUID: o.TransferSyntax}
		began := time.Now()
		answer, err := c.Store(ctx, rq, numbered(o.dataSet, n))
		if err != nil {
			return answers, refused, err
		}
		if answer.Status != dimse.StatusSuccess {
			refused++
			continue
		}
		answers = append(answers, time.Since(began))
	}
	return answers, refused, nil
}

// numbered is the data set with its last eight bytes, pixels, replaced: another
// object each time.
func numbered(dataSet []byte, n uint64) io.Reader {
	return io.MultiReader(bytes.NewReader(dataSet[:len(dataSet)-8]), bytes.NewReader(binary.LittleEndian.AppendUint64(nil, n)))
}

// peak is the most memory that a process had resident, in bytes: VmHWM of
// /proc/PID/status, proc_pid_status(5).
func peak(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return n << 10, err
		}
	}
	return 0, errors.New("no VmHWM")
}

// ready waits until edged takes an association.
func (a *appliance) ready(ctx context.Context) error {
	return await(ctx, 2*time.Minute, "edged to be ready", func() bool {
		c, err := dimse.Dial(ctx, dimse.ClientConfig{Address: a.dicom, Called: "EDGED", Calling: "POWERCUT",
			ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersion: dicom.ImplementationVersionName})
		if err != nil {
			return false
		}
		c.Release(ctx)
		return true
	})
}

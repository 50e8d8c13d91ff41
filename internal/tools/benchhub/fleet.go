package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"edged/hub/hubtest"
	"edged/hub/ledger"
	"edged/internal/tools/lab"
)

// runFleet connects a fleet to a hubd, looks at what it costs idle, plays a day, and
// prints a line of figures.
func runFleet(ctx context.Context, o options) error {
	s, err := o.fleet.run(ctx, o.dir, o.bin)
	if s != nil {
		fmt.Println(s.line())
	}
	return err
}

// run is one fleet and its hub, from their start to their end.
func (o fleetOptions) run(ctx context.Context, dir, bin string) (s *fleetRun, err error) {
	if err := raiseFiles(); err != nil {
		return nil, err
	}
	l, err := lab.New(dir, bin)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	h, f, err := newFleet(ctx, l, o)
	if err != nil {
		return nil, err
	}
	runs, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() { failed = f.Run(runs) })
	s = &fleetRun{o: o, hub: h, fleet: f}
	err = s.measure(ctx)
	s.finish()
	stop()
	wg.Wait()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, h.Said())
	}
	return s, errors.Join(err, failed)
}

// raiseFiles asks for as many descriptors as this user may have; hubd does so itself.
func raiseFiles() error {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return err
	}
	r.Cur = r.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &r)
}

// newFleet starts a hubd with one archive, a folder, that knows the fleet.
func newFleet(ctx context.Context, l *lab.Lab, o fleetOptions) (*lab.Hub, *hubtest.Fleet, error) {
	at, err := lab.FreePlace()
	if err != nil {
		return nil, nil, err
	}
	h, err := cell{archive: true}.hubd(l.Dir, at)
	if err != nil {
		return nil, nil, err
	}
	data := filepath.Join(l.Dir, "hub")
	ca, err := hubtest.OpenCA(filepath.Join(data, "ca"))
	if err != nil {
		return nil, nil, err
	}
	f, err := hubtest.NewFleet(hubtest.FleetConfig{Hubs: []string{at.Address}, CA: ca, Appliances: o.appliances, Carrier: o.carrier})
	if err != nil {
		return nil, nil, err
	}
	rows, err := ledger.Open(ctx, ledger.Config{Path: filepath.Join(data, "ledger.db")})
	if err != nil {
		return nil, nil, err
	}
	err = errors.Join(hubtest.Enrol(ctx, rows, "FLEET", f.IDs()...), rows.Close())
	if err != nil {
		return nil, nil, err
	}
	return h, f, h.Start(ctx, l)
}

// fleetRun is what is measured.
type fleetRun struct {
	o     fleetOptions
	hub   *lab.Hub
	fleet *hubtest.Fleet

	connect, day time.Duration
	idle         float64 // % of one core
	fleetIdle    float64
	idleRSS      int64
	connected    int64
	hubCPU       time.Duration // in the day

	figures              hubtest.Figures // of the end, and what follows
	rss, peak, fleetRSS  int64
	hubFiles, fleetFiles int
}

func (s *fleetRun) measure(ctx context.Context) error {
	began := time.Now()
	all := func(g hubtest.Figures) bool { return g.Connected == g.Appliances || lab.Ended(s.hub.Cmd) }
	if err := s.fleet.Await(ctx, all); err != nil {
		return err
	}
	s.connect = time.Since(began)
	if err := pause(ctx, 5*time.Second); err != nil { // what the handshakes left is collected
		return err
	}
	if err := s.lookIdle(ctx); err != nil || s.o.day == 0 {
		return err
	}
	before, _ := s.hub.CPU()
	began = time.Now()
	if err := s.play(ctx); err != nil {
		return err
	}
	err := s.fleet.Await(ctx, func(g hubtest.Figures) bool { return g.Archived == g.Objects || lab.Ended(s.hub.Cmd) })
	s.day = time.Since(began)
	after, _ := s.hub.CPU()
	s.hubCPU = after - before
	return err
}

// lookIdle measures hub and fleet while nothing happens.
func (s *fleetRun) lookIdle(ctx context.Context) error {
	hub, err := s.hub.CPU()
	if err != nil {
		return err
	}
	own, began := ownCPU(), time.Now()
	if err := pause(ctx, s.o.idle); err != nil {
		return err
	}
	took := time.Since(began)
	after, err := s.hub.CPU()
	s.idle = 100 * (after - hub).Seconds() / took.Seconds()
	s.fleetIdle = 100 * (ownCPU() - own).Seconds() / took.Seconds()
	s.idleRSS, _ = s.hub.RSS()
	s.connected = s.fleet.Figures().Connected
	return err
}

// play gives each study to its appliance when it is ready.
func (s *fleetRun) play(ctx context.Context) error {
	day := hubtest.Day(hubtest.DayConfig{Seed: s.o.seed, Appliances: s.o.appliances, Length: s.o.day, Objects: s.o.objects, Shrink: s.o.shrink, MaxObjects: 400})
	began := time.Now()
	for _, a := range day {
		objects := a.Make()
		if err := pause(ctx, a.At-time.Since(began)); err != nil {
			return err
		}
		s.fleet.Member(a.Appliance).Add(objects...)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// ownCPU is what this process took so far.
func ownCPU() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r) // it cannot fail with these arguments
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// finish takes the figures of the end.
func (s *fleetRun) finish() {
	s.figures = s.fleet.Figures()
	s.rss, _ = s.hub.RSS() // 0 when it has ended
	s.peak, _ = s.hub.Peak()
	own, _ := os.ReadFile("/proc/self/status")
	s.fleetRSS, _ = lab.ParseKB(string(own), "VmRSS")
	s.hubFiles, s.fleetFiles = files(fmt.Sprint(s.hub.Cmd.Process.Pid)), files("self")
}

func (s *fleetRun) line() string {
	g := s.figures
	return fmt.Sprintf("appliances=%d connected=%d carrier=%s connect_s=%.1f idle_cpu=%.1f%% fleet_idle_cpu=%.1f%% idle_rss=%s hub_rss=%s hub_peak=%s hub_fds=%d fleet_rss=%s fleet_fds=%d day_s=%.0f hub_cpu_s=%.1f bytes=%s dialled=%d objects=%d receipts=%d archived=%d missing=%d",
		g.Appliances, s.connected, s.o.carrier, s.connect.Seconds(), s.idle, s.fleetIdle, mib(s.idleRSS), mib(s.rss), mib(s.peak), s.hubFiles, mib(s.fleetRSS), s.fleetFiles,
		s.day.Seconds(), s.hubCPU.Seconds(), mib(g.Bytes), g.Dialled, g.Objects, g.Received, g.Archived, g.Objects-g.Archived)
}

func mib(n int64) string { return fmt.Sprintf("%dMiB", n>>20) }

// files are the open descriptors of a process.
func files(pid string) int {
	entries, _ := os.ReadDir(filepath.Join("/proc", pid, "fd")) // none when it has ended
	return len(entries)
}

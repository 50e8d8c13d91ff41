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
// prints what that cost both sides and a line of figures. Whoever loses an object, or the
// hub, gets an error.
func runFleet(ctx context.Context, o options) (err error) {
	l, err := lab.New(o.dir, o.bin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	r := &lab.Report{Name: "fleet"}
	r.Add(machine(ctx, l))
	s, err := o.fleet.run(ctx, o.dir, o.bin)
	if s == nil {
		return err
	}
	r.Add(s.section())
	fmt.Println(s.line())
	if err == nil && o.write != "" { // what ended early replaces no whole one
		err = r.WriteTo(o.write)
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
	err = errors.Join(err, s.whole())
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
	connected    int64
	hubCPU       time.Duration // in the day
	doing        string        // for the words about a hub that ended

	idleHub, idleFleet side // while nothing happens
	endHub, endFleet   side // with the most that it ever had
	figures            hubtest.Figures
	ended              bool // the hub, by itself
}

// side is what one of the two processes takes.
type side struct {
	cpu       float64 // % of one core
	rss, peak int64
	files     int
}

// look is what a process has now; nothing when it has ended.
func look(pid string) (s side) {
	status, _ := os.ReadFile(filepath.Join("/proc", pid, "status"))
	s.rss, _ = lab.ParseKB(string(status), "VmRSS")
	s.peak, _ = lab.ParseKB(string(status), "VmHWM")
	s.files = files(pid)
	return s
}

func (s *fleetRun) sides() (hub, fleet side) {
	return look(fmt.Sprint(s.hub.Cmd.Process.Pid)), look("self")
}

func (s *fleetRun) measure(ctx context.Context) error {
	s.doing = "while the fleet connected"
	began := time.Now()
	all := func(g hubtest.Figures) bool { return g.Connected == g.Appliances || lab.Ended(s.hub.Cmd) }
	if err := s.fleet.Await(ctx, all); err != nil {
		return err
	}
	s.connect = time.Since(began)
	s.doing = "while the fleet was idle"
	if err := pause(ctx, 5*time.Second); err != nil { // what the handshakes left is collected
		return err
	}
	if err := s.lookIdle(ctx); err != nil || s.o.day == 0 {
		return err
	}
	s.doing = "in the day"
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
	s.idleHub, s.idleFleet = s.sides()
	s.idleHub.cpu = 100 * (after - hub).Seconds() / took.Seconds()
	s.idleFleet.cpu = 100 * (ownCPU() - own).Seconds() / took.Seconds()
	s.connected = s.fleet.Figures().Connected
	return err
}

// play gives each study to its appliance when it is ready, as long as there is a hub.
func (s *fleetRun) play(ctx context.Context) error {
	day := hubtest.Day(hubtest.DayConfig{Seed: s.o.seed, Appliances: s.o.appliances, Length: s.o.day, Objects: s.o.objects, Shrink: s.o.shrink, MaxObjects: 400})
	began := time.Now()
	for i, a := range day {
		if i == len(day)/2 && s.o.noon != nil {
			s.o.noon(s.hub)
		}
		if lab.Ended(s.hub.Cmd) {
			return nil
		}
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
	s.endHub, s.endFleet = s.sides()
	if s.ended = lab.Ended(s.hub.Cmd); s.ended {
		s.hub.Stop() // so that its state is known
	}
}

// whole demands that the hub is there at the end, and that it has everything.
func (s *fleetRun) whole() error {
	switch g := s.figures; {
	case s.ended:
		return fmt.Errorf("hubd ended by itself %s (%s): %d of %d appliances were connected, %d of %d objects had receipts and %d were archived",
			s.doing, s.hub.Cmd.ProcessState, g.Connected, g.Appliances, g.Received, g.Objects, g.Archived)
	case g.Archived < g.Objects:
		return fmt.Errorf("%d of %d objects are not archived", g.Objects-g.Archived, g.Objects)
	}
	return nil
}

// section is the table of what both sides take.
func (s *fleetRun) section() lab.Section {
	t := lab.Section{
		Title: fmt.Sprintf("A fleet of %d appliances over %s, and a real hubd", s.o.appliances, s.o.carrier),
		Head:  []string{"", "hubd", "the fleet, one process"},
	}
	both := func(what, format string, hub, fleet any) {
		t.Row(what, fmt.Sprintf(format, hub), fmt.Sprintf(format, fleet))
	}
	both("CPU while idle, % of a core", "%.1f", s.idleHub.cpu, s.idleFleet.cpu)
	both("memory while idle, MiB", "%d", s.idleHub.rss>>20, s.idleFleet.rss>>20)
	both("file descriptors while idle", "%d", s.idleHub.files, s.idleFleet.files)
	both("memory at the end, MiB", "%d", s.endHub.rss>>20, s.endFleet.rss>>20)
	both("most memory, MiB", "%d", s.endHub.peak>>20, s.endFleet.peak>>20)
	both("file descriptors at the end", "%d", s.endHub.files, s.endFleet.files)
	g := s.figures
	t.Note("All were connected after %.1f s. %d objects with %s came in %.0f s, which took %.1f s of the hub's CPU; %d had receipts and %d were archived.",
		s.connect.Seconds(), g.Objects, mib(g.Bytes), s.day.Seconds(), s.hubCPU.Seconds(), g.Received, g.Archived)
	return t
}

func (s *fleetRun) line() string {
	g := s.figures
	return fmt.Sprintf("appliances=%d connected=%d carrier=%s connect_s=%.1f idle_cpu=%.1f%% fleet_idle_cpu=%.1f%% idle_rss=%s fleet_idle_rss=%s hub_rss=%s hub_peak=%s hub_fds=%d fleet_rss=%s fleet_peak=%s fleet_fds=%d day_s=%.0f hub_cpu_s=%.1f bytes=%s dialled=%d objects=%d receipts=%d archived=%d missing=%d",
		g.Appliances, s.connected, s.o.carrier, s.connect.Seconds(), s.idleHub.cpu, s.idleFleet.cpu, mib(s.idleHub.rss), mib(s.idleFleet.rss), mib(s.endHub.rss), mib(s.endHub.peak), s.endHub.files,
		mib(s.endFleet.rss), mib(s.endFleet.peak), s.endFleet.files, s.day.Seconds(), s.hubCPU.Seconds(), mib(g.Bytes), g.Dialled, g.Objects, g.Received, g.Archived, g.Objects-g.Archived)
}

func mib(n int64) string { return fmt.Sprintf("%dMiB", n>>20) }

// files are the open descriptors of a process.
func files(pid string) int {
	entries, _ := os.ReadDir(filepath.Join("/proc", pid, "fd")) // none when it has ended
	return len(entries)
}

// Benchhub measures the hub: how fast objects become durable there with a receipt,
// against Orthanc's C-STORE and STOW-RS on the same machine in the same run, what the
// ledger costs of that, whether forwarding keeps up, and with the word fleet what 8,700
// connected appliances cost a real hubd, and whether it loses any of a day's objects.
// It is what `make bench-hub` and `make hub-fleet` call.
//
// It promises that every object it counts was in a receipt with its length and is
// counted at the target too; that the load generator's own time is told beside the
// hub's, because they share the cores; and that it ends, with every process it started.
//
// The hub of the table is hubd, but where it is run with rows and without: there the
// product's rooms are put together by this program, in a process of their own. Each cell
// has an end, and one that fails or cannot be had takes no other with it. It
// deliberately decides nothing: a goal that is missed is printed as a gap, and the exit
// code says only whether the measuring worked.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"edged/internal/pglab"
	"edged/internal/tools/lab"
)

// options are the flags.
type options struct {
	dir, bin, write, only string
	short                 bool
	cut, before           int
	within, cell          time.Duration
	profile               string

	fleet fleetOptions
}

type fleetOptions struct {
	appliances, objects int
	carrier             string
	idle, day           time.Duration
	shrink              int64
	seed                uint64
	noon                func(*lab.Hub) // of tests: called when half of the day's studies are there
}

func parseFlags(args []string) (o options) {
	f := flag.NewFlagSet("benchhub", flag.ExitOnError)
	f.StringVar(&o.dir, "dir", ".", "all data lies in a new `folder` below this one")
	f.StringVar(&o.bin, "bin", "bin", "`folder` of edged, hubd and modsim")
	f.StringVar(&o.write, "write", "", "put the tables between the markers of this `file`")
	f.StringVar(&o.only, "only", strings.Join(sectionNames(), ","), "`sections` to run")
	f.BoolVar(&o.short, "short", false, "fewer and shorter cells")
	f.IntVar(&o.cut, "cut", 1, "send this many times fewer objects, once: to see whether all of it runs")
	f.IntVar(&o.before, "before", 1_000_000, "objects in the rows of the section grown")
	f.DurationVar(&o.within, "within", 19*time.Minute, "end after this `time`: what was not measured by then says so")
	f.DurationVar(&o.cell, "cell", 90*time.Second, "give up a cell after this `time`")
	f.StringVar(&o.profile, "profile", "", "write a CPU profile of the hub of each cell of receive into this `folder`; it is the hub's rooms then, no hubd")
	f.IntVar(&o.fleet.appliances, "appliances", 8700, "of the fleet")
	f.StringVar(&o.fleet.carrier, "carrier", "tcp", "of the fleet: tcp, quic or both")
	f.DurationVar(&o.fleet.idle, "idle", 20*time.Second, "how long the idle fleet is looked at")
	f.DurationVar(&o.fleet.day, "day", time.Minute, "how long the fleet's day takes; 0: none")
	f.IntVar(&o.fleet.objects, "objects", 12_000, "of the fleet's day")
	f.Int64Var(&o.fleet.shrink, "shrink", 10, "lengths of the fleet's objects are divided by this")
	f.Uint64Var(&o.fleet.seed, "seed", 1, "of the fleet's day")
	f.Parse(args)
	return o
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == childVerb {
		if err := child(os.Args[2:]); err != nil {
			fmt.Fprintf(os.Stderr, "benchhub %s: %v\n", childVerb, err)
			os.Exit(1)
		}
		return
	}
	args, do := os.Args[1:], run
	if len(args) > 0 && args[0] == "fleet" {
		args, do = args[1:], runFleet
	}
	o := parseFlags(args)
	if o.short {
		o.fleet.appliances, o.fleet.idle = min(o.fleet.appliances, 1000), min(o.fleet.idle, 10*time.Second)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := within(ctx, o.within, "all of it")
	defer cancel()
	if err := do(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "benchhub:", err)
		os.Exit(1)
	}
}

// bench is one run of the sections that were asked for.
type bench struct {
	options
	lab    *lab.Lab
	report *lab.Report
	places *places
}

// storage is where hubs keep things, started when the first section asks.
func (b *bench) storage() places {
	if b.places == nil {
		p := openPlaces(b.lab)
		b.places = &p
	}
	return *b.places
}

// sections, each with its share of the time: one that hangs leaves the others theirs.
var sections = []struct {
	name   string
	within time.Duration
	do     func(context.Context, *bench) error
}{
	{"receive", 8 * time.Minute, receiving}, {"ledger", 3 * time.Minute, rows}, {"idle", 5 * time.Minute, idle},
	{"forward", 2 * time.Minute, forwarding}, {"peers", 5 * time.Minute, peers}, {"grown", 5 * time.Minute, grown},
}

func sectionNames() (names []string) {
	for _, s := range sections {
		names = append(names, s.name)
	}
	return names
}

// run measures what was asked for. A cell or a section that fails does not take the
// others with it: the table says what was not measured and why, and is written all the
// same; the errors come last.
func run(ctx context.Context, o options) (err error) {
	l, err := lab.New(o.dir, o.bin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	b := &bench{options: o, lab: l, report: &lab.Report{Name: "hub", Names: figureNames, Figures: map[string]string{}}}
	b.report.Add(machine(ctx, l))
	for _, s := range sections {
		if !slices.Contains(strings.Split(o.only, ","), s.name) {
			continue
		}
		began := time.Now()
		part, cancel := within(ctx, s.within, "the section "+s.name)
		failed := s.do(part, b)
		cancel()
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", s.name, failed))
		}
		fmt.Fprintf(os.Stderr, "benchhub: %s took %s\n", s.name, time.Since(began).Round(time.Second))
	}
	if o.write != "" && !errors.Is(context.Cause(ctx), context.Canceled) { // who was interrupted writes nothing
		err = errors.Join(err, b.report.WriteTo(o.write))
	}
	fmt.Println(b.report.LastLine())
	return err
}

// figureNames are the figures of the last line, in order.
var figureNames = []string{"hub_30KiB_1", "hub_30KiB_16", "hub_30KiB_256", "hub_512KiB_1", "hub_512KiB_16", "hub_512KiB_256",
	"rows_share", "forward_per_s", "forward_left", "orthanc_cstore_ratio", "orthanc_stow_ratio",
	"grown_per_s", "idle_cpu_tcp", "idle_rss_tcp", "idle_cpu_quic", "idle_rss_quic"}

// machine says where the figures come from, and whom they are compared with.
func machine(ctx context.Context, l *lab.Lab) lab.Section {
	s := lab.Machine(ctx, l, strings.TrimSpace("make build && go run ./internal/tools/benchhub "+strings.Join(os.Args[1:], " ")))
	s.Row("PostgreSQL", postgresVersion(ctx))
	s.Row("DCMTK", lab.FirstLine(ctx, "storescu", "--version"))
	s.Row("Orthanc", lab.FirstLine(ctx, "Orthanc", "--version"))
	return s
}

func postgresVersion(ctx context.Context) string {
	dir, err := pglab.Programs()
	if err != nil {
		return "not installed"
	}
	return lab.FirstLine(ctx, filepath.Join(dir, "postgres"), "--version")
}

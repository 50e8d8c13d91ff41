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
// The hub of the table is the product's rooms in a process of their own, put together
// by this program, so that the same hub can be run with rows and without; that of the
// fleet is hubd. It deliberately decides nothing: a goal that is missed is printed as
// a gap, and the exit code says only whether the measuring worked.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"edged/internal/tools/lab"
)

// options are the flags.
type options struct {
	dir, bin, write, only string
	short                 bool
	within                time.Duration
	profile               string

	fleet fleetOptions
}

type fleetOptions struct {
	appliances, objects int
	carrier             string
	idle, day           time.Duration
	shrink              int64
	seed                uint64
}

func parseFlags(args []string) (o options) {
	f := flag.NewFlagSet("benchhub", flag.ExitOnError)
	f.StringVar(&o.dir, "dir", ".", "all data lies in a new `folder` below this one")
	f.StringVar(&o.bin, "bin", "bin", "`folder` of edged, hubd and modsim")
	f.StringVar(&o.write, "write", "", "put the tables between the markers of this `file`")
	f.StringVar(&o.only, "only", "receive,ledger,forward,peers,idle", "`sections` to run")
	f.BoolVar(&o.short, "short", false, "fewer and shorter cells")
	f.DurationVar(&o.within, "within", 20*time.Minute, "give up after this `time`")
	f.StringVar(&o.profile, "profile", "", "write CPU profiles of the hub of each cell into this `folder`")
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
	ctx, cancel := context.WithTimeout(ctx, o.within)
	defer cancel()
	if err := do(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "benchhub:", err)
		os.Exit(1)
	}
}

// run measures what was asked for. A section that fails does not take the others
// with it: what was measured is printed, and the error last.
func run(ctx context.Context, o options) (err error) {
	l, err := lab.New(o.dir, o.bin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	r := &lab.Report{Name: "hub", Names: figureNames, Figures: map[string]string{}}
	r.Add(machine(ctx, l))
	for _, part := range []struct {
		name string
		do   func(context.Context, *lab.Lab, options, *lab.Report) error
	}{{"receive", receiving}, {"ledger", rows}, {"forward", forwarding}, {"peers", peers}, {"idle", idle}} {
		if !slices.Contains(strings.Split(o.only, ","), part.name) {
			continue
		}
		if failed := part.do(ctx, l, o, r); failed != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", part.name, failed))
		}
	}
	if o.write != "" && err == nil { // a table with holes replaces no whole one
		err = r.WriteTo(o.write)
	}
	fmt.Println(r.LastLine())
	return err
}

// figureNames are the figures of the last line, in order.
var figureNames = []string{"hub_30KiB_1", "hub_30KiB_16", "hub_30KiB_256", "hub_512KiB_1", "hub_512KiB_16", "hub_512KiB_256",
	"rows_share", "forward_per_s", "forward_left", "orthanc_cstore_ratio", "orthanc_stow_ratio",
	"idle_cpu_tcp", "idle_rss_tcp", "idle_cpu_quic", "idle_rss_quic"}

// machine says where the figures come from, and whom they are compared with.
func machine(ctx context.Context, l *lab.Lab) lab.Section {
	s := lab.Machine(ctx, l, strings.TrimSpace("make build && go run ./internal/tools/benchhub "+strings.Join(os.Args[1:], " ")))
	s.Row("DCMTK", lab.FirstLine(ctx, "storescu", "--version"))
	s.Row("Orthanc", lab.FirstLine(ctx, "Orthanc", "--version"))
	return s
}

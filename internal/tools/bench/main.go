// Bench measures the speed of the product against real peers and writes what it
// found as Markdown tables: C-STORE against DCMTK's storescp and Orthanc, and
// against more peers without a disk, the spool against a naive store and against
// none that flushes, the way from the spool to the hub against a plain TLS copy,
// and memory. It is what `make bench` calls.
//
// It promises that both sides of a ratio were measured in the same run, on the
// same file system, with the peer set up for its best; that every object counted
// was counted at its target too; and that it ends, with every process it started.
//
// It deliberately decides nothing: a goal that is missed is printed as a gap, and
// the exit code says only whether the measuring worked.
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
	"edged/internal/tools/tlscopy"
	"edged/spool"
)

// options are the flags.
type options struct {
	dir, bin, loop, write string
	only, large           string
	objects, runs, e2e    int
	recover               int64
	direct                bool
	within                time.Duration
}

func parseFlags() (o options) {
	flag.StringVar(&o.dir, "dir", ".", "all data lies in a new `folder` below this one")
	flag.StringVar(&o.bin, "bin", "bin", "`folder` of edged, hubd and modsim")
	flag.StringVar(&o.loop, "loop", "", "measure C-STORE on a new loop-mounted, journalled `ext4 or xfs` too, and the spool there (needs root); the spool is measured on ext4 else")
	flag.StringVar(&o.write, "write", "", "put the tables between the markers of this `file`")
	flag.StringVar(&o.only, "only", "cstore,dimse,spool,e2e,memory", "`sections` to run")
	flag.StringVar(&o.large, "large", "4095MiB,4100MiB", "`sizes` of the large objects; from 4 GiB they are encapsulated")
	flag.IntVar(&o.objects, "objects", 300, "objects of 512 KiB of a run of C-STORE or of the spool")
	flag.IntVar(&o.runs, "runs", 3, "runs of each cell of C-STORE and of the spool; the median counts")
	flag.IntVar(&o.e2e, "e2e", 2048, "objects of 512 KiB of the end-to-end run")
	flag.Int64Var(&o.recover, "recover", 50_000, "small objects that the spool finds again when it starts")
	flag.BoolVar(&o.direct, "direct", false, "the spool's loop device writes past the page cache of the file system below: a flush finds little left to write")
	flag.DurationVar(&o.within, "within", 20*time.Minute, "give up after this `time`")
	flag.Parse()
	return o
}

// children are what bench starts of itself.
var children = map[string]func([]string) error{tlscopy.Verb: tlscopy.Run, slowDiskVerb: slowDisk, sinkVerb: sink, blastVerb: blast}

func main() {
	spool.ProbeMain()
	if len(os.Args) > 1 && children[os.Args[1]] != nil {
		if err := children[os.Args[1]](os.Args[2:]); err != nil {
			fmt.Fprintf(os.Stderr, "bench %s: %v\n", os.Args[1], err)
			os.Exit(1)
		}
		return
	}
	o := parseFlags()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.within)
	defer cancel()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
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
	r := &lab.Report{Name: "bench", Names: figureNames, Figures: make(map[string]string)}
	r.Add(machine(ctx, l))
	for _, part := range []struct {
		name string
		do   func(context.Context, *lab.Lab, options, *lab.Report) error
	}{{"cstore", cstore}, {"dimse", dimseSection}, {"spool", spoolSection}, {"e2e", endToEnd}, {"memory", memory}} {
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
var figureNames = []string{"storescp_ratio", "orthanc_ratio", "slow_per_s", "sink_cpu_s_per_GB", "sink_storescp_ratio",
	"spool_flushes_1", "spool_flushes_16", "spool_naive_1", "spool_naive_16", "spool_slow_per_s", "spool_slow_p99_ms",
	"encrypted_flushes_1", "encrypted_flushes_16", "encrypted_naive_1", "encrypted_naive_16", "encrypted_slow_per_s", "encrypted_slow_p99_ms",
	"e2e_MBps", "rss_16", "rss_4GiB"}

// machine says where the figures come from, and whom they are compared with.
func machine(ctx context.Context, l *lab.Lab) lab.Section {
	s := lab.Machine(ctx, l, "make build && go run ./internal/tools/bench "+strings.Join(os.Args[1:], " "))
	s.Row("DCMTK", lab.FirstLine(ctx, "storescu", "--version"))
	s.Row("Orthanc", lab.FirstLine(ctx, "Orthanc", "--version"))
	return s
}

// Wan measures how the product uses a long line, against peers that carry the
// same objects over the same line in the same run: DCMTK's C-STORE, rsync, curl
// over HTTP/2, and plain Go TLS. It is what `make bench-wan` calls.
//
// The line is internal/netlab/line between two network namespaces, in a process
// of its own. The tool promises that every figure of a ratio comes from the same
// line, size, objects and run; that a peer is set up for its best, and how, is
// printed; that what counts as carried is at the receiver: in files for the peers,
// behind a durable receipt for the product; and that it ends, with every process
// that it started, every namespace and every file.
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
)

// options are the flags.
type options struct {
	dir, bin, write, congestion string
	uplink                      string
	lines, sizes, peers, extras list
	seed                        uint64
	runs                        int
	peerTime, storeTime         time.Duration
	ourTime, within             time.Duration
	amount                      int64
}

// list is a flag of names with commas between them.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

// Set takes an empty string for none.
func (l *list) Set(s string) error {
	*l = strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
	return nil
}

// chosen is those of all whose id was asked for, or an error that names the rest.
func chosen[T any](all []T, id func(T) string, want list) (found []T, err error) {
	for _, name := range want {
		i := slices.IndexFunc(all, func(t T) bool { return id(t) == name })
		if i < 0 {
			return nil, fmt.Errorf("%q is none of %s", name, strings.Join(ids(all, id), ","))
		}
		found = append(found, all[i])
	}
	return found, nil
}

func ids[T any](all []T, id func(T) string) (names list) {
	for _, t := range all {
		names = append(names, id(t))
	}
	return names
}

func parseFlags() (o options) {
	o.lines, o.sizes, o.peers, o.extras = ids(lines, lineID), ids(sizes, sizeID), ids(peers, peerID), ids(extras, extraID)
	flag.StringVar(&o.dir, "dir", ".", "all data lies in a new `folder` below this one")
	flag.StringVar(&o.bin, "bin", "bin", "`folder` of edged, hubd and modsim")
	flag.StringVar(&o.write, "write", "", "put the tables between the markers of this `file`")
	flag.Var(&o.lines, "lines", "`lines` to measure on")
	flag.Var(&o.sizes, "sizes", "`sizes` of objects")
	flag.Var(&o.peers, "peers", "`peers` to measure")
	flag.Var(&o.extras, "extras", "further `sections`; none: an empty string")
	flag.Uint64Var(&o.seed, "seed", 1, "of the loss")
	flag.StringVar(&o.congestion, "congestion", "cubic", "`algorithm` of whoever does not choose one; Debian's kernel has cubic")
	flag.StringVar(&o.uplink, "uplink", "", "further keys of edged's `uplink`, as in \"lanes: {min: 4, max: 4}\"")
	flag.IntVar(&o.runs, "runs", 1, "runs of each cell; the median counts")
	flag.DurationVar(&o.peerTime, "peer-time", 6*time.Second, "a peer is cut off after this `time`")
	flag.DurationVar(&o.storeTime, "store-time", 8*time.Second, "and C-STORE after this: what its slow start gives must not count for long")
	flag.DurationVar(&o.ourTime, "our-time", 16*time.Second, "and edged after this: it has to find its lanes")
	flag.DurationVar(&o.within, "within", time.Hour, "give up after this `time`")
	flag.Int64Var(&o.amount, "amount", 1500, "`megabytes` of objects of each size, at most")
	flag.Parse()
	return o
}

// children are what the tool starts of itself.
var children = map[string]func([]string) error{tlscopy.Verb: tlscopy.Run, lineVerb: carry, putVerb: takePuts, pourVerb: pour}

func main() {
	if len(os.Args) > 1 && children[os.Args[1]] != nil {
		if err := children[os.Args[1]](os.Args[2:]); err != nil {
			fmt.Fprintf(os.Stderr, "wan %s: %v\n", os.Args[1], err)
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
		fmt.Fprintln(os.Stderr, "wan:", err)
		os.Exit(1)
	}
}

// run measures what was asked for. What fails does not take the rest with it:
// what was measured is printed, and the error last.
func run(ctx context.Context, o options) (err error) {
	p, err := newPlan(o)
	if err != nil {
		return err
	}
	b, err := newBench(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	r := &lab.Report{Name: "bench-wan", Names: figureNames, Figures: make(map[string]string)}
	r.Add(theRun(ctx, b, o))
	r.Add(thePeers(p.peers))
	err = errors.Join(p.cells(ctx, b, o, r), p.extra(ctx, b, o, r))
	if o.write != "" && ctx.Err() == nil { // a cell that failed says so; a run that was stopped replaces nothing
		err = errors.Join(err, r.WriteTo(o.write))
	}
	fmt.Println(r.LastLine())
	return err
}

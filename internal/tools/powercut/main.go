// Powercut cuts the power of an appliance, some hundred times, and looks at what
// is left (P1: what was answered with Success survives, byte for byte).
//
// The real edged stores what a modality sends on a real ext4 and a real XFS. The
// disk below is a file that logs every write and every flush (recorder.go), and
// the modality marks in the same log when it has read a Success. Afterwards the
// log is played up to some line, and what no flush covers is kept, lost, or kept
// in pieces (replay.go): that is the disk after a power cut. It is mounted, the
// spool recovers, and every object on it is read (look.go).
//
// It shows nothing about a disk that lies about flushes, and nothing about what
// happens later than the first recovery, of which a sample is repeated. With
// -mutants it proves itself: programs with a broken promise must lose objects.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"edged/spool"
)

type options struct {
	bin         string
	fileSystems []string
	cuts        int // on each file system
	seed        uint64
	mutants     bool
	worst       bool // only the story in which most goes wrong
	load        time.Duration
}

func main() {
	spool.ProbeMain()
	inOwnMounts()
	o := parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if why := missing(); why != "" {
		fmt.Fprintln(os.Stderr, "powercut:", why)
		os.Exit(1)
	}
	ok, err := run(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "powercut:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func parse() (o options) {
	kinds := flag.String("fs", "ext4,xfs", "file systems")
	flag.StringVar(&o.bin, "bin", "bin", "folder with edged and hubd")
	flag.IntVar(&o.cuts, "cuts", 400, "power cuts on each file system")
	flag.Uint64Var(&o.seed, "seed", 1, "what the objects and the cuts are made of")
	flag.BoolVar(&o.mutants, "mutants", false, "build every mutant and demand that it is caught; needs the source and the go command")
	flag.BoolVar(&o.worst, "worst", false, "only eight associations, with a kill and a failing write")
	flag.DurationVar(&o.load, "load", 0, "instead: load a disk with slow flushes for so long")
	flag.Parse()
	o.fileSystems = strings.Split(*kinds, ",")
	for _, name := range o.fileSystems {
		if _, ok := fileSystems[name]; !ok || flag.NArg() > 0 || o.cuts < 1 {
			flag.Usage()
			os.Exit(2)
		}
	}
	return o
}

// run does what is asked and says whether every promise was kept.
func run(ctx context.Context, o options) (bool, error) {
	bin, err := filepath.Abs(o.bin)
	if err != nil {
		return false, err
	}
	o.bin = bin
	if o.load > 0 {
		return load(ctx, o)
	}
	sums, err := cutAll(ctx, o)
	if err != nil {
		return false, err
	}
	caught := map[string]string{}
	if o.mutants {
		if caught, err = catchAll(ctx, o); err != nil {
			return false, err
		}
	}
	return report(o, sums, caught), nil
}

// report prints the figures, the line of each file system last.
func report(o options, sums []*tally, caught map[string]string) bool {
	ok := true
	for i, sum := range sums {
		for _, w := range sum.words {
			fmt.Println(w)
		}
		each := sum.replaying / time.Duration(max(1, sum.cuts))
		fmt.Printf("%s: %d ms a cut, %d unfinished files set aside, none of them acknowledged\n", o.fileSystems[i], each.Milliseconds(), sum.unfinished)
		ok = ok && !sum.bad()
	}
	for _, m := range mutants {
		if by := caught[m]; by != "" {
			fmt.Printf("mutant %s: caught by %s\n", m, by)
		} else if o.mutants {
			fmt.Printf("mutant %s: NOT CAUGHT\n", m)
			ok = false
		}
	}
	for i, sum := range sums {
		line := fmt.Sprintf("%s: %s", o.fileSystems[i], sum)
		if o.mutants {
			line += fmt.Sprintf(" mutants=%d/%d", len(caught), len(mutants))
		}
		fmt.Println(line)
	}
	return ok
}

// Interop runs real DICOM products of others on loopback against the programs of
// this repository, both ways round, and writes what it found as docs/interop.md:
// peer by service by transfer syntax. It is what `make interop` calls.
//
// It promises that a cell says yes only when it was done in this run and its
// outcome looked at: an object that was stored is read back from the receiver and
// compared, byte for byte, with what a recorder between the two saw on the wire
// (tap.go) or with the file that was sent. A dash is given only for what the peer
// itself did not do: the recorder saw that it proposed, accepted or sent no such
// thing. Everything else is red, and red is exit code 1, as is a run without
// DCMTK or Orthanc. Nothing in the page depends on time, place or port.
//
// What is not on the machine is fetched from where its makers publish it, into the
// folder of -cache; what cannot be had is listed with the reason.
//
// It deliberately does not look at speed (internal/tools/bench does) and not at
// bad manners (package dimse and internal/tools/hostile do).
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
)

// options are the flags.
type options struct {
	bin, cache, write string
	only              string
	install           bool
	verbose, keep     bool
	within            time.Duration
}

func parseFlags() (o options) {
	flag.StringVar(&o.bin, "bin", "bin", "`folder` of edged and hubd")
	flag.StringVar(&o.cache, "cache", ".interop", "what is fetched is kept in this `folder`")
	flag.StringVar(&o.write, "write", "docs/interop.md", "the page goes into this `file`; empty: to standard output")
	flag.StringVar(&o.only, "only", "", "`peers` to run, by name, separated by commas; the page is not written then")
	flag.BoolVar(&o.install, "install", true, "fetch peers that are missing")
	flag.BoolVar(&o.verbose, "v", false, "print each cell")
	flag.BoolVar(&o.keep, "keep", false, "leave the folder of the run, with all logs")
	flag.DurationVar(&o.within, "within", 40*time.Minute, "give up after this `time`")
	flag.Parse()
	return o
}

func main() {
	o := parseFlags()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.within)
	defer cancel()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		os.Exit(1)
	}
}

// run meets one peer after the other. The page is written also when a cell is
// red: it says so, and the exit code as well.
func run(ctx context.Context, o options) (err error) {
	l, err := newLab(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	if err := l.startAppliance(ctx); err != nil {
		return err
	}
	m := &matrix{}
	for _, p := range peers {
		if o.only == "" || slices.Contains(strings.Split(o.only, ","), p.name) {
			l.meet(ctx, p, m)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errors.Join(publish(o, m), m.verdict(o.only == ""))
}

func publish(o options, m *matrix) error {
	if o.write == "" || o.only != "" {
		fmt.Print(m.page())
		return nil
	}
	return os.WriteFile(o.write, []byte(m.page()), 0o644)
}

// meet prepares a peer and tries everything with it.
func (l *lab) meet(ctx context.Context, p *peer, m *matrix) {
	r := report{peer: p}
	defer func() { m.reports = append(m.reports, r) }()
	if r.version, r.absent = p.ready(ctx, l); r.absent != nil {
		fmt.Printf("%s: not run here: %v\n", p.name, r.absent)
		return
	}
	fmt.Printf("%s %s\n", p.name, r.version)
	checks, stop, err := p.checks(ctx, l)
	if err != nil {
		r.absent = err
		fmt.Printf("%s: %v\n", p.name, err)
		return
	}
	defer stop()
	for _, c := range checks {
		r.cells = append(r.cells, l.try(ctx, p, c))
	}
}

// try does one thing, within two minutes.
func (l *lab) try(ctx context.Context, p *peer, c check) cell {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	began := time.Now()
	note, err := c.run(ctx)
	out := cell{check: c, peer: p.name, state: yes, note: note}
	var u unable
	switch {
	case errors.As(err, &u):
		out.state, out.note = cannot, string(u)
	case err != nil:
		out.state, out.note = red, ""
		fmt.Printf("  RED %s, %s, %s, %s: %v\n", c.table, c.row, c.column, p.name, err)
	}
	if l.verbose {
		fmt.Printf("  %-4s %s | %s | %s (%.1f s) %s\n", out.state, c.table, c.row, c.column, time.Since(began).Seconds(), out.note)
	}
	return out
}

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"edged/hub/ledger"
)

// sinkNames are those of the configuration.
func (e *Events) sinkNames() (names []string) {
	for _, s := range e.Sinks {
		names = append(names, s.Name)
	}
	return names
}

type eventsLsCmd struct{}

func (eventsLsCmd) Run(e *env) error {
	return e.withLedger(func(c Config, l *ledger.Ledger) error {
		stats, err := l.EventStats(e.ctx, c.Events.sinkNames())
		if err != nil {
			return err
		}
		failed, err := l.FailedDeliveries(e.ctx, maxListed)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "SINK\tWAITING\tOLDEST\tREFUSED\tLAST TROUBLE")
		for _, name := range c.Events.sinkNames() {
			s := stats.Sinks[name]
			fmt.Fprintf(w, "%s\t%d\t%s\t%d\t%s\n", name, s.Waiting, s.Oldest.Round(time.Second), s.Failed, s.Words)
		}
		fmt.Fprintf(w, "\nstudies that wait for an event: %d\n", stats.Studies)
		if len(failed) > 0 {
			fmt.Fprintln(w, "\nSINK\tREVISION\tATTEMPTS\tWHY\tSTUDY")
		}
		for _, f := range failed { // the UID is a peer's and may hold anything
			fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%.80q\n", f.Sink, f.Revision, f.Attempts, f.Words, f.Study)
		}
		return w.Flush()
	})
}

type eventsRetryCmd struct {
	Sink string `arg:"" help:"As hubd events ls shows it."`
}

func (c eventsRetryCmd) Run(e *env) error {
	return e.withLedger(func(cfg Config, l *ledger.Ledger) error {
		if names := cfg.Events.sinkNames(); !slices.Contains(names, c.Sink) {
			return usageError{fmt.Errorf("no sink is called %q; events.sinks of the configuration has: %s", c.Sink, cmp.Or(strings.Join(names, ", "), "none"))}
		}
		n, err := l.RetryDeliveries(e.ctx, c.Sink, actor())
		if err == nil {
			fmt.Fprintf(e.out, "%d events are tried again\n", n)
		}
		return err
	})
}

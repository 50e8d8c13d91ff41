package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"edged/internal/synth"
)

type sendCommand struct {
	To           target        `required:"" placeholder:"AET@HOST:PORT" help:"Storage SCP to send to."`
	Calling      string        `placeholder:"AET" help:"Calling AE title; without it each modality uses its own (SIMCT, SIMMR, ...)."`
	Seed         uint64        `default:"1" help:"The same seed gives the same bytes."`
	Profile      string        `default:"demo" help:"demo, small, ct, mr, us, mg, sr, bench:NxSIZE or large:SIZE."`
	Alter        string        `placeholder:"MARK" help:"Other contents under the same UIDs, marked with MARK."`
	Rate         float64       `placeholder:"N" help:"Objects a second at most (default: as fast as they are answered)."`
	Associations int           `default:"1" help:"Associations at the same time."`
	Keep         string        `placeholder:"DIR" help:"Keep a file ID.dcm of each instance that was answered 0000."`
	Retry        time.Duration `default:"60s" help:"How long an outage or a transient refusal is sat out."`
	Timeout      time.Duration `default:"2m" help:"How long one answer may take."`
	JSON         bool          `name:"json" help:"One JSON object a line for each instance, and a summary last."`
}

// maxAssociations bounds what one simulator opens.
const maxAssociations = 1024

func (c *sendCommand) check() error {
	switch {
	case c.Associations < 1 || c.Associations > maxAssociations:
		return usageError{fmt.Errorf("--associations %d: want 1 to %d", c.Associations, maxAssociations)}
	case c.Rate < 0:
		return usageError{errors.New("--rate: want a number of objects a second above 0")}
	case len(c.Calling) > 16:
		return usageError{fmt.Errorf("--calling %.40q: want at most 16 characters", c.Calling)}
	case c.Retry < 0 || c.Timeout <= 0:
		return usageError{errors.New("--retry and --timeout: want a duration, as in 60s")}
	}
	return nil
}

// Run fails unless every instance was answered 0000.
func (c *sendCommand) Run(ctx context.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	all, err := instances(c.Seed, c.Profile, c.Alter)
	if err != nil {
		return err
	}
	if c.Calling != "" {
		for i := range all {
			all[i].Calling = c.Calling
		}
	}
	return c.send(ctx, all, newDialer(c.To, c.Timeout, all).dial, os.Stdout)
}

// send sends all instances and reports each to out.
func (c *sendCommand) send(ctx context.Context, all []synth.Instance, dial dial, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := newReport(out, c.JSON)
	work, results := make(chan synth.Instance), make(chan line)
	var wg, feeding sync.WaitGroup
	feeding.Go(func() { c.feed(ctx, all, work) })
	for range c.Associations {
		wg.Go(func() {
			w := worker{dial: dial, retry: c.Retry, keep: c.Keep, hash: c.JSON || c.Keep != ""}
			w.run(ctx, work, results)
		})
	}
	feeding.Go(func() { wg.Wait(); close(results) })
	for l := range results {
		if err := r.add(l); err != nil {
			r.failed = err
			cancel()
		}
	}
	feeding.Wait()
	return r.finish(len(all))
}

// feed hands out the work at the rate; on cancellation the rest is left undone.
func (c *sendCommand) feed(ctx context.Context, all []synth.Instance, work chan<- synth.Instance) {
	defer close(work)
	pace := rate.NewLimiter(rate.Inf, 1)
	if c.Rate > 0 {
		pace = rate.NewLimiter(rate.Limit(c.Rate), 1)
	}
	for _, i := range all {
		if pace.Wait(ctx) != nil {
			return
		}
		select {
		case work <- i:
		case <-ctx.Done():
			return
		}
	}
}

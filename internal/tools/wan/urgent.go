package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"edged/internal/tools/lab"
)

const (
	urgentObjects = 30
	urgentEvery   = 250 * time.Millisecond
	urgentAfter   = 3 * time.Second // the line is full by then
	goalUrgent    = 2.5             // times the median on an idle line
)

// urgentLines are where the section is measured.
var urgentLines = []string{"100m", "1g"}

// urgent sends objects to the title for urgent ones, one at a time, on an idle
// line and on one that is full of routine objects.
func urgent(ctx context.Context, b *bench, o options, r *lab.Report) error {
	s := lab.Section{Title: "Urgent objects on a line full of routine ones", Head: []string{"line", "urgent objects of", "routine beside", "median, ms", "p90, ms", "to idle", "goal", "routine meanwhile", ""}}
	empty, err := b.prepareEmpty(ctx)
	if err != nil {
		return err
	}
	routine, err := b.prepare(ctx, sizes[1], o.amount)
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range urgentLines {
		w, err := chosen(lines, lineID, list{id})
		if err != nil {
			return err
		}
		errs = append(errs, b.urgentOn(ctx, o, w[0], empty, routine, &s, r))
	}
	s.Note("%d objects each, one every %s, from their C-STORE Success to the receipt that says that they are durable at the hub. Routine objects of 512 KiB fill the spool before and go on all the time.", urgentObjects, urgentEvery)
	r.Add(s)
	return errors.Join(errs...)
}

func (b *bench) urgentOn(ctx context.Context, o options, w wire, empty, routine *stock, s *lab.Section, r *lab.Report) error {
	for _, transport := range []string{"auto", "quic", "tcp"} {
		idle := 0.0
		for _, kind := range []struct {
			*stock
			name string
		}{{empty, "none"}, {routine, "full"}} {
			took, rate, err := b.urgentCell(ctx, o, w, kind.stock, transport)
			if err != nil {
				return fmt.Errorf("%s, %s, %s: %w", w.id, transport, kind.name, err)
			}
			row := []string{w.String() + ", " + transport, "512 KiB", kind.name, fmt.Sprintf("%.0f", lab.Median(took)), fmt.Sprintf("%.0f", took[len(took)*9/10])}
			if kind.stock == empty {
				idle = lab.Median(took)
				s.Row(append(row, "1×", "–", "–", "")...)
				continue
			}
			ratio := lab.Per(lab.Median(took), idle)
			r.Figures["urgent_"+w.id+"_"+transport] = fmt.Sprintf("%.2f", ratio)
			s.Row(append(row, fmt.Sprintf("%.2f×", ratio), fmt.Sprintf("≤ %.1f×", goalUrgent), bits(rate), lab.Verdict(ratio <= goalUrgent))...)
		}
	}
	return nil
}

// urgentCell is the times of all urgent objects in milliseconds, least first, and
// the rate of the others.
func (b *bench) urgentCell(ctx context.Context, o options, w wire, s *stock, transport string) (took []float64, rate float64, err error) {
	c, done, err := b.newCell(ctx, w, s, o.seed)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, done()) }()
	h, a, err := c.pairUp(ctx, transport)
	if err != nil {
		return nil, 0, err
	}
	defer h.Stop()
	if err := a.Start(ctx, c.Lab); err != nil {
		return nil, 0, err
	}
	defer a.Stop()
	var state lab.State
	if err := lab.Await(ctx, firstPacket, "the hub", func() bool { state, err = a.State(ctx); return err == nil && state.Uplink.Connected }); err != nil {
		return nil, 0, fmt.Errorf("%w: %s", err, a.Said())
	}
	sleep(ctx, urgentAfter)
	before, err := a.State(ctx)
	if err != nil {
		return nil, 0, err
	}
	began := time.Now()
	if err := c.sendUrgent(ctx, a); err != nil {
		return nil, 0, err
	}
	after, err := a.State(ctx)
	if err != nil {
		return nil, 0, err
	}
	routine := after.Counters.AtHub - before.Counters.AtHub - urgentObjects
	if s.count > 0 && after.Counters.AtHub >= int64(s.count) {
		return nil, 0, errors.New("the spool ran empty before the last urgent object: more --amount")
	}
	took, err = c.urgentTimes(ctx, a)
	return took, float64(routine*s.bytes) * 8 / time.Since(began).Seconds(), err
}

func (c *cell) sendUrgent(ctx context.Context, a *lab.Appliance) error {
	clock := time.NewTicker(urgentEvery)
	defer clock.Stop()
	for i := range urgentObjects {
		_, err := lab.Call(ctx, a.Prefix, c.Program("modsim"), "send", "--to", "URGENT@"+a.Address, "--calling", "EMERGENCY",
			"--seed", fmt.Sprint(1000+i), "--profile", "bench:1x512KiB")
		if err != nil {
			return fmt.Errorf("%w: %s", err, a.Said())
		}
		<-clock.C
	}
	return nil
}

// urgentTimes waits for the last receipt and asks the spool.
func (c *cell) urgentTimes(ctx context.Context, a *lab.Appliance) (took []float64, err error) {
	waited := lab.Await(ctx, 10*time.Second, "the receipts of urgent objects", func() bool {
		took, err = c.urgentRows(ctx, a)
		return err != nil || len(took) == urgentObjects
	})
	return took, errors.Join(err, waited)
}

func (c *cell) urgentRows(ctx context.Context, a *lab.Appliance) (took []float64, err error) {
	said, err := lab.Call(ctx, a.Prefix, c.Program("edged"), "spool", "ls", "--json", "-c", a.Config)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(said) {
		var row struct {
			Priority   string    `json:"priority"`
			ReceivedAt time.Time `json:"received_at"`
			AtHubAt    time.Time `json:"at_hub_at"`
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			return nil, err
		}
		if row.Priority == "urgent" && !row.AtHubAt.IsZero() {
			took = append(took, float64(row.AtHubAt.Sub(row.ReceivedAt).Microseconds())/1000)
		}
	}
	return sorted(took), nil
}

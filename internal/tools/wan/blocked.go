package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"edged/internal/tools/lab"
)

const (
	goalFallback = 5 * time.Second
	blockedTime  = 45 * time.Second // until all is at the hub
	blockAfter   = 2 * time.Second  // when UDP stops in mid-transfer
)

// blocked drops UDP: before the first packet, and while QUIC may be carrying.
func blocked(ctx context.Context, b *bench, o options, r *lab.Report) error {
	s := lab.Section{Title: "UDP dropped, transport auto", Head: []string{"UDP", "line", "first receipt after", "longest time without a receipt", "at the hub", "of", "took", "carriers", "goal", ""}}
	w, err := chosen(lines, lineID, list{"1g"})
	if err != nil {
		return err
	}
	stock, err := b.prepare(ctx, sizes[1], o.amount)
	if err != nil {
		return err
	}
	var errs []error
	for _, late := range []bool{false, true} {
		f, err := b.blockedCell(ctx, o, w[0], stock, late)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.Row(f.name, w[0].String(), seconds(f.first), seconds(f.silent), fmt.Sprint(f.objects), fmt.Sprint(stock.count), seconds(f.took), f.said,
			"all, fallback ≤ 5 s", lab.Verdict(f.objects == int64(stock.count) && f.fallback <= goalFallback))
		r.Figures[f.figure] = fmt.Sprintf("%.1f", f.fallback.Seconds())
	}
	s.Note("The relay drops every UDP packet, both ways, and nobody is told. The fallback took as long as the first receipt, counted from edged's first packet, or as the longest silence after UDP stopped.")
	r.Add(s)
	return errors.Join(errs...)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// fallback is how a cell went.
type fallback struct {
	name, figure, said            string
	first, silent, took, fallback time.Duration
	objects                       int64
}

func (b *bench) blockedCell(ctx context.Context, o options, w wire, s *stock, late bool) (f fallback, err error) {
	c, done, err := b.newCell(ctx, w, s, o.seed)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, done()) }()
	h, a, err := c.pairUp(ctx, "auto")
	if err != nil {
		return f, err
	}
	defer h.Stop()
	if !late {
		if _, err := c.relay.tell(relayBlock); err != nil {
			return f, err
		}
	}
	if err := a.Start(ctx, c.Lab); err != nil {
		return f, err
	}
	defer a.Stop()
	began, err := c.firstFrom(ctx)
	if err != nil {
		return f, fmt.Errorf("%w: %s", err, a.Said())
	}
	f = fallback{name: "dropped from the start", figure: "fallback_s"}
	if late {
		f = fallback{name: fmt.Sprintf("dropped %s after the first packet", blockAfter), figure: "fallback_late_s"}
	}
	watch := watch{cell: c, hub: h, appliance: a}
	err = f.follow(ctx, &watch, began, late)
	f.said = watch.story()
	return f, err
}

// firstFrom waits for the first packet that comes from the near end, blocked or not.
func (c *cell) firstFrom(ctx context.Context) (began time.Time, err error) {
	before, err := c.traffic()
	if err != nil {
		return began, err
	}
	var last error
	err = lab.Await(ctx, firstPacket, "the first packet", func() bool {
		now, err := c.traffic()
		last, began = err, time.Now()
		return err != nil || now[0].Packets+now[0].Blocked > before[0].Packets+before[0].Blocked
	})
	return began, errors.Join(err, last)
}

// follow looks until all is at the hub.
func (f *fallback) follow(ctx context.Context, w *watch, began time.Time, late bool) error {
	receipt, objects := time.Duration(0), int64(0)
	for clock := time.NewTicker(look); ; <-clock.C {
		s, err := w.appliance.State(ctx)
		if err != nil {
			return err
		}
		now := time.Since(began)
		w.samples = append(w.samples, sample{now, s.Counters.AtHub, s.Uplink.Transport, s.Uplink.Lanes})
		if late && now >= blockAfter {
			if _, err := w.relay.tell(relayBlock); err != nil {
				return err
			}
			late, receipt, f.silent = false, now, 0 // silence counts from here
			f.name += ", while " + s.Uplink.Transport + " carried"
		}
		if s.Counters.AtHub > objects {
			if f.silent = max(f.silent, now-receipt); objects == 0 {
				f.first = now
			}
			objects, receipt = s.Counters.AtHub, now
		}
		f.objects, f.took = objects, now
		if f.fallback = f.first; f.figure == "fallback_late_s" {
			f.fallback = f.silent
		}
		if objects == int64(w.count) || now > blockedTime {
			return nil
		}
	}
}

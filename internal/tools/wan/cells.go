package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"edged/internal/netlab/line"
	"edged/internal/tools/lab"
)

// results are by line, size and peer.
type results map[[3]string]outcome

func (r results) of(w wire, z size, peer string) outcome { return r[[3]string{w.id, z.id, peer}] }

// cells measures every peer on every line with every size, a table a line, and
// judges. A cell that fails is a dash; its error is kept for the end.
func (p plan) cells(ctx context.Context, b *bench, o options, r *lab.Report) error {
	if len(p.peers) == 0 {
		return nil
	}
	top, err := ceiling(ctx, b, r)
	if err != nil {
		return err
	}
	found := make(results)
	var errs []error
	for _, w := range p.lines {
		s := lineTable(w, o, top)
		for _, z := range p.sizes {
			stock, err := b.prepare(ctx, z, o.amount)
			if err != nil {
				return errors.Join(append(errs, err)...)
			}
			for _, peer := range p.peers {
				out, err := b.repeat(ctx, o, w, stock, peer)
				if err != nil {
					errs = append(errs, fmt.Errorf("%s, %s, %s: %w", w.id, z.id, peer.id, err))
					fmt.Fprintln(os.Stderr, "wan:", errs[len(errs)-1])
				} else if out.seconds > 0 {
					found[[3]string{w.id, z.id, peer.id}] = out
				}
				fmt.Fprintf(os.Stderr, "%-9s %-7s %-16s %s %s\n", w.id, z.id, peer.id, bits(out.rate()), out.said)
			}
			found.rows(&s, w, z, p.peers)
		}
		r.Add(s)
	}
	r.Add(found.judge(p, r.Figures))
	return errors.Join(errs...)
}

// repeat runs a cell as often as asked for. A peer that is not installed is none.
func (b *bench) repeat(ctx context.Context, o options, w wire, s *stock, p peer) (outcome, error) {
	if p.missing() {
		return outcome{}, nil
	}
	var all []outcome
	var again []string
	for run := range o.runs {
		out, err := b.once(ctx, o, w, s, p, o.seed+uint64(run))
		if err != nil && ctx.Err() == nil {
			fmt.Fprintf(os.Stderr, "wan: once more: %s, %s, %s: %v\n", w.id, s.id, p.id, err)
			why := err
			out, err = b.once(ctx, o, w, s, p, o.seed+uint64(run))
			out.again = firstWords(why)
		}
		if err != nil {
			return out, err
		}
		all = append(all, out)
		if out.again != "" {
			again = append(again, out.again)
		}
	}
	out := middle(all)
	out.again = strings.Join(again, "; ") // of all its runs
	return out, nil
}

// firstWords are the first line of an error, as much as a table has room for.
func firstWords(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return fmt.Sprintf("%.80s", strings.ReplaceAll(line, "|", "/"))
}

// once lays the line anew, so that every peer meets the same luck.
func (b *bench) once(ctx context.Context, o options, w wire, s *stock, p peer, seed uint64) (out outcome, err error) {
	c, done, err := b.newCell(ctx, w, s, seed)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, done()) }()
	c.limit = p.time(o)
	before := c.relayCPU()
	if out, err = p.carry(ctx, c); err != nil {
		return out, err
	}
	out.relay = c.relayCPU() - before
	out.traffic, err = c.stage.traffic()
	return out, err
}

// lineTable is a table without rows, with what is the same for all of them.
func lineTable(w wire, o options, top ceilings) lab.Section {
	s := lab.Section{Title: w.String(), Head: []string{"objects", "carried by", "goodput", "of the line", "second half", "objects/s",
		"to default C-STORE", "to tuned", "to Go TLS", "CPU s/GB, sender", "CPU s/GB, receiver", "peak MiB, both", "line busy", "lost / dropped, %", ""}}
	if w.rate > 0 {
		s.Note("Queue %d KiB (1 bandwidth-delay product), drop tail, both ways; seed %d. The relay alone passes %s of TCP and %.0f thousand small packets a second on this machine.",
			w.queue()>>10, o.seed, bits(top.tcp), top.packets/1e3)
	}
	return s
}

func (r results) rows(s *lab.Section, w wire, z size, all []peer) {
	for _, p := range all {
		o, ok := r[[3]string{w.id, z.id, p.id}]
		if !ok {
			s.Row(slices.Concat([]string{z.id, p.name, "not measured"}, slices.Repeat([]string{"–"}, len(s.Head)-3))...)
			continue
		}
		s.Row(z.id, p.name, bits(o.rate()), share(o.rate(), float64(w.rate)), steady(o), fmt.Sprintf("%.0f", lab.Per(float64(o.bytes)/float64(z.bytes), o.seconds)),
			r.ratio(w, z, o, plainStore), r.ratio(w, z, o, tunedStore), r.ratio(w, z, o, plainTLS),
			fmt.Sprintf("%.2f", o.perGB(o.sender)), fmt.Sprintf("%.2f", o.perGB(o.receiver)), memory(o), busy(o, w), luck(o.traffic), remarks(o, w))
	}
}

func share(rate, line float64) string {
	if line == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f %%", 100*rate/line)
}

func steady(o outcome) string {
	if o.steady == 0 {
		return "–"
	}
	return bits(o.steady)
}

func (r results) ratio(w wire, z size, o outcome, to string) string {
	if other := r.of(w, z, to); other.rate() > 0 {
		return fmt.Sprintf("%.3g×", o.rate()/other.rate())
	}
	return "–"
}

func memory(o outcome) string {
	if o.rss[0] == 0 {
		return "–"
	}
	return fmt.Sprintf("%d, %d", o.rss[0]>>20, o.rss[1]>>20)
}

// busy is how much of the time the line carried something to the far end: what it
// carried and the receiver could not use is the difference to the goodput.
func busy(o outcome, w wire) string {
	t := o.traffic[0]
	return share(lab.Per(float64(t.Bytes+t.Delivered*line.Ethernet)*8, o.seconds), float64(w.rate))
}

func luck(t traffic) string {
	if t[0].Packets == 0 {
		return "–"
	}
	return fmt.Sprintf("%.3f / %.3f", 100*lab.Per(float64(t[0].Lost), float64(t[0].Packets)), 100*lab.Per(float64(t[0].Dropped), float64(t[0].Packets)))
}

// remarks are what a reader of the row has to know.
func remarks(o outcome, w wire) string {
	var all []string
	if o.said != "" {
		all = append(all, o.said)
	}
	if o.cut {
		all = append(all, fmt.Sprintf("cut off after %.0f s", o.seconds))
	}
	if part := lab.Per(float64(o.partial), float64(o.bytes)); part > 0.01 {
		all = append(all, fmt.Sprintf("%.0f %% of the bytes are of objects cut off, not durable", 100*part))
	}
	if o.again != "" {
		all = append(all, "measured again after a failure: "+o.again)
	}
	if late := lab.Per(float64(o.traffic[0].Late), float64(o.traffic[0].Packets)); late > 0.01 {
		all = append(all, fmt.Sprintf("the relay was late for %.0f %%", 100*late))
	}
	if w.rate > 0 && o.relay.Seconds() > 0.5*o.seconds {
		all = append(all, fmt.Sprintf("the relay took %.0f %% of a core", 100*o.relay.Seconds()/o.seconds))
	}
	return strings.Join(all, "; ")
}

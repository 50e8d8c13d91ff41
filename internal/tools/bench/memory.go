package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"edged/internal/tools/lab"
)

// goals of the section on memory, in bytes.
const (
	goalMany  = 256 << 20 // the most of edged under 16 associations
	goalLarge = 64 << 20  // growth of edged by one object of 4 GiB
)

const (
	manyAssociations = 16
	manyObjects      = 1600
)

// sizes is the memory of one process: at rest, and its peaks.
type sizes struct{ rest, stored, all int64 }

// load is what is sent to a fresh appliance with a connected hub.
type load struct {
	name, profile string
	associations  int
	objects       int64
	bytes         int64
}

// memory is the section on memory: receiving and sending at the same time.
func memory(ctx context.Context, l *lab.Lab, o options, r *lab.Report) error {
	s := lab.Section{Title: "Memory (resident, MiB)", Head: []string{"load", "edged at rest", "edged, peak until answered", "edged, peak until at hub", "hubd at rest", "hubd, peak", "goal", ""}}
	many := load{fmt.Sprintf("%d associations, %d × 512 KiB", manyAssociations, manyObjects), spec(manyObjects), manyAssociations, manyObjects, manyObjects * objectBytes}
	err := func() error {
		e, h, err := remember(ctx, l, many)
		if err != nil {
			return fmt.Errorf("%s: %w", many.name, err)
		}
		most := max(e.stored, e.all)
		memoryRow(&s, many, e, h, "edged < 256", most < goalMany)
		r.Figures["rss_16"] = fmt.Sprintf("%dMiB", most>>20)
		return rememberLarge(ctx, l, o, &s, r)
	}()
	s.Note("VmHWM of a fresh process, the hub connected all the time, so that edged receives and sends at once. Goals of the large objects are growth over rest.")
	r.Add(s)
	return err
}

func rememberLarge(ctx context.Context, l *lab.Lab, o options, s *lab.Section, r *lab.Report) error {
	worst := int64(0)
	for _, size := range strings.Split(o.large, ",") {
		large := load{name: "one object of " + size, profile: "large:" + size, associations: 1, objects: 1}
		mib := int64(0)
		if _, err := fmt.Sscanf(size, "%dMiB", &mib); err != nil {
			return fmt.Errorf("--large %s: want sizes as 4095MiB", size)
		}
		large.bytes = mib << 20
		e, h, err := remember(ctx, l, large)
		if err != nil {
			return fmt.Errorf("%s: %w", large.name, err)
		}
		growth := max(e.stored, e.all) - e.rest
		worst = max(worst, growth)
		memoryRow(s, large, e, h, fmt.Sprintf("edged grows < 64: %d", growth>>20), growth < goalLarge)
		r.Figures["rss_4GiB"] = fmt.Sprintf("+%dMiB", worst>>20)
	}
	return nil
}

func memoryRow(s *lab.Section, ld load, e, h sizes, goal string, ok bool) {
	mib := func(n int64) string { return fmt.Sprint(n >> 20) }
	s.Row(ld.name, mib(e.rest), mib(e.stored), mib(e.all), mib(h.rest), mib(h.all), goal, lab.Verdict(ok))
}

// remember sends the load and watches both processes until it is at the hub.
func remember(ctx context.Context, l *lab.Lab, ld load) (edged, hubd sizes, err error) {
	if err := lab.RoomFor(l.Dir, 2*ld.bytes); err != nil {
		return edged, hubd, err
	}
	dir, err := l.Folder(l.Dir, "memory")
	if err != nil {
		return edged, hubd, err
	}
	defer os.RemoveAll(dir)
	h, a, err := lab.NewPair(ctx, l, dir)
	if err != nil {
		return edged, hubd, err
	}
	defer h.Stop()
	if err := a.Start(ctx, l); err != nil {
		return edged, hubd, err
	}
	defer a.Stop()
	err = lab.Await(ctx, 60*time.Second, "edged to reach the hub", func() bool { s, err := a.State(ctx); return err == nil && s.Uplink.Connected })
	if err != nil {
		return edged, hubd, fmt.Errorf("%w: %s", err, h.Said())
	}
	err = errors.Join(rest(a.Process, &edged), rest(h.Process, &hubd))
	if err != nil {
		return edged, hubd, err
	}
	return edged, hubd, ld.send(ctx, l, h, a, &edged, &hubd)
}

// rest notes the memory now and forgets what was before.
func rest(p *lab.Process, s *sizes) (err error) {
	if err = p.ForgetPeak(); err == nil {
		s.rest, err = p.RSS()
	}
	return err
}

func (ld load) send(ctx context.Context, l *lab.Lab, h *lab.Hub, a *lab.Appliance, edged, hubd *sizes) (err error) {
	if _, err = lab.Call(ctx, nil, l.Program("modsim"), "send", "--to", "EDGED@"+a.Address, "--profile", ld.profile,
		"--associations", fmt.Sprint(ld.associations), "--timeout", "4m"); err != nil {
		return fmt.Errorf("%w: %s", err, a.Said())
	}
	if edged.stored, err = a.Peak(); err != nil {
		return err
	}
	if err = lab.Await(ctx, 4*time.Minute, "everything to be at the hub", func() bool {
		s, err := a.State(ctx)
		return err == nil && s.Counters.AtHub == ld.objects
	}); err != nil {
		return fmt.Errorf("%w: %s", err, a.Said())
	}
	if edged.all, err = a.Peak(); err != nil {
		return err
	}
	hubd.all, err = h.Peak()
	return err
}

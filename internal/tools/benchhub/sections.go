package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"edged/internal/pglab"
	"edged/internal/tools/lab"
)

// effort is how much each cell sends, and how often; -short is for a look.
func (o options) effort(size int64) (objects, runs int) {
	objects, runs = 6000, 3
	if size > 100<<10 {
		objects = 1000
	}
	if o.short {
		objects, runs = objects/3, 1
	}
	return objects, runs
}

// The goals.
const (
	goalSmall   = 1100 // objects of 30 KiB a second
	goalRows    = 10   // per cent of the time of receiving objects of 512 KiB
	goalIdleCPU = 5    // per cent of a core
	goalIdleRSS = 1 << 30
)

func verdict(ok bool) string {
	if ok {
		return "PASS"
	}
	return "GAP"
}

// engine is a database that rows may be in.
type engine struct {
	name string
	url  func() (string, error) // of a new one
}

// engines are SQLite and, where it is installed, PostgreSQL; without that why says so.
func engines(l *lab.Lab) (all []engine, why error) {
	all = []engine{{"SQLite", func() (string, error) { return "", nil }}}
	if err := os.Chmod(l.Dir, 0o711); err != nil { // it runs as another user when we are root
		return all, err
	}
	pg, err := pglab.Run(l.Dir)
	if err != nil {
		return all, err
	}
	l.OnClose(pg.Close)
	n := 0
	return append(all, engine{"PostgreSQL", func() (string, error) {
		n++
		return pg.Create(fmt.Sprintf("bench%d", n))
	}}), nil
}

// receiving is the section on objects made durable.
func receiving(ctx context.Context, l *lab.Lab, o options, r *lab.Report) error {
	s := lab.Section{
		Title: "Objects made durable, with a receipt, on " + lab.FileSystem(l.Dir),
		Head:  []string{"object", "rows in", "appliances", "objects/s (least–greatest)", "MB/s", "CPU ms an object, hub", "load generator", "hub's most memory, MiB", "goal", ""},
	}
	all, missing := engines(l)
	var failed error
	for _, size := range []int64{30 << 10, 512 << 10} {
		for _, e := range all {
			for _, appliances := range []int{1, 16, 256} {
				failed = errors.Join(failed, receiveRow(ctx, l, o, r, &s, e, size, appliances))
			}
		}
	}
	s.Note("Over TCP and TLS on loopback, an object counts when its receipt has come; the load generator shares the two cores with the hub, and its time is told. Median of the runs.")
	if missing != nil {
		s.Note("PostgreSQL was not measured: %s.", strings.TrimSpace(missing.Error()))
	}
	r.Add(s)
	return failed
}

func receiveRow(ctx context.Context, l *lab.Lab, o options, r *lab.Report, s *lab.Section, e engine, size int64, appliances int) error {
	objects, n := o.effort(size)
	var runs []outcome
	for i := range n {
		url, err := e.url()
		if err != nil {
			return err
		}
		c := cell{size: size, objects: objects, appliances: appliances, database: url}
		if o.profile != "" && i == 0 {
			c.profile = filepath.Join(o.profile, fmt.Sprintf("%s-%dKiB-%d.prof", e.name, size>>10, appliances))
		}
		out, err := c.once(ctx, l)
		if err != nil {
			return fmt.Errorf("%s, %d KiB, %d appliances: %w", e.name, size>>10, appliances, err)
		}
		runs = append(runs, out)
	}
	m := median(runs)
	goal, ok := "", ""
	if size == 30<<10 && appliances > 1 {
		goal, ok = fmt.Sprintf("≥ %d", goalSmall), verdict(m.rate >= goalSmall)
	}
	if e.name == "SQLite" {
		r.Figures[fmt.Sprintf("hub_%dKiB_%d", size>>10, appliances)] = fmt.Sprintf("%.0f", m.rate)
	}
	s.Row(fmt.Sprintf("%d KiB", size>>10), e.name, fmt.Sprint(appliances), fmt.Sprintf("%.0f (%.0f–%.0f)", m.rate, runs[0].rate, runs[len(runs)-1].rate),
		fmt.Sprintf("%.0f", m.rate*float64(size)/1e6), m.perObject(m.hub, objects), m.perObject(m.own, objects), fmt.Sprint(m.rss>>20), goal, ok)
	return nil
}

// rows is the section on what the ledger costs: the same hub with and without.
func rows(ctx context.Context, l *lab.Lab, o options, r *lab.Report) error {
	const size = 512 << 10
	objects, n := o.effort(size)
	with, without := make([]outcome, n), make([]outcome, n)
	for i := range n { // in turn, so that a busy moment hits both
		for _, way := range []struct {
			to     *outcome
			noRows bool
		}{{&with[i], false}, {&without[i], true}} {
			out, err := cell{size: size, objects: objects, appliances: 16, noRows: way.noRows}.once(ctx, l)
			if err != nil {
				return err
			}
			*way.to = out
		}
	}
	a, b := median(with), median(without)
	share := 100 * (1/a.rate - 1/b.rate) / (1 / a.rate)
	cpu := 100 * (a.hub - b.hub).Seconds() / a.hub.Seconds()
	s := lab.Section{Title: "What the rows cost of receiving objects of 512 KiB, 16 appliances, SQLite", Head: []string{"", "objects/s", "CPU ms an object, hub"}}
	s.Row("with rows", fmt.Sprintf("%.0f", a.rate), a.perObject(a.hub, objects))
	s.Row("receipts without rows", fmt.Sprintf("%.0f", b.rate), b.perObject(b.hub, objects))
	s.Row("share of the rows", fmt.Sprintf("%.1f %% of the time, goal < %d %%: %s", share, goalRows, verdict(share < goalRows)), fmt.Sprintf("%.1f %% of the CPU", cpu))
	r.Figures["rows_share"] = fmt.Sprintf("%.1f%%", share)
	r.Add(s)
	return nil
}

// forwarding is the section on whether what is received goes on as fast.
func forwarding(ctx context.Context, l *lab.Lab, o options, r *lab.Report) error {
	s := lab.Section{
		Title: "Receiving and forwarding to a folder at the same time, 16 appliances, SQLite",
		Head:  []string{"object", "received, objects/s", "not archived when the last receipt came", "archived and confirmed, objects/s", "CPU ms an object, hub", "goal", ""},
	}
	for _, size := range []int64{30 << 10, 512 << 10} {
		objects, _ := o.effort(size)
		out, err := cell{size: size, objects: objects, appliances: 16, archive: true}.once(ctx, l)
		if err != nil {
			return err
		}
		keeps := out.archived >= 0.9*out.rate
		s.Row(fmt.Sprintf("%d KiB", size>>10), fmt.Sprintf("%.0f", out.rate), fmt.Sprint(out.left), fmt.Sprintf("%.0f", out.archived), out.perObject(out.hub, objects), "keeps up", verdict(keeps))
		if size == 30<<10 {
			r.Figures["forward_per_s"], r.Figures["forward_left"] = fmt.Sprintf("%.0f", out.archived), fmt.Sprint(out.left)
		}
	}
	s.Note("Every object is written twice, durably, on the same disk: as the hub's copy and as the archive's. It keeps up when the last confirmation comes within a ninth of the time of the last receipt.")
	r.Add(s)
	return nil
}

// idle is the section on the fleet that does nothing, over each carrier.
func idle(ctx context.Context, l *lab.Lab, o options, r *lab.Report) error {
	s := lab.Section{
		Title: fmt.Sprintf("%d connected appliances that are idle, a real hubd", o.fleet.appliances),
		Head:  []string{"carrier", "connected after, s", "CPU of the hub, % of a core", "memory of the hub, MiB", "files of the hub", "memory of the fleet, MiB", "goal", ""},
	}
	for _, carrier := range []string{"tcp", "quic"} {
		f := o.fleet
		f.carrier, f.day = carrier, 0
		run, err := f.run(ctx, o.dir, o.bin)
		if err != nil {
			return err
		}
		r.Figures["idle_cpu_"+carrier], r.Figures["idle_rss_"+carrier] = fmt.Sprintf("%.1f%%", run.idle), mib(run.idleRSS)
		s.Row(carrier, fmt.Sprintf("%.0f", run.connect.Seconds()), fmt.Sprintf("%.1f", run.idle), fmt.Sprint(run.idleRSS>>20), fmt.Sprint(run.hubFiles), fmt.Sprint(run.fleetRSS>>20),
			"< 5 %, < 1 GiB", verdict(run.idle < goalIdleCPU && run.idleRSS < goalIdleRSS))
	}
	s.Note("Over %s, 5 s after the last one has connected. Over QUIC each appliance says every 5 s that it is there (a quarter of its idle timeout); over TCP the kernel does.", o.fleet.idle.Round(time.Second))
	r.Add(s)
	return nil
}

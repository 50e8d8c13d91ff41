package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

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
	if o.cut > 1 {
		objects, runs = max(objects/o.cut, 1), 1
	}
	return objects, runs
}

// The goals.
const (
	goalSmall   = 1100 // objects of 30 KiB a second
	paceLarge   = 280  // objects of 512 KiB a second: half of what the whole country sends on a working day
	goalRows    = 10   // per cent of the time of receiving objects of 512 KiB
	goalIdleCPU = 5    // per cent of a core
	goalIdleRSS = 1 << 30
)

const (
	small = 30 << 10
	large = 512 << 10
)

func kib(size int64) string { return fmt.Sprintf("%d KiB", size>>10) }

// why is a cell of the table for what was not measured.
func why(err error) string {
	if err == nil {
		return lab.NotMeasured
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	line = strings.ReplaceAll(line, "|", "/") // ends a cell of Markdown
	return fmt.Sprintf("%s: %.120s", lab.NotMeasured, line)
}

// receiving is the section on objects made durable.
func receiving(ctx context.Context, b *bench) error {
	s := lab.Section{
		Title: "Objects made durable, with a receipt, by a real hubd on " + lab.FileSystem(b.lab.Dir),
		Head:  []string{"object", "rows in", "objects in", "appliances", "objects/s (least–greatest)", "MB/s", "CPU ms an object, hubd", "load generator", "hubd's most memory, MiB", "goal", ""},
	}
	p := b.storage()
	var failed error
	for _, size := range []int64{small, large} {
		for _, at := range []place{p.sqlite, p.postgres, p.s3} {
			for _, appliances := range []int{1, 16, 256} {
				failed = errors.Join(failed, receiveRow(ctx, b, &s, at, size, appliances))
			}
		}
	}
	s.Note("Over TCP and TLS on loopback, an object counts when its receipt has come; load generator, PostgreSQL and S3 server share the two cores with hubd, and what the first took is told. Median of the runs; with S3 there is one run of fewer objects.")
	s.Note("The S3 server is versitygw on the same disk, which does not flush what it writes.")
	b.report.Add(s)
	return failed
}

func receiveRow(ctx context.Context, b *bench, s *lab.Section, at place, size int64, appliances int) error {
	objects, n := b.effort(size)
	if at.objects == "S3" {
		objects, n = max(objects/6, 1), 1
	}
	c := cell{size: size, objects: objects, appliances: appliances}
	if b.profile != "" {
		c.rooms, c.profile = true, filepath.Join(b.profile, fmt.Sprintf("%s-%s-%d-%d.prof", at.rows, at.objects, size>>10, appliances))
	}
	runs, failed := c.runsAt(ctx, b, at, n)
	goal, ok := "", ""
	if size == small && appliances > 1 {
		goal, ok = fmt.Sprintf("≥ %d", goalSmall), lab.NotMeasured
	}
	head := []string{kib(size), at.rows, at.objects, fmt.Sprint(appliances)}
	if len(runs) == 0 {
		s.Row(append(head, why(failed), "", "", "", "", goal, ok)...)
		return unless(at.missing, failed)
	}
	m := median(runs)
	if goal != "" {
		ok = lab.Verdict(m.rate >= goalSmall)
	}
	if at.rows == "SQLite" {
		b.report.Figures[fmt.Sprintf("hub_%dKiB_%d", size>>10, appliances)] = fmt.Sprintf("%.0f", m.rate)
	}
	s.Row(append(head, spread(runs), fmt.Sprintf("%.0f", m.rate*float64(size)/1e6), m.perObject(m.hub, objects), m.perObject(m.own, objects), fmt.Sprint(m.rss>>20), goal, ok)...)
	return failed
}

// unless drops an error that says that something is not installed: the table says so.
func unless(missing, err error) error {
	if missing != nil {
		return nil
	}
	return err
}

// runsAt is runs, each with rows of its own at a place.
func (c cell) runsAt(ctx context.Context, b *bench, at place, n int) (list []outcome, err error) {
	for range n {
		own, err := at.into(c)
		if err != nil {
			return list, err
		}
		out, err := own.bounded(ctx, b)
		if err != nil {
			return list, fmt.Errorf("%s, %s, %s, %d appliances: %w", at.rows, at.objects, kib(c.size), c.appliances, err)
		}
		list = append(list, out)
	}
	return list, nil
}

// rows is the section on what the ledger costs: the same hub with and without, in pairs,
// so that a moment in which the machine is slow hits both; who is first changes.
func rows(ctx context.Context, b *bench) (failed error) {
	objects, n := b.effort(large)
	if n > 1 {
		objects, n = 2*objects, 5
	}
	var with, without []outcome
	var shares, cpu, under []float64
	for i := range n {
		var pair [2]outcome // with rows, without
		for k := range pair {
			k = (k + i) % 2
			c := cell{size: large, objects: objects, appliances: 16, rooms: true, noRows: k == 1, timed: k == 0}
			if pair[k], failed = c.bounded(ctx, b); failed != nil {
				break
			}
		}
		if failed != nil {
			break
		}
		a, o := pair[0], pair[1]
		with, without = append(with, a), append(without, o)
		shares = append(shares, 100*(1-a.rate/o.rate))
		cpu = append(cpu, 100*lab.Per((a.hub-o.hub).Seconds(), a.hub.Seconds()))
		under = append(under, 100*a.rows.Seconds()/a.took.Seconds())
	}
	s := lab.Section{Title: "What the rows cost of receiving objects of 512 KiB, 16 appliances, SQLite", Head: []string{"", "objects/s (least–greatest)", "CPU ms an object, hub", "goal", ""}}
	goal := fmt.Sprintf("< %d %% of the time", goalRows)
	if len(shares) == 0 {
		s.Row("share of the rows", why(failed), "", goal, lab.NotMeasured)
	} else {
		s.Row("with rows", spread(with), median(with).perObject(median(with).hub, objects), "", "")
		s.Row("receipts without rows", spread(without), median(without).perObject(median(without).hub, objects), "", "")
		share := lab.Median(shares)
		s.Row("share of the rows", percents(shares)+" of the time", percents(cpu)+" of the CPU", goal, lab.Verdict(share < goalRows))
		b.report.Figures["rows_share"] = fmt.Sprintf("%.1f%%", share)
		s.Note("A transaction of rows was under way in %s of the time: more than its share, because meanwhile other objects are received and flushed.", percents(under))
	}
	s.Note("The hub's rooms in a process of the tool's own, once with the ledger and once with one whose Receive and Known do nothing, %d pairs in turn. Share of a pair: 1 − rate with rows / rate without; median of the pairs (least to greatest). A negative one is noise of the machine.", len(shares))
	b.report.Add(s)
	return failed
}

func percents(v []float64) string {
	if len(v) == 1 {
		return fmt.Sprintf("%.1f %% (one pair)", v[0])
	}
	return fmt.Sprintf("%.1f %% (%.1f to %.1f)", lab.Median(v), slices.Min(v), slices.Max(v))
}

// forwarding is the section on whether what is received goes on as fast.
func forwarding(ctx context.Context, b *bench) (failed error) {
	s := lab.Section{
		Title: "Receiving and forwarding to a folder at the same time, a real hubd, 16 appliances, SQLite",
		Head:  []string{"object", "come, objects/s", "received, objects/s", "not archived when the last receipt came", "archived and confirmed, objects/s", "CPU ms an object, hubd", "goal", ""},
	}
	for _, at := range []struct {
		size int64
		pace int
	}{{small, 0}, {small, goalSmall}, {large, 0}, {large, paceLarge}} {
		objects, _ := b.effort(at.size)
		out, err := cell{size: at.size, objects: objects, appliances: 16, archive: true, pace: at.pace}.bounded(ctx, b)
		comes := "as they can"
		if at.pace > 0 {
			comes = fmt.Sprint(at.pace)
		}
		if err != nil {
			failed = errors.Join(failed, err)
			s.Row(kib(at.size), comes, why(err), "", "", "", "keeps up", lab.NotMeasured)
			continue
		}
		keeps := out.archived >= 0.9*out.rate
		s.Row(kib(at.size), comes, fmt.Sprintf("%.0f", out.rate), fmt.Sprint(out.left), fmt.Sprintf("%.0f", out.archived), out.perObject(out.hub, objects), "keeps up", lab.Verdict(keeps))
		if at.size == small && at.pace == 0 {
			b.report.Figures["forward_per_s"], b.report.Figures["forward_left"] = fmt.Sprintf("%.0f", out.archived), fmt.Sprint(out.left)
		}
	}
	s.Note("Every object is written twice, durably, on the same disk: as the hub's copy and as the archive's. It keeps up when the last confirmation comes within a ninth of the time of the last receipt.")
	b.report.Add(s)
	return failed
}

// grown is the section on rows that have many objects already.
func grown(ctx context.Context, b *bench) (failed error) {
	s := lab.Section{
		Title: "Rows that have many objects already, a real hubd, objects of 30 KiB in files, 16 appliances",
		Head:  []string{"rows in", "objects there before", "entered in, s", "objects/s", "CPU ms an object, hubd", "hubd's most memory, MiB", "goal", ""},
	}
	objects, _ := b.effort(small)
	p := b.storage()
	goal := fmt.Sprintf("≥ %d", goalSmall)
	for _, at := range []place{p.sqlite, p.postgres} {
		for _, before := range []int{0, b.before} {
			runs, err := cell{size: small, objects: objects, appliances: 16, before: before}.runsAt(ctx, b, at, 1)
			if len(runs) == 0 {
				failed = errors.Join(failed, unless(at.missing, err))
				s.Row(at.rows, fmt.Sprint(before), "", why(err), "", "", goal, lab.NotMeasured)
				continue
			}
			out := runs[0]
			s.Row(at.rows, fmt.Sprint(before), fmt.Sprintf("%.0f", out.filled.Seconds()), fmt.Sprintf("%.0f", out.rate), out.perObject(out.hub, objects), fmt.Sprint(out.rss>>20), goal, lab.Verdict(out.rate >= goalSmall))
			if at.rows == "SQLite" && before > 0 {
				b.report.Figures["grown_per_s"] = fmt.Sprintf("%.0f", out.rate)
			}
		}
	}
	s.Note("One run each. What was there before was received, archived and removed, has receipts, is in studies of fifty, and was entered by SQL, around the ledger.")
	b.report.Add(s)
	return failed
}

// idleWithin bounds a fleet: its handshakes take most of it.
const idleWithin = 4 * time.Minute

// idle is the section on the fleet that does nothing, over each carrier.
func idle(ctx context.Context, b *bench) (failed error) {
	s := lab.Section{
		Title: fmt.Sprintf("%d connected appliances that are idle, a real hubd", b.fleet.appliances),
		Head:  []string{"carrier", "connected after, s", "CPU of the hub, % of a core", "memory of the hub, MiB", "files of the hub", "memory of the fleet, MiB", "files of the fleet", "goal", ""},
	}
	for _, carrier := range []string{"tcp", "quic"} {
		run, err := idleRun(ctx, b, carrier)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", carrier, err))
			s.Row(carrier, why(err), "", "", "", "", "", "< 5 %, < 1 GiB", lab.NotMeasured)
			continue
		}
		b.report.Figures["idle_cpu_"+carrier], b.report.Figures["idle_rss_"+carrier] = fmt.Sprintf("%.1f%%", run.idleHub.cpu), mib(run.idleHub.rss)
		s.Row(carrier, fmt.Sprintf("%.0f", run.connect.Seconds()), fmt.Sprintf("%.1f", run.idleHub.cpu), fmt.Sprint(run.idleHub.rss>>20), fmt.Sprint(run.idleHub.files), fmt.Sprint(run.idleFleet.rss>>20), fmt.Sprint(run.idleFleet.files),
			"< 5 %, < 1 GiB", lab.Verdict(run.idleHub.cpu < goalIdleCPU && run.idleHub.rss < goalIdleRSS))
	}
	s.Note("Over %s, 5 s after the last one has connected. Over QUIC each appliance says from time to time that it is there; over TCP the kernel does.", b.fleet.idle.Round(time.Second))
	b.report.Add(s)
	return failed
}

func idleRun(ctx context.Context, b *bench, carrier string) (*fleetRun, error) {
	ctx, cancel := within(ctx, idleWithin, "the fleet")
	defer cancel()
	f := b.fleet
	f.carrier, f.day = carrier, 0
	run, err := f.run(ctx, b.dir, b.bin)
	if err == nil && run.connected != int64(f.appliances) {
		err = fmt.Errorf("%d of %d were connected in the end", run.connected, f.appliances)
	}
	return run, err
}

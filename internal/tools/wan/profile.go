package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"edged/internal/tools/lab"
)

const (
	profileAfter = 2 * time.Second
	profileTime  = 5 * time.Second
)

// groups are what a sample can belong to, by what its functions are called. Of one
// function the first that fits counts.
var groups = []struct {
	name string
	has  []string
}{
	{"SHA-256", []string{"sha256"}},
	{"AES-GCM", []string{"aes/gcm", "fips140/aes"}},
	{"SQLite (the hub's database)", []string{"modernc.org/"}},
	{"kernel: network", []string{"tcp_", "udp_", "udpv", "inet_", "sock_", "__sys_send", "__sys_recv", "ip_", "tun_", "net_rx", "skb_", "unix_"}},
	{"kernel: files", []string{"ext4_", "vfs_", "filemap_", "jbd2", "blk_", "xfs_", "iomap_", "do_sys_openat2"}},
	{"kernel: tasks and the rest", []string{"futex", "schedule", "epoll", "do_syscall_64", "entry_SYSCALL", "asm_"}},
	{"Go: memory", []string{"runtime.mallocgc", "runtime.gc", "runtime.scan", "runtime.sweep", "runtime.bg", "runtime.(*mheap)", "runtime.(*mspan)"}},
	{"quic-go", []string{"quic-go"}},
	{"crypto/tls", []string{"crypto/tls"}},
	{"CBOR", []string{"fxamacker/cbor"}},
	{"spool", []string{"edged/spool"}},
	{"uplink", []string{"edged/uplink"}},
	{"hub", []string{"edged/hub"}},
	{"Go: scheduler", []string{"runtime."}},
}

// passed over: who calls them is meant.
var copying = []string{"runtime.memmove", "runtime.memclr", "runtime.duff"}

// profile says where the CPU of both programs goes, over both carriers.
func profile(ctx context.Context, b *bench, o options, r *lab.Report) error {
	if _, err := exec.LookPath("perf"); err != nil {
		fmt.Println("no profile: perf (Debian: linux-perf) is not installed")
		return nil
	}
	symbols, err := b.Folder(b.Dir, "symbols")
	if err != nil {
		return err
	}
	if _, err := lab.Call(ctx, nil, "go", "build", "-trimpath", "-o", symbols+"/", "./cmd/edged", "./cmd/hubd"); err != nil {
		return err
	}
	stock, err := b.prepare(ctx, sizes[1], o.amount)
	if err != nil {
		return err
	}
	defer func(bin string) { b.Bin = bin }(b.Bin)
	b.Bin = symbols
	s := lab.Section{Title: "Where the CPU goes, 512 KiB", Head: []string{"share of the CPU time"}}
	var found []profiled
	for _, transport := range []string{"quic", "tcp"} {
		two, err := b.profileCell(ctx, o, lines[0], stock, transport)
		if err != nil {
			return fmt.Errorf("%s: %w", transport, err)
		}
		for i, side := range []string{"edged", "hubd"} {
			s.Head = append(s.Head, side+", "+transport)
			found = append(found, two[i])
		}
	}
	profileRows(&s, found)
	s.Note("%s, samples of %s, once all lanes are there.", lines[0], profileTime)
	r.Add(s)
	return nil
}

// profiled is one process.
type profiled struct {
	perGB   float64        // CPU seconds
	samples map[string]int // by group
}

func (p profiled) all() (n int) {
	for _, v := range p.samples {
		n += v
	}
	return n
}

func profileRows(s *lab.Section, found []profiled) {
	row := []string{"CPU s/GB"}
	names := make(map[string]int)
	for _, p := range found {
		row = append(row, fmt.Sprintf("%.2f", p.perGB))
		for name, n := range p.samples {
			names[name] += 1000 * n / max(1, p.all())
		}
	}
	s.Row(row...)
	for _, name := range slices.SortedFunc(maps.Keys(names), func(a, b string) int { return cmp.Or(names[b]-names[a], cmp.Compare(a, b)) }) {
		row := []string{name}
		for _, p := range found {
			row = append(row, fmt.Sprintf("%.0f %%", 100*lab.Per(float64(p.samples[name]), float64(p.all()))))
		}
		s.Row(row...)
	}
}

func (b *bench) profileCell(ctx context.Context, o options, w wire, s *stock, transport string) (two [2]profiled, err error) {
	c, done, err := b.newCell(ctx, w, s, o.seed)
	if err != nil {
		return two, err
	}
	defer func() { err = errors.Join(err, done()) }()
	h, a, err := c.pairUp(ctx, transport)
	if err != nil {
		return two, err
	}
	defer h.Stop()
	if err := a.Start(ctx, c.Lab); err != nil {
		return two, err
	}
	defer a.Stop()
	if err := lab.Await(ctx, firstPacket, "the hub", func() bool { s, err := a.State(ctx); return err == nil && s.Uplink.Connected }); err != nil {
		return two, fmt.Errorf("%w: %s", err, a.Said())
	}
	sleep(ctx, profileAfter)
	return c.sampleBoth(ctx, h, a)
}

// sampleBoth has perf look at both for a while, and counts what they did meanwhile.
func (c *cell) sampleBoth(ctx context.Context, h *lab.Hub, a *lab.Appliance) (two [2]profiled, err error) {
	before, err := a.State(ctx)
	if err != nil {
		return two, err
	}
	var cpu [2]time.Duration
	var perfs []*exec.Cmd
	both := []*lab.Process{a.Process, h.Process}
	file := func(i int) string { return filepath.Join(c.dir, fmt.Sprintf("perf-%d", i)) }
	for i, p := range both {
		if cpu[i], err = p.CPU(); err != nil {
			return two, errors.Join(err, kill(perfs))
		}
		cmd := lab.Command(ctx, nil, nil, "perf", "record", "--quiet", "--event", "cpu-clock", "--freq", "499", "-g",
			"--pid", fmt.Sprint(p.Cmd.Process.Pid), "--output", file(i), "--", "sleep", fmt.Sprint(profileTime.Seconds()))
		if err := cmd.Start(); err != nil {
			return two, errors.Join(err, kill(perfs))
		}
		perfs = append(perfs, cmd)
	}
	if err := wait(perfs); err != nil {
		return two, err
	}
	after, err := a.State(ctx)
	if err != nil {
		return two, err
	}
	for i, p := range both {
		now, err := p.CPU()
		if err != nil {
			return two, err
		}
		two[i].perGB = lab.Per((now - cpu[i]).Seconds(), float64((after.Counters.AtHub-before.Counters.AtHub)*c.bytes)/1e9)
		said, err := lab.Call(ctx, nil, "perf", "script", "--input", file(i), "--fields", "ip,sym")
		if err != nil {
			return two, err
		}
		two[i].samples = sortSamples(said)
	}
	return two, nil
}

// sortSamples reads what perf script says: a function a line, innermost first, and
// an empty line behind each stack.
func sortSamples(said string) map[string]int {
	found := make(map[string]int)
	for stack := range strings.SplitSeq(said, "\n\n") {
		if stack = strings.TrimSpace(stack); stack != "" {
			found[groupOf(stack)]++
		}
	}
	return found
}

func groupOf(stack string) string {
	for line := range strings.Lines(stack) {
		_, function, _ := strings.Cut(strings.TrimSpace(line), " ")
		if slices.ContainsFunc(copying, func(s string) bool { return strings.HasPrefix(function, s) }) {
			continue
		}
		for _, g := range groups {
			if slices.ContainsFunc(g.has, func(s string) bool { return strings.Contains(function, s) }) {
				return g.name
			}
		}
	}
	return "other"
}

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTicks is USER_HZ, which is 100 wherever Go runs on Linux.
const clockTicks = 100

func (p *process) file(name string) string {
	return fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, name)
}

// cpu is the time that the process has computed, in user and kernel.
func (p *process) cpu() (time.Duration, error) {
	b, err := os.ReadFile(p.file("stat"))
	if err != nil {
		return 0, err
	}
	return parseCPU(string(b))
}

// cpuWithChildren counts those that it started and waited for, too.
func (p *process) cpuWithChildren() (time.Duration, error) {
	b, err := os.ReadFile(p.file("stat"))
	if err != nil {
		return 0, err
	}
	own, err := parseCPU(string(b))
	if err != nil {
		return 0, err
	}
	children, err := parseTicks(string(b), 13) // cutime, cstime
	return own + children, err
}

// parseCPU reads fields 14 and 15 of /proc/PID/stat, proc_pid_stat(5). The name
// in field 2 may contain blanks and brackets.
func parseCPU(stat string) (time.Duration, error) { return parseTicks(stat, 11) }

// parseTicks adds the two counts of ticks at a place behind the name.
func parseTicks(stat string, at int) (time.Duration, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < at+2 {
		return 0, fmt.Errorf("%d fields after the name are no /proc/PID/stat", len(fields))
	}
	user, err := strconv.ParseInt(fields[at], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[at+1], 10, 64)
	return time.Duration(user+system) * time.Second / clockTicks, err
}

// rss is the memory now, peak the most since the start or forgetPeak, in bytes.
func (p *process) rss() (int64, error)  { return p.status("VmRSS") }
func (p *process) peak() (int64, error) { return p.status("VmHWM") }

func (p *process) status(key string) (int64, error) {
	b, err := os.ReadFile(p.file("status"))
	if err != nil {
		return 0, err
	}
	return parseKB(string(b), key)
}

// parseKB finds "key:   123 kB" and returns bytes.
func parseKB(text, key string) (int64, error) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("no %s", key)
}

// forgetPeak begins VmHWM anew, proc_pid_clear_refs(5).
func (p *process) forgetPeak() error { return os.WriteFile(p.file("clear_refs"), []byte("5"), 0) }

package lab

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTicks is USER_HZ, which is 100 wherever Go runs on Linux.
const clockTicks = 100

func (p *Process) file(name string) string {
	return fmt.Sprintf("/proc/%d/%s", p.Cmd.Process.Pid, name)
}

// CPU is the time that the process has computed, in user and kernel.
func (p *Process) CPU() (time.Duration, error) {
	b, err := os.ReadFile(p.file("stat"))
	if err != nil {
		return 0, err
	}
	return ParseCPU(string(b))
}

// CPUWithChildren counts those that it started and waited for, too.
func (p *Process) CPUWithChildren() (time.Duration, error) {
	b, err := os.ReadFile(p.file("stat"))
	if err != nil {
		return 0, err
	}
	own, err := ParseCPU(string(b))
	if err != nil {
		return 0, err
	}
	children, err := parseTicks(string(b), 13) // cutime, cstime
	return own + children, err
}

// ParseCPU reads fields 14 and 15 of /proc/PID/stat, proc_pid_stat(5). The name
// in field 2 may contain blanks and brackets.
func ParseCPU(stat string) (time.Duration, error) { return parseTicks(stat, 11) }

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

// RSS is the memory now, Peak the most since the start or ForgetPeak, in bytes.
func (p *Process) RSS() (int64, error)  { return p.status("VmRSS") }
func (p *Process) Peak() (int64, error) { return p.status("VmHWM") }

func (p *Process) status(key string) (int64, error) {
	b, err := os.ReadFile(p.file("status"))
	if err != nil {
		return 0, err
	}
	return ParseKB(string(b), key)
}

// ParseKB finds "key:   123 kB" and returns bytes.
func ParseKB(text, key string) (int64, error) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("no %s", key)
}

// ForgetPeak begins VmHWM anew, proc_pid_clear_refs(5).
func (p *Process) ForgetPeak() error { return os.WriteFile(p.file("clear_refs"), []byte("5"), 0) }

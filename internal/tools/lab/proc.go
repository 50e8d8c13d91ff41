package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
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

// Net is what network devices have received.
type Net struct{ Packets, Bytes int64 }

// NetIn is what those in the namespace of the process have received.
func (p *Process) NetIn() (n Net, err error) {
	b, err := os.ReadFile(p.file("net/dev"))
	if err != nil {
		return n, err
	}
	for line := range strings.Lines(string(b)) {
		_, counts, ok := strings.Cut(line, ":") // a heading has none
		if fields := strings.Fields(counts); ok && len(fields) > 1 {
			bytes, err1 := strconv.ParseInt(fields[0], 10, 64)
			packets, err2 := strconv.ParseInt(fields[1], 10, 64)
			n.Bytes, n.Packets, err = n.Bytes+bytes, n.Packets+packets, errors.Join(err, err1, err2)
		}
	}
	return n, err
}

// Ended reports whether the process has ended; it is still to be waited for.
func Ended(cmd *exec.Cmd) bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, cmd.Process.Pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err != nil || info.Signo != 0
}

// ParseCPU reads fields 14 and 15 of /proc/PID/stat, proc_pid_stat(5). The name
// in field 2 may contain blanks and brackets.
func ParseCPU(stat string) (time.Duration, error) { return parseTicks(stat, 11) }

// parseTicks adds the two counts of ticks at a place behind the name.
func parseTicks(stat string, at int) (time.Duration, error) {
	user, err := parseField(stat, at)
	if err != nil {
		return 0, err
	}
	system, err := parseField(stat, at+1)
	return time.Duration(user+system) * time.Second / clockTicks, err
}

// parseField is a number behind the name; 0 is the state.
func parseField(stat string, at int) (int64, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) <= at {
		return 0, fmt.Errorf("%d fields after the name are no /proc/PID/stat", len(fields))
	}
	return strconv.ParseInt(fields[at], 10, 64)
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

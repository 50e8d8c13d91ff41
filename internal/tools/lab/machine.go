package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Machine says where the figures come from. Command is the command line.
func Machine(ctx context.Context, l *Lab, command string) Section {
	s := Section{Title: "The run", Head: []string{"", ""}}
	s.Row("date", time.Now().UTC().Format("2006-01-02 15:04 MST"))
	s.Row("command", "`"+command+"`")
	s.Row("CPU", fmt.Sprintf("%s, %d cores, load before the run %s", cpuModel(), runtime.NumCPU(), loadAverage()))
	s.Row("memory", fmt.Sprintf("%.1f GiB", float64(totalMemory())/(1<<30)))
	s.Row("kernel", kernel())
	s.Row("file system", FileSystem(l.Dir))
	s.Row("Go", strings.TrimPrefix(runtime.Version(), "go"))
	s.Row("edged", FirstLine(ctx, l.Program("edged"), "version"))
	return s
}

// FirstLine is what a program says of itself; one that is missing says so.
func FirstLine(ctx context.Context, path string, args ...string) string {
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if err != nil && line == "" {
		return err.Error()
	}
	return strings.Trim(line, "$ ")
}

func cpuModel() string {
	b, _ := os.ReadFile("/proc/cpuinfo") // without it the model is not known
	for line := range strings.Lines(string(b)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown model"
}

func loadAverage() string {
	b, _ := os.ReadFile("/proc/loadavg") // empty when it is not there
	first, _, _ := strings.Cut(string(b), " ")
	return first
}

func totalMemory() int64 {
	b, _ := os.ReadFile("/proc/meminfo")
	n, _ := ParseKB(string(b), "MemTotal") // 0 when it is not known
	return n
}

func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
}

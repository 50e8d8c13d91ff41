package main

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

// machine says where the figures come from.
func machine(ctx context.Context, l *lab, o options) section {
	s := section{title: "The run", head: []string{"", ""}}
	s.row("date", time.Now().UTC().Format("2006-01-02 15:04 MST"))
	s.row("command", "`make build && go run ./internal/tools/bench "+strings.Join(os.Args[1:], " ")+"`")
	s.row("CPU", fmt.Sprintf("%s, %d cores, load before the run %s", cpuModel(), runtime.NumCPU(), loadAverage()))
	s.row("memory", fmt.Sprintf("%.1f GiB", float64(totalMemory())/(1<<30)))
	s.row("kernel", kernel())
	s.row("file system", fileSystem(l.dir))
	s.row("Go", strings.TrimPrefix(runtime.Version(), "go"))
	s.row("edged", firstLine(ctx, l.program("edged"), "version"))
	s.row("DCMTK", firstLine(ctx, "storescu", "--version"))
	s.row("Orthanc", firstLine(ctx, "Orthanc", "--version"))
	return s
}

// firstLine is what a program says of itself; one that is missing says so.
func firstLine(ctx context.Context, path string, args ...string) string {
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
	n, _ := parseKB(string(b), "MemTotal") // 0 when it is not known
	return n
}

func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
}

package main

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"edged/internal/tools/lab"
)

// goalSinkCPU is the most that receiving may cost, in seconds of CPU a gigabyte,
// without disk and digest: what the kernel takes to copy, and little else.
const goalSinkCPU = 0.5

// sinks are Storage SCPs that keep nothing, ours first. A peer that is not on this
// machine is a dash in the table.
var sinks = []target{
	{"edged dimse", "", startSink},
	{"storescp --ignore", "storescp", storescpSink},
	{"pynetdicom", "", pynetdicomSink},
	{"dcm4che storescp", "", dcm4cheSink},
	{"dicom-rs", "", dicomRsSink},
}

// blasts are the rows: what is sent.
var blasts = []struct {
	name string
	blastSpec
}{
	{"30 KiB, 1 association", blastSpec{6000, 30 << 10, 1}},
	{"512 KiB, 1 association", blastSpec{1500, 512 << 10, 1}},
	{"512 KiB, 16 associations", blastSpec{100, 512 << 10, 16}},
	{"30 MiB, 1 association", blastSpec{40, 30 << 20, 1}},
}

// sinkCell is one target under one load.
type sinkCell struct {
	rates []float64 // objects a second
	cpu   []float64 // of the target and its children, seconds a gigabyte
	fails bool      // a peer that does not take this load
}

// dimseSection is C-STORE without a disk.
func dimseSection(ctx context.Context, l *lab.Lab, o options, r *lab.Report) error {
	cells := make([][]sinkCell, len(blasts))
	for i := range cells {
		cells[i] = make([]sinkCell, len(sinks))
	}
	there := make([]bool, len(sinks))
	for i, t := range sinks {
		there[i] = !t.missing() && available(ctx, l, t)
	}
	for range o.runs {
		for row, b := range blasts {
			for col, t := range sinks {
				c := &cells[row][col]
				if !there[col] || c.fails {
					continue
				}
				if err := c.once(ctx, l, t, b.blastSpec); err != nil && col < 2 {
					return fmt.Errorf("%s, %s: %w", t.name, b.name, err)
				} else if err != nil {
					c.fails = true
					fmt.Printf("%s does not take %s: %v\n", t.name, b.name, err)
				}
			}
		}
	}
	r.Add(sinkTable(o, cells, r.Figures))
	return nil
}

// available reports whether a peer of another registry is installed.
func available(ctx context.Context, l *lab.Lab, t target) bool {
	if t.program != "" || t.name == sinks[0].name {
		return true
	}
	s, err := t.start(ctx, l, l.Dir, 1)
	if s != nil {
		s.Stop()
	}
	return err == nil
}

func (c *sinkCell) once(ctx context.Context, l *lab.Lab, t target, b blastSpec) error {
	s, err := t.start(ctx, l, l.Dir, b.associations)
	if err != nil {
		return err
	}
	defer s.Stop()
	before, err := s.CPUWithChildren()
	if err != nil {
		return err
	}
	said, err := lab.Call(ctx, nil, "/proc/self/exe", blastVerb, s.address, s.aet, strconv.Itoa(b.objects), strconv.Itoa(b.size), strconv.Itoa(b.associations))
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseFloat(strings.TrimSpace(said), 64)
	if err != nil {
		return err
	}
	time.Sleep(100 * time.Millisecond) // children that were forked are waited for by then
	after, err := s.CPUWithChildren()
	if err != nil {
		return err
	}
	n := float64(b.objects * b.associations)
	c.rates = append(c.rates, n/seconds)
	c.cpu = append(c.cpu, (after-before).Seconds()/(n*float64(b.size)/1e9))
	return nil
}

func startSink(ctx context.Context, l *lab.Lab, _ string, _ int) (*service, error) {
	return startListening(ctx, l, "sink", "EDGED", nil, func(_, address string) (string, []string) {
		return "/proc/self/exe", []string{sinkVerb, address}
	})
}

func storescpSink(ctx context.Context, l *lab.Lab, _ string, associations int) (*service, error) {
	return startListening(ctx, l, "storescp", "STORESCP", fast, func(port, _ string) (string, []string) {
		args := []string{"--ignore", "--promiscuous", "--accept-all", "--max-pdu", "131072", port}
		if associations > 1 {
			args = append([]string{"--fork"}, args...)
		}
		return "storescp", args
	})
}

// peersDir is where `make interop` puts peers that are not Debian packages.
const peersDir = ".interop"

func pynetdicomSink(ctx context.Context, l *lab.Lab, _ string, _ int) (*service, error) {
	python, err := oneOf(peersDir+"/*/bin/python3", peersDir+"/*/*/bin/python3")
	if err != nil {
		return nil, err
	}
	return startListening(ctx, l, "pynetdicom", "STORESCP", nil, func(port, _ string) (string, []string) {
		return python, []string{"-m", "pynetdicom", "storescp", port, "--ignore", "--max-pdu", "131072"}
	})
}

func dcm4cheSink(ctx context.Context, l *lab.Lab, _ string, _ int) (*service, error) {
	jars, err := filepath.Glob(peersDir + "/dcm4che/*.jar")
	if err != nil || len(jars) == 0 {
		return nil, fmt.Errorf("no dcm4che below %s", peersDir)
	}
	return startListening(ctx, l, "dcm4che", "STORESCP", nil, func(_, address string) (string, []string) {
		return "java", []string{"-cp", strings.Join(jars, ":"), "org.dcm4che3.tool.storescp.StoreSCP", "-b", "STORESCP@" + address,
			"--ignore", "--max-pdulen-rcv", "131072", "--tcp-nodelay"}
	})
}

func dicomRsSink(ctx context.Context, l *lab.Lab, dir string, _ int) (*service, error) {
	program, err := oneOf(peersDir+"/bin/dicom-storescp", peersDir+"/*/bin/dicom-storescp")
	if err != nil {
		return nil, err
	}
	return startListening(ctx, l, "dicom-rs", "STORE-SCP", nil, func(port, _ string) (string, []string) {
		return program, []string{"--promiscuous", "-p", port, "-o", dir, "--max-pdu-length", "131072"}
	})
}

func oneOf(patterns ...string) (string, error) {
	for _, p := range patterns {
		if found, err := filepath.Glob(p); err == nil && len(found) > 0 {
			return filepath.Abs(found[0])
		}
	}
	return "", fmt.Errorf("none of %s: `make interop` installs peers", strings.Join(patterns, ", "))
}

// startListening starts a program on a free port and waits until that is open.
func startListening(ctx context.Context, l *lab.Lab, name, aet string, env []string, line func(port, address string) (string, []string)) (*service, error) {
	address, err := lab.FreeAddress()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(address)
	program, args := line(port, address)
	if _, err := exec.LookPath(program); err != nil {
		return nil, err
	}
	p, err := l.Start(ctx, name, env, nil, program, args...)
	if err != nil {
		return nil, err
	}
	s := &service{Process: p, address: address, aet: aet}
	return s, s.listens(ctx)
}

// sinkTable puts our sink beside the others.
func sinkTable(o options, cells [][]sinkCell, figures map[string]string) lab.Section {
	s := lab.Section{Title: "C-STORE without a disk: objects a second, and CPU of the receiver in seconds for each GB", Head: []string{"load"}}
	for _, t := range sinks {
		s.Head = append(s.Head, t.name)
	}
	s.Head = append(s.Head, "to storescp", "goal", "")
	worst := 0.0
	for row, b := range blasts {
		line := []string{b.name}
		for col := range sinks {
			line = append(line, cells[row][col].show())
		}
		ours := lab.Median(cells[row][0].cpu)
		s.Row(append(line, times(lab.Per(lab.Median(cells[row][0].rates), lab.Median(cells[row][1].rates))), fmt.Sprintf("≤ %.1f s/GB", goalSinkCPU), lab.Verdict(ours <= goalSinkCPU))...)
		worst = max(worst, ours)
	}
	note(figures, "sink_cpu_s_per_GB", "%.2f", worst)
	note(figures, "sink_storescp_ratio", "%.2f", lab.Per(lab.Median(cells[1][0].rates), lab.Median(cells[1][1].rates)))
	s.Note("Medians of %d interleaved runs, a new process each. The sender is the same for all: our client, objects from memory, PDUs of 128 KiB, TCP_NODELAY. It shares the machine's cores with the receiver.", o.runs)
	s.Note("CPU is user and kernel time of the receiver and of the processes that it forked, start and end included.")
	return s
}

func (c sinkCell) show() string {
	switch {
	case c.fails:
		return "fails"
	case len(c.rates) == 0:
		return "–"
	}
	return fmt.Sprintf("%.0f/s, %.2f", lab.Median(c.rates), lab.Median(c.cpu))
}

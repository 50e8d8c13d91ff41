package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"edged/internal/ports"
)

// build makes programs of the product in dir; tags may break a promise (D-S10).
func build(ctx context.Context, dir, tags string, packages ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-tags", tags, "-o", dir + "/"}, packages...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w: %s", strings.Join(packages, " "), err, out)
	}
	return nil
}

// program is a running one. What it says goes to a file.
type program struct {
	cmd *exec.Cmd
	log string
}

func start(path, log string, args ...string) (*program, error) {
	f, err := os.OpenFile(log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p := &program{cmd: exec.Command(path, args...), log: log}
	p.cmd.Stdout, p.cmd.Stderr = f, f
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return p, p.cmd.Start()
}

// kill ends it as a power cut would, and waits.
func (p *program) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// said is what the program has said so far.
func (p *program) said() string {
	b, _ := os.ReadFile(p.log) // an error shows as nothing said
	return string(b)
}

// appliance is edged with its data on a recorded disk.
type appliance struct {
	*program
	bin, config, log string
	dicom            string // address
}

// newAppliance writes the configuration into dir; the data goes below disk.
func newAppliance(bin, dir, disk, more string) (*appliance, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	a := &appliance{bin: bin, config: filepath.Join(dir, "edged.yaml"), log: filepath.Join(dir, "edged.log"), dicom: address}
	text := fmt.Sprintf("data_dir: %q\ndicom: {listen: %q, accept_unknown: true}\npage: {listen: \"\"}\ndiscovery: {enabled: false}\n%s",
		dataDir(disk), a.dicom, more)
	return a, os.WriteFile(a.config, []byte(text), 0o600)
}

// dataDir is data_dir on a mounted disk.
func dataDir(disk string) string { return filepath.Join(disk, "edge") }

func (a *appliance) start() (err error) {
	a.program, err = start(filepath.Join(a.bin, "edged"), a.log, "run", "-c", a.config)
	return err
}

// await polls until ok, at most for limit.
func await(ctx context.Context, limit time.Duration, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for ; !ok(); pause(10) {
		if ctx.Err() != nil {
			return fmt.Errorf("waited up to %s for %s: %w", limit, what, ctx.Err())
		}
	}
	return nil
}

// freeAddress is one on loopback that neither TCP nor UDP uses, and that a program
// that was killed finds free again.
func freeAddress() (string, error) {
	port, err := ports.Free()
	return fmt.Sprintf("127.0.0.1:%d", port), err
}

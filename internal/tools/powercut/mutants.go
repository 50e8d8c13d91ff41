package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// mutants are the programs with one promise broken by a build tag (D-S10) that
// somebody must catch. What each one breaks stands in the spool's mutants.go.
var mutants = []string{"nofilesync", "nodirsync", "noparentsync", "earlyanswer", "indexahead", "nosealcheck", "earlydelete", "secondsync", "nosyncfs"}

// catchAll builds each mutant, also of this program, because recovery may be what
// is broken, and cuts its power. What no disk shows, the spool's own tests on the
// strict file system in memory have to show.
func catchAll(ctx context.Context, o options) (caught map[string]string, err error) {
	inTests, err := caughtByTests(ctx)
	if err != nil {
		return nil, err
	}
	caught = make(map[string]string)
	for _, m := range mutants {
		by, err := catch(ctx, m, o)
		if err != nil {
			return nil, fmt.Errorf("mutant %s: %w", m, err)
		}
		if t := inTests[m]; t != "" {
			by = append(by, t)
		}
		if len(by) > 0 {
			caught[m] = strings.Join(by, ", ")
		}
		fmt.Fprintf(os.Stderr, "mutant %s: caught by %s\n", m, caught[m])
	}
	return caught, nil
}

// sumLine is the line of a file system: its name, cuts, acknowledged, lost, altered.
var sumLine = regexp.MustCompile(`(?m)^(\w+): cuts=(\d+) acked=(\d+) lost=(\d+) altered=(\d+)$`)

// catch returns the file systems on which the mutant loses or alters something.
func catch(ctx context.Context, name string, o options) (by []string, err error) {
	dir, err := os.MkdirTemp("", "powercut-mutant-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := build(ctx, dir, "mutant_"+name, "edged/cmd/edged", "edged/internal/tools/powercut"); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "powercut"), "-bin", dir, "-worst", "-cuts", "60", "-seed", fmt.Sprint(o.seed))
	cmd.Env = withoutOwnMounts()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, err
	}
	for _, m := range sumLine.FindAllStringSubmatch(string(out), -1) {
		if m[4] != "0" || m[5] != "0" {
			by = append(by, fmt.Sprintf("cuts on %s (lost=%s altered=%s)", m[1], m[4], m[5]))
		}
	}
	return by, nil
}

// told is how the spool's test of its mutants says that one was caught.
var told = regexp.MustCompile(`mutant (\w+) caught: (\w+)`)

// caughtByTests runs that test.
func caughtByTests(ctx context.Context) (map[string]string, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-v", "-run", "^TestMutantsAreCaught$", "edged/spool")
	out, err := cmd.CombinedOutput()
	caught := make(map[string]string)
	for _, m := range told.FindAllStringSubmatch(string(out), -1) {
		caught[m[1]] = "spool." + m[2]
	}
	if len(caught) == 0 {
		return nil, fmt.Errorf("the spool's test of its mutants: %w: %.2000s", err, out)
	}
	return caught, nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"edged/hub/objects"
)

// tryFor bounds each trial of `hubd check --try`.
const tryFor = 10 * time.Second

// trial is one thing that is really tried. It leaves nothing behind.
type trial struct {
	what string
	try  func(context.Context) (says string, err error)
	// todo is what to do about an error.
	todo string
}

// errTried means that at least one trial failed; each has said why.
var errTried = errors.New("not everything works: see the lines that begin with BAD")

// tryAll prints a line for each trial, the good ones too.
func (c *Config) tryAll(ctx context.Context, out io.Writer) error {
	bad := 0
	for _, t := range c.trials() {
		says, err := within(ctx, t.try)
		if err == nil {
			fmt.Fprintf(out, "good  %s: %s\n", t.what, says)
			continue
		}
		bad++
		fmt.Fprintf(out, "BAD   %s: %s\n      %s\n", t.what, strings.Join(strings.Fields(err.Error()), " "), t.todo)
	}
	if text, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		c.tellSandbox(out, string(text))
	}
	if bad > 0 {
		return errTried
	}
	fmt.Fprintln(out, "everything works")
	return nil
}

// tellSandbox says what this trial cannot know: that a shell may write somewhere does
// not mean that the unit may. cgroup is of this process; a service is in its own sandbox.
func (c *Config) tellSandbox(out io.Writer, cgroup string) {
	var paths []string
	for _, d := range c.Destinations {
		paths = append(paths, d.Path)
	}
	for _, s := range c.Events.Sinks {
		paths = append(paths, s.Path)
	}
	if _, err := os.Stat(filepath.Join(caDir(*c), "ca.pem")); err != nil { // it is made there
		paths = append(paths, caDir(*c))
	}
	paths = slices.DeleteFunc(append(paths, c.DataDir), func(path string) bool {
		return !filepath.IsAbs(path) || path == unitState || strings.HasPrefix(path, unitState+"/")
	})
	if len(paths) == 0 || strings.Contains(cgroup, "/system.slice/") && strings.HasSuffix(strings.TrimSpace(cgroup), ".service") {
		return
	}
	fmt.Fprintf(out, "note  this did not run in the sandbox of the unit, where beside %s only what stands in ReadWritePaths= can be written; it must have %s\n", unitState, strings.Join(paths, " "))
}

// unitState is what configs/hubd.service lets hubd write to.
const unitState = "/var/lib/hubd"

// within returns after tryFor, also from a trial that hangs in the kernel, as on a
// network disk that is away: then its goroutine ends with the program.
func within(ctx context.Context, try func(context.Context) (string, error)) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	type answer struct {
		says string
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		says, err := try(ctx)
		answered <- answer{says, err}
	}()
	grace := time.NewTimer(tryFor + time.Second)
	defer grace.Stop()
	select {
	case a := <-answered:
		return a.says, a.err
	case <-grace.C:
		return "", fmt.Errorf("no answer within %v", tryFor)
	}
}

func (c *Config) trials() []trial {
	all := []trial{
		{"data_dir", c.tryDataDir, "make the directory writable for the user that hubd runs as, on a local disk with a journal, with more space than reserve_bytes"},
		{"database", c.tryDatabase, "mend what is said, or correct database; docs/operations.md has what hubd needs of PostgreSQL"},
		{"ca", c.tryCA, "put the hub's own ca.pem into ca_dir, from another node or from the backup; a new hub makes it: let the user that hubd runs as write there"},
		{"files", c.tryFiles, "raise LimitNOFILE in the unit (ulimit -n in a shell), or lower limits.appliances"},
	}
	if c.Objects != "" {
		all = append(all, trial{"bucket", c.tryBucket, "correct objects and objects_credentials, or the bucket's policy"})
	}
	for _, d := range c.Destinations {
		all = append(all, d.trial(c))
	}
	for _, s := range c.Events.Sinks {
		all = append(all, s.trial())
	}
	return append(all, c.tryPorts()...)
}

// tryDir makes and removes a file, durably.
func tryDir(dir string) error {
	f, err := os.CreateTemp(dir, ".hubd-check-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString("hubd check --try\n")
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
}

// free is what a user may still write where dir is, and the size of all there.
func free(dir string) (free, all int64, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, 0, fmt.Errorf("statfs %s: %w", dir, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
}

// existing is dir, or the nearest above it that is there.
func existing(dir string) string {
	for {
		if info, err := os.Stat(dir); err == nil && info.IsDir() || filepath.Dir(dir) == dir {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

func (c *Config) tryDataDir(context.Context) (string, error) {
	dir := existing(c.DataDir)
	if err := tryDir(dir); err != nil {
		return "", err
	}
	n, all, err := free(dir)
	if err != nil {
		return "", err
	}
	if reserve := min(int64(c.ReserveBytes), all/10); n < reserve {
		return "", fmt.Errorf("%s free, and %s must stay free (reserve_bytes): nothing would be received", humanBytes(n), humanBytes(reserve))
	}
	if dir != c.DataDir {
		return fmt.Sprintf("%s is made at the first start; %s free", c.DataDir, humanBytes(n)), nil
	}
	return fmt.Sprintf("%s can be written, %s free", dir, humanBytes(n)), nil
}

// otherFiles is for objects in hand, the ledger, archives and the console, beside those that
// are being received (objects.OpenFiles). A connected appliance takes one more over TCP, none over QUIC.
const otherFiles = 1000

func (c *Config) tryFiles(context.Context) (string, error) {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return "", err
	}
	need := uint64(c.Limits.Appliances + otherFiles + objects.OpenFiles(r.Max))
	if r.Max < need {
		return "", fmt.Errorf("%d open files are allowed, %d appliances may need %d", r.Max, c.Limits.Appliances, need)
	}
	return fmt.Sprintf("%d open files are allowed, %d appliances may need %d", r.Max, c.Limits.Appliances, need), nil
}

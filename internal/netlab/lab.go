package netlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

const (
	prefix = "edged-"
	folder = "/run/netns" // where ip keeps the names
)

// Available says what is missing for a lab, nil when nothing is.
func Available() error {
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root")
	}
	for _, program := range []string{"ip", "tc"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("network namespaces need %s (Debian package iproute2)", program)
		}
	}
	return nil
}

// Lab is a set of namespaces.
type Lab struct {
	prefix string

	mu     sync.Mutex // guards spaces
	spaces []*Space
}

var labs atomic.Int64

// Create makes a lab without namespaces. First it removes what killed runs left.
func Create() (*Lab, error) {
	if err := Available(); err != nil {
		return nil, err
	}
	if err := sweep(); err != nil {
		return nil, fmt.Errorf("remove what a killed run left: %w", err)
	}
	l := &Lab{prefix: fmt.Sprintf("%s%d-%d-", prefix, os.Getpid(), labs.Add(1))}
	if _, err := l.Space("probe"); err != nil { // a container may be root and still not be allowed to
		return nil, fmt.Errorf("network namespaces are not allowed here: %w", err)
	}
	return l, l.Close()
}

// Space makes a namespace whose only device is its loopback, which is up.
func (l *Lab) Space(name string) (*Space, error) {
	s := &Space{Name: l.prefix + name}
	if err := run("ip", "netns", "add", s.Name); err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.spaces = append(l.spaces, s)
	l.mu.Unlock()
	return s, s.ip("link", "set", "lo", "up")
}

// Close ends what runs in the namespaces and removes them. The lab can be used
// again afterwards.
func (l *Lab) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, s := range l.spaces {
		errs = append(errs, remove(s.Name))
	}
	l.spaces = nil
	return errors.Join(errs...)
}

// sweep removes namespaces of ours whose process is gone.
func sweep() error {
	names, err := filepath.Glob(filepath.Join(folder, prefix+"*"))
	if err != nil {
		return err
	}
	for _, path := range names {
		name := filepath.Base(path)
		if pid, ours := owner(name); ours && !alive(pid) {
			if err := remove(name); err != nil && exists(name) { // or another run was quicker
				return err
			}
		}
	}
	return nil
}

// owner is the pid in the name of a namespace of ours.
func owner(name string) (pid int, ours bool) {
	rest, ours := strings.CutPrefix(name, prefix)
	if parts := strings.SplitN(rest, "-", 3); ours && len(parts) == 3 {
		pid, err := strconv.Atoi(parts[0])
		return pid, err == nil && pid > 0
	}
	return 0, false
}

func alive(pid int) bool { return syscall.Kill(pid, 0) != syscall.ESRCH }

func exists(name string) bool {
	_, err := os.Stat(filepath.Join(folder, name))
	return err == nil
}

// remove ends the processes in a namespace and deletes it.
func remove(name string) error {
	out, err := exec.Command("ip", "netns", "pids", name).Output()
	for _, word := range strings.Fields(string(out)) {
		if pid, err := strconv.Atoi(word); err == nil && pid != os.Getpid() {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	return errors.Join(err, run("ip", "netns", "del", name))
}

// run runs a program to its end; what it says is in the error.
func run(program string, args ...string) error { return finish(exec.Command(program, args...)) }

func finish(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

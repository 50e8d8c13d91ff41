package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// missing says in one line why power cuts cannot be made here, or "".
func missing() string {
	if os.Geteuid() != 0 {
		return "power cuts need root: they mount file systems"
	}
	for _, name := range []string{"/dev/fuse", "/dev/loop-control"} {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			return fmt.Sprintf("power cuts need %s: %v", name, err)
		}
		f.Close()
	}
	for _, name := range []string{"mkfs.ext4", "mkfs.xfs"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Sprintf("power cuts need %s (Debian: e2fsprogs, xfsprogs)", name)
		}
	}
	return ""
}

// ownMountsEnv tells a child of this program what it is.
const ownMountsEnv = "POWERCUT_PROCESS"

// inOwnMounts returns in a process that has mounts of its own, and ends all
// others with its exit code. However that one ends, by a panic, Ctrl-C or
// SIGKILL, the kernel takes back what it mounted, and the loop devices with it,
// mount_namespaces(7).
//
// It is a grandchild. The child between holds the mount namespace and serves
// nothing: if the process that serves the FUSE file were the last in there, the
// kernel would wait in its exit for an answer of that file for ever.
func inOwnMounts() {
	switch os.Getenv(ownMountsEnv) {
	case "worker":
		return
	case "keeper":
		os.Exit(again("worker", &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}))
	}
	if os.Geteuid() == 0 {
		os.Exit(again("keeper", &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGTERM}))
	}
}

// again runs this program once more and returns its exit code.
func again(as string, attr *syscall.SysProcAttr) int {
	runtime.LockOSThread() // Pdeathsig is about the thread that started the child, prctl(2)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...)
	cmd.Args[0], cmd.SysProcAttr = os.Args[0], attr
	cmd.Env = append(os.Environ(), ownMountsEnv+"="+as)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, "powercut: a mount namespace of its own:", err)
		return 1
	}
	return max(cmd.ProcessState.ExitCode(), -cmd.ProcessState.ExitCode())
}

// withoutOwnMounts is the environment for a tool that makes mounts of its own.
func withoutOwnMounts() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, ownMountsEnv+"=") })
}

func pause(milliseconds int) { time.Sleep(time.Duration(milliseconds) * time.Millisecond) }

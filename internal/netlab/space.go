package netlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Space is a network namespace.
type Space struct {
	Name string // as ip netns knows it
}

// Command is like exec.CommandContext, but the program runs inside. ip replaces
// itself by it, so the pid is the program's.
func (s *Space) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", s.Name, program}, args...)...)
}

// Do calls f on a thread that is inside. Sockets that f itself opens stay
// inside for good, and so do processes that it starts; what goroutines started
// by f open is outside. So f may listen, and dial IP addresses, not names.
func (s *Space) Do(f func() error) error {
	inside, err := os.Open(filepath.Join(folder, s.Name))
	if err != nil {
		return err
	}
	defer inside.Close()
	runtime.LockOSThread()
	outside, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer outside.Close()
	if err := unix.Setns(int(inside.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter %s: %w", s.Name, err)
	}
	err = f()
	if back := unix.Setns(int(outside.Fd()), unix.CLONE_NEWNET); back != nil {
		// The thread stays locked: it dies with the goroutine, nobody else gets it.
		return errors.Join(err, fmt.Errorf("leave %s: %w", s.Name, back))
	}
	runtime.UnlockOSThread()
	return err
}

// Drop has a firewall drop what comes in and matches, as nft says it: "meta l4proto
// udp", "udp dport 8443". Who sends is told nothing, as with a firewall on the way.
// Each call replaces the one before; without matches all passes.
func (s *Space) Drop(matches ...string) error {
	if _, err := exec.LookPath("nft"); err != nil {
		return errors.New("dropping packets needs nft (Debian package nftables)")
	}
	var rules strings.Builder
	rules.WriteString("table inet netlab\ndelete table inet netlab\ntable inet netlab {\n")
	rules.WriteString("chain in { type filter hook input priority 0; policy accept;\n")
	for _, m := range matches {
		fmt.Fprintf(&rules, "%s counter drop\n", m)
	}
	rules.WriteString("}\n}\n")
	cmd := s.Command(context.Background(), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules.String())
	return finish(cmd)
}

func (s *Space) ip(args ...string) error {
	return run("ip", append([]string{"-n", s.Name}, args...)...)
}

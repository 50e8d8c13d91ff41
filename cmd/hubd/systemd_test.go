package main

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A real hub tells systemd that it is ready, that it works, again and again, and that
// it stops, in this order.
func TestSystemdIsToldOfReadinessWorkAndEnd(t *testing.T) {
	s := newSite(t)
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "300000")
	hear := func() string {
		t.Helper()
		var b [4096]byte
		if err := socket.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
			t.Fatal(err)
		}
		n, err := socket.Read(b[:])
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	p := s.start()
	for _, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"} {
		if got := hear(); got != want {
			t.Fatalf("heard %q, want %q", got, want)
		}
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for hear() != "STOPPING=1" {
	}
	if code := p.code(); code != exitDone { // no second signal: that cuts
		t.Errorf("exit %d", code)
	}
}

// A systemd that reads nothing for a while does not keep the hub from stopping.
func TestASystemdThatDoesNotReadHoldsNothingUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	told := 0
	for err == nil && told < 100_000 {
		err = tell(path, "WATCHDOG=1")
		told++
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after %d: %v", told, err)
	}
}

// Who does not come back from a look through the hub is not fed any more.
func TestAHubThatHangsIsNotFed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	hangs, looks, fed := make(chan struct{}), 0, make(chan int, 10)
	go func() {
		watchdog(ctx, time.Millisecond, func(context.Context) {
			if looks++; looks == 3 {
				close(hangs)
				<-ctx.Done()
			}
		}, func() { fed <- looks })
		close(fed)
	}()
	<-hangs
	if len(fed) != 2 {
		t.Errorf("fed %d times", len(fed))
	}
	cancel()
	for range fed {
	}
}

const maxExposure = 2.0

// systemd takes every line of the unit, and rates what the hub could do to the machine.
func TestTheUnitIsVerifiedAndRated(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	text, err := os.ReadFile("../../configs/hubd.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "hubd.service")
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	here := strings.ReplaceAll(string(text), "/usr/bin/hubd", program) // it must be there to be verified
	if err := os.WriteFile(unit, []byte(here), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", unit).CombinedOutput()
	if err != nil || strings.Contains(string(out), "hubd.service") {
		t.Errorf("%v: %s", err, out)
	}
	out, err = exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", unit).CombinedOutput()
	m := regexp.MustCompile(`exposure level for hubd\.service: ([0-9.]+)`).FindStringSubmatch(string(out))
	if err != nil || m == nil {
		t.Skipf("this systemd-analyze rates no file: %v: %.200s", err, out)
	}
	exposure, err := strconv.ParseFloat(m[1], 64)
	if err != nil || exposure > maxExposure {
		t.Errorf("exposure %v, want at most %v", m[1], maxExposure)
	}
	t.Logf("exposure %s of 10", m[1])
	for _, must := range []string{"Type=notify", "User=hubd", "CapabilityBoundingSet=\n", "NoNewPrivileges=yes", "ProtectSystem=strict", "StartLimitIntervalSec=0", "TimeoutStartSec=infinity"} {
		if !strings.Contains(string(text), must) {
			t.Errorf("%s is missing", strings.TrimSpace(must))
		}
	}
}

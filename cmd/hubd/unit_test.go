package main

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// systemd starts the hub again after a crash, a Go program's or one by the watchdog
// (SIGABRT), and leaves it alone where the configuration is wrong: the unit must be able
// to tell the two apart.
func TestTheUnitTellsACrashFromAWrongConfiguration(t *testing.T) {
	text, err := os.ReadFile("../../configs/hubd.service")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^RestartPreventExitStatus=(.*)$`).FindStringSubmatch(string(text))
	if m == nil || !strings.Contains(string(text), "\nRestart=always\n") {
		t.Fatal("the unit does not say when to start again")
	}
	never := strings.Fields(m[1])
	s := newSite(t)
	wrong := s.command("run")
	wrong.Args = []string{"hubd", "run", "-c", "/dev/null/hubd.yaml"}
	_ = wrong.Run()
	if code := strconv.Itoa(wrong.ProcessState.ExitCode()); !slices.Contains(never, code) {
		t.Errorf("a wrong configuration ends with %s, which is tried again for ever: %v", code, never)
	}
	p := s.start()
	if err := p.Process.Signal(syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	timeout := time.AfterFunc(2*time.Minute, func() { p.Process.Kill() })
	defer timeout.Stop()
	<-p.drained
	p.Wait()
	if code := strconv.Itoa(p.ProcessState.ExitCode()); slices.Contains(never, code) {
		t.Errorf("a crash ends with %s, after which it is not started again", code)
	}
}

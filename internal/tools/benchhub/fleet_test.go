package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"edged/internal/tools/lab"
)

// smallFleet is one whose day takes some seconds, and the product's programs.
func smallFleet(t *testing.T) options {
	if testing.Short() {
		t.Skip("it builds the programs and takes some seconds")
	}
	o := options{dir: t.TempDir(), bin: t.TempDir()}
	build := exec.Command("go", "build", "-o", o.bin, "edged/cmd/...")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	o.fleet = fleetOptions{appliances: 4, objects: 600, carrier: "tcp", idle: time.Second, day: 2 * time.Second, shrink: 1000, seed: 1}
	return o
}

func TestAFleetAndItsDay(t *testing.T) {
	o := smallFleet(t)
	t.Run("both sides are reported", func(t *testing.T) { bothSidesAreReported(t, o) })
	t.Run("a hub that dies in the day is an error", func(t *testing.T) { aHubThatDies(t, o) })
}

// Who reads the figures knows what both sides took of descriptors and memory, and that
// everything was archived.
func bothSidesAreReported(t *testing.T, o options) {
	o.write = t.TempDir() + "/performance.md"
	if err := os.WriteFile(o.write, []byte("<!-- fleet:begin -->\n<!-- fleet:end -->\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := runFleet(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(o.write)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"memory while idle, MiB", "file descriptors while idle", "memory at the end, MiB", "most memory, MiB", "file descriptors at the end"} {
		row := rowOf(string(text), want)
		if len(row) != 3 || row[1] == "0" || row[2] == "0" {
			t.Errorf("%s: %q, want both sides", want, row)
		}
	}
	if !strings.Contains(string(text), "appliances over tcp") || strings.Contains(string(text), " 0 objects") {
		t.Errorf("%s", text)
	}
}

// rowOf are the cells of a table's row.
func rowOf(text, first string) []string {
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "| "), " | ")
		if cells[0] == first {
			return cells
		}
	}
	return nil
}

// A hub that ends by itself is an error that says so, not a day with few objects; the
// document keeps what it had.
func aHubThatDies(t *testing.T, o options) {
	o.write = t.TempDir() + "/none"
	o.fleet.noon = func(h *lab.Hub) { h.Cmd.Process.Kill() }
	err := runFleet(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "hubd ended by itself in the day (signal: killed)") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(o.write); err == nil {
		t.Error("a run that failed was written down")
	}
}

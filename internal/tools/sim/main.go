// Sim runs the simulation of the uplink for many seeds, in as many processes as
// there are processors, and adds up what they say. It is what `make sim` calls;
// docs/simulation.md says what a seed draws and what must hold.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// batch is how many seeds one process runs.
const batch = 20

func main() {
	from := flag.Uint64("from", 1, "first seed")
	seeds := flag.Uint64("seeds", 1000, "how many")
	jobs := flag.Int("jobs", runtime.NumCPU(), "processes side by side")
	flag.Parse()
	r := &run{}
	if err := r.all(*from, *seeds, *jobs); err != nil {
		fmt.Fprintln(os.Stderr, "sim:", err)
		os.Exit(1)
	}
	fmt.Println(r.line(*from, *seeds))
	if len(r.failed) > 0 {
		os.Exit(1)
	}
}

// figures is a line of the test's output.
type figures struct {
	Seed        uint64
	Objects     int
	Bytes       int64
	Virtual     time.Duration
	Wire        int64
	Connections int
	Streams     int
}

// run adds up.
type run struct {
	program string

	mu     sync.Mutex // guards what follows
	sum    figures
	failed []uint64
	cpu    time.Duration
	took   time.Duration
}

// all builds the test once and runs it.
func (r *run) all(from, seeds uint64, jobs int) error {
	dir, err := os.MkdirTemp("", "sim")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r.program = filepath.Join(dir, "receive.test")
	build := exec.Command("go", "test", "-c", "-o", r.program, "./hub/receive")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the test: %w", err)
	}
	began := time.Now()
	firsts := make(chan uint64)
	var wg sync.WaitGroup
	for range max(1, jobs) {
		wg.Go(func() {
			for first := range firsts {
				r.some(first, min(batch, from+seeds-first))
			}
		})
	}
	for first := from; first < from+seeds; first += batch {
		firsts <- first
	}
	close(firsts)
	wg.Wait()
	r.took = time.Since(began)
	return nil
}

// some runs a batch in a process of its own. A seed without figures has failed.
func (r *run) some(first, n uint64) {
	cmd := exec.Command(r.program, "-test.run", "^TestSimulation$", "-test.timeout", "4m")
	cmd.Env = append(os.Environ(), fmt.Sprint("SIM_FROM=", first), fmt.Sprint("SIM_SEEDS=", n))
	cmd.Dir = filepath.Dir(r.program)
	out, err := cmd.CombinedOutput()
	r.mu.Lock()
	defer r.mu.Unlock()
	if cmd.ProcessState != nil {
		r.cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	held := r.read(out)
	for seed := first; seed < first+n; seed++ {
		if !slices.Contains(held, seed) {
			r.failed = append(r.failed, seed)
		}
	}
	if err != nil {
		fmt.Printf("seeds %d to %d: %v\n%s\n", first, first+n-1, err, out)
	}
}

// read adds up the figures in out and returns their seeds.
func (r *run) read(out []byte) (held []uint64) {
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		text, ours := strings.CutPrefix(lines.Text(), "sim: ")
		var f figures
		if !ours || json.Unmarshal([]byte(text), &f) != nil {
			continue
		}
		held = append(held, f.Seed)
		r.sum.Objects += f.Objects
		r.sum.Bytes += f.Bytes
		r.sum.Virtual += f.Virtual
		r.sum.Wire += f.Wire
		r.sum.Connections += f.Connections
		r.sum.Streams += f.Streams
	}
	return held
}

// line is what remains of it all.
func (r *run) line(from, seeds uint64) string {
	slices.Sort(r.failed)
	text := fmt.Sprintf("sim: %d seeds from %d, %d objects of %.1f MB, %.1f MB sent, %d connections (%d by TCP), %s of virtual time in %s (%s of CPU), %d failures",
		seeds, from, r.sum.Objects, float64(r.sum.Bytes)/1e6, float64(r.sum.Wire)/1e6, r.sum.Connections, r.sum.Streams,
		r.sum.Virtual.Round(time.Second), r.took.Round(time.Second), r.cpu.Round(time.Second), len(r.failed))
	for _, seed := range r.failed {
		text += fmt.Sprintf("; repeat with: SIM_FROM=%d SIM_SEEDS=1 go test -run TestSimulation ./hub/receive", seed)
	}
	return text
}

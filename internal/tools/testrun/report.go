package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// event is a line of `go test -json`.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

type report struct {
	passed, failed, skipped int
	skips                   []string
	output                  map[string][]string // of tests that have not ended
	failedIn                map[string]bool     // packages with a failed test
}

// maxOutput bounds the lines kept of one test.
const maxOutput = 4000

func (r *report) read(in io.Reader) {
	r.output, r.failedIn = make(map[string][]string), make(map[string]bool)
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text())
			continue
		}
		r.take(e)
	}
}

func (r *report) take(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output":
		if e.Test == "" {
			if shown(e.Output) {
				fmt.Print(e.Output)
			}
		} else if len(r.output[key]) < maxOutput {
			r.output[key] = append(r.output[key], e.Output)
		}
	case "build-output":
		fmt.Print(e.Output)
	case "pass", "fail", "skip":
		r.ended(e, key)
	}
}

// shown keeps the closing lines of packages and leaves out the empty ones.
func shown(line string) bool {
	return line != "PASS\n" && !strings.HasPrefix(line, "?") && !strings.HasPrefix(line, "-test.shuffle") && !strings.Contains(line, "[no test files]")
}

func (r *report) ended(e event, key string) {
	lines := r.output[key]
	delete(r.output, key)
	switch {
	case e.Action == "fail" && (e.Test != "" || !r.failedIn[e.Package]): // a package that fails without a test did not build or was cut
		fmt.Print(strings.Join(lines, ""))
		r.failed, r.failedIn[e.Package] = r.failed+1, true
	case e.Test == "" || e.Action == "fail":
	case e.Action == "skip":
		r.skipped++
		r.skips = append(r.skips, fmt.Sprintf("%s %s: %s", e.Package, e.Test, reason(lines)))
	default:
		r.passed++
	}
}

// reason is what a test said when it skipped: its last line that is no frame.
func reason(lines []string) string {
	said := ""
	for _, l := range lines {
		l = strings.TrimSpace(l)
		if l != "" && !strings.HasPrefix(l, "===") && !strings.HasPrefix(l, "---") {
			said = l
		}
	}
	return said
}

func (r *report) close(w io.Writer) {
	if len(r.skips) > 0 {
		fmt.Fprintln(w, "\nleft out:")
	}
	for _, s := range r.skips {
		fmt.Fprintln(w, " ", s)
	}
	fmt.Fprintf(w, "\n%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
}

package lab

import (
	"os/exec"
	"syscall"
	"testing"
	"time"
)

const beginMark, endMark = "<!-- t:begin -->", "<!-- t:end -->"

// What stands outside the markers is somebody's text and stays as it is.
func TestOnlyWhatIsBetweenTheMarkersIsReplaced(t *testing.T) {
	doc := "before\n" + beginMark + "\nold\n" + endMark + "\nafter\n"
	got, err := between(doc, "t", "new\n")
	if want := "before\n" + beginMark + "\nnew\n" + endMark + "\nafter\n"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if again, err := between(got, "t", "new\n"); err != nil || again != got {
		t.Errorf("a second time: %q, %v", again, err)
	}
	for _, bad := range []string{"", beginMark, endMark + beginMark} {
		if got, err := between(bad, "t", "new"); err == nil {
			t.Errorf("%q: got %q, want an error", bad, got)
		}
	}
}

func TestMedianIsTheMiddleWhateverTheOrder(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{7}, 7}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := Median(c.values); got != c.want {
			t.Errorf("median of %v: got %v, want %v", c.values, got, c.want)
		}
	}
}

// A section is a table that Markdown readers show as one: every row as wide as
// the head.
func TestSectionIsATable(t *testing.T) {
	s := Section{Title: "T", Head: []string{"a", "b"}}
	s.Row("1", "2")
	s.Note("%d runs", 3)
	if got, want := s.Markdown(), "### T\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\n3 runs\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCPUIsReadBehindTheName(t *testing.T) {
	const line = "42 (a) b (c)) S 1 42 42 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 8 0 100 1000 200"
	if got, err := ParseCPU(line); err != nil || got != 2*time.Second {
		t.Errorf("got %v, %v, want 2s", got, err)
	}
	if got, err := ParseCPU("42 (a) S 1"); err == nil {
		t.Errorf("cut: got %v, want an error", got)
	}
}

func TestMemoryIsReadInBytes(t *testing.T) {
	const text = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n"
	if got, err := ParseKB(text, "VmRSS"); err != nil || got != 1<<20 {
		t.Errorf("got %d, %v, want 1 MiB", got, err)
	}
	if got, err := ParseKB(text, "VmSwap"); err == nil {
		t.Errorf("missing: got %d, want an error", got)
	}
}

// What children of children compute counts.
func TestTreeSeesDescendants(t *testing.T) {
	cmd := exec.Command("sh", "-c", "(while :; do :; done) & wait")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	defer func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	}()
	tree := (&Process{Cmd: cmd}).Tree()
	err := Await(t.Context(), 2*time.Minute, "a child to compute", func() bool {
		tree.Look()
		spent, err := tree.CPU()
		return err == nil && spent >= 300*time.Millisecond
	})
	if own, _ := tree.root.CPU(); err != nil || own >= 150*time.Millisecond {
		t.Errorf("%v; the process itself computed %v", err, own)
	}
}

package lab

import (
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Tree follows a process and all that it starts. What a child computed between
// the last Look and its end is not known.
type Tree struct {
	root *Process
	seen map[int]time.Duration // CPU of descendants, the last that was seen
}

// Tree begins to follow the process.
func (p *Process) Tree() *Tree { return &Tree{p, make(map[int]time.Duration)} }

// Look notes what the descendants have computed.
func (t *Tree) Look() {
	type process struct {
		parent int
		cpu    time.Duration
	}
	all := make(map[int]process)
	names, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
	for _, name := range names {
		b, gone := os.ReadFile(name)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name))) // as the pattern says
		parent, bad := parseField(string(b), 1)
		if gone != nil || bad != nil {
			continue
		}
		cpu, _ := ParseCPU(string(b)) // its fields were counted
		all[pid] = process{int(parent), cpu}
	}
	for pid, p := range all {
		for up := p.parent; up > 1; up = all[up].parent { // who is gone has no parent: 0
			if up == t.root.Cmd.Process.Pid {
				t.seen[pid] = p.cpu
				break
			}
		}
	}
}

// CPU is that of the process and its descendants.
func (t *Tree) CPU() (time.Duration, error) {
	total, err := t.root.CPU()
	for _, cpu := range t.seen {
		total += cpu
	}
	return total, err
}

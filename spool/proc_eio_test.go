package spool

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// failing are the kinds whose error a disk can be blamed for.
var failing = []string{"write", "pwrite64", "fdatasync", "fsync", "syncfs", "renameat", "unlinkat", "mkdirat", "ftruncate", "sync_file_range"}

var (
	insideAngles = regexp.MustCompile(`<([^>]*)>`)
	outside      = regexp.MustCompile(`^failed (open|close)`) // where there is no next object
	insideQuotes = regexp.MustCompile(`"([^"]*)"`)
	numbers      = regexp.MustCompile(`[0-9a-f]{13,16}`)
	saidLine     = regexp.MustCompile(`iov_base="([^"]*)\\n"`)
)

// target is what a call was about, without numbers: calls of one kind and one
// target are of one sort.
func (c call) target(dir string) string {
	var parts []string
	named := c.kind == "renameat" || c.kind == "unlinkat" || c.kind == "mkdirat"
	for i, m := range insideAngles.FindAllStringSubmatch(c.line, -1) {
		if i == 0 || named { // behind it stand the bytes of a write
			parts = append(parts, m[1])
		}
	}
	if named {
		for _, m := range insideQuotes.FindAllStringSubmatch(c.line, -1) {
			parts = append(parts, m[1])
		}
	}
	return numbers.ReplaceAllString(strings.ReplaceAll(strings.Join(parts, " "), dir, ""), "#")
}

// eioCase is one call that is to fail.
type eioCase struct {
	kind   string
	n      int
	target string
	plan   plan
}

// P8, SPOOL-4, 5: whichever call fails with EIO, the operation that needed it
// fails, nothing is acknowledged that the failed sync was for, that file is never
// synced again, the very next object is refused, and the next start recovers:
// everything acknowledged is there. An error of the index or of the ballast fails
// nothing at all. Of every sort of call, as they are in a run without errors, the
// first ones and the last are failed.
func TestFailedSystemCallIsFinal(t *testing.T) {
	for part, p := range []plan{{rounds: 5, puts: 4}, {rounds: 5, puts: 4, encrypted: true}} {
		cases := sorts(undisturbed(t, p), p)
		t.Run(fmt.Sprintf("encrypted=%v", p.encrypted), func(t *testing.T) {
			t.Parallel()
			var count [missed + 1]int
			for k, c := range cases {
				if k%2 == part { // neighbours are of one sort: one is encrypted, one is not
					count[failedAt(t, c)]++
				}
			}
			t.Logf("stopped=%d harmless=%d missed=%d", count[stopped], count[harmless], count[missed])
			if count[stopped] < 20 || count[missed] > 10 {
				t.Error("this proves little")
			}
		})
	}
}

// sorts picks calls: of each sort the first two and the last.
func sorts(r traced, p plan) (out []eioCase) {
	byTarget, count := map[string][]eioCase{}, map[string]int{}
	dir := filepath.Dir(childDir(r))
	for _, c := range r.calls {
		count[c.kind]++
		name := c.target(dir)
		byTarget[c.kind+name] = append(byTarget[c.kind+name], eioCase{c.kind, r.before[c.kind] + count[c.kind], name, p})
	}
	for _, all := range byTarget {
		for i, c := range all {
			if (i < 2 || i == len(all)-1) && slices.Contains(failing, c.kind) && strings.Contains(c.target, "/spool") {
				out = append(out, c)
			}
		}
	}
	slices.SortFunc(out, func(a, b eioCase) int { return cmp.Or(strings.Compare(a.kind+a.target, b.kind+b.target), a.n-b.n) })
	return out
}

// childDir is the directory of the spool in a trace: that of its journal.
func childDir(r traced) string {
	for _, c := range r.calls {
		if m := regexp.MustCompile(`<(/[^>]*)/journal>`).FindStringSubmatch(c.line); m != nil {
			return m[1]
		}
	}
	return "?"
}

// outcome of one failure.
type outcome int

const (
	stopped  outcome = iota // the spool, as it had to
	harmless                // as it had to be
	missed                  // it hit a call of Go's own, which writes now and then to wake itself
)

// failedAt fails one call and looks at what follows.
func failedAt(t *testing.T, c eioCase) (o outcome) {
	t.Helper()
	dir := memoryDir(t)
	defer os.RemoveAll(dir)
	run := straced(t, dir, c.plan, "-e", "trace=writev,openat,close,"+strings.Join(changing[1:], ","),
		"-e", fmt.Sprintf("inject=%s:error=EIO:when=%d", c.kind, c.n))
	at, after := injected(readTrace(run.trace).calls)
	if !strings.Contains(at.line, dir) {
		return missed
	}
	if !run.ended {
		t.Fatalf("%+v: nothing failed, or the child did not come to its end: %s", c, run.said)
	}
	failures := strings.Count(strings.Join(run.lines, "\n"), "failed ")
	if mayFail(at) {
		o = harmless
		if failures > 0 {
			t.Errorf("%+v: an error of what is only a help failed an operation", c)
		}
	} else {
		mustStop(t, c, after)
		mustNotSyncAgain(t, at, after)
	}
	openedAfterKill(t, procConfig(filepath.Join(dir, "spool"), procKey(c.plan.encrypted)), run.told)
	if t.Failed() {
		t.Fatalf("%+v: %s; the child said %v", c, at.line, around(run.lines))
	}
	return o
}

// injected splits a run at the call that was failed.
func injected(calls []call) (at call, after []call) {
	for i, c := range calls {
		if strings.Contains(c.line, "(INJECTED)") {
			return c, calls[i+1:]
		}
	}
	return call{}, nil
}

// mayFail: the index is a cache, the ballast has no content, early writeback
// proves nothing, and a file whose forgetting is durable is unlinked by the next
// start; nothing may depend on them.
func mayFail(c call) bool {
	return strings.Contains(c.line, "/index.db") || strings.Contains(c.line, "ballast") || c.kind == "sync_file_range" ||
		c.kind == "unlinkat" && strings.Contains(c.line, ".obj\"")
}

// mustStop: the next thing that the child says is that the operation failed, and
// then that the spool takes nothing more; the start after that succeeds.
func mustStop(t *testing.T, c eioCase, after []call) {
	t.Helper()
	var said []string
	for _, a := range after {
		if m := saidLine.FindStringSubmatch(a.line); m != nil {
			said = append(said, m[1])
		}
	}
	said = append(said, "", "", "", "")
	if !strings.HasPrefix(said[0], "failed ") {
		t.Errorf("%+v: after it the child said %q", c, said[0])
		return
	}
	if rest := said[1:]; !outside.MatchString(said[0]) && rest[0] != "refused true" {
		t.Errorf("%+v: the next object was answered %q", c, rest[0])
	} else if !slices.Contains(rest[:3], "opened") && rest[0] != "end" && rest[1] != "end" {
		t.Errorf("%+v: the next start said %q", c, rest[:3])
	}
}

var (
	descriptor = regexp.MustCompile(`^[a-z0-9_]+\((\d+)<([^>]*)>`)
	numbered   = regexp.MustCompile(`[0-9a-f]{16}\.(obj|log)$`)
	syncs      = []string{"fsync", "fdatasync", "syncfs"}
)

// mustNotSyncAgain: after a failed sync the descriptor is closed before any other
// of that number is synced, and the file of that name is never synced again.
func mustNotSyncAgain(t *testing.T, at call, after []call) {
	t.Helper()
	was := descriptor.FindStringSubmatch(at.line)
	if !slices.Contains(syncs, at.kind) || was == nil {
		return
	}
	open := true
	for _, c := range after {
		is := descriptor.FindStringSubmatch(c.line)
		if is == nil {
			continue
		}
		sameFile := is[2] == was[2] && numbered.MatchString(is[2]) // other names are given again
		switch {
		case slices.Contains(syncs, c.kind) && (open && is[1] == was[1] || sameFile):
			t.Errorf("synced again after %s: %s", at.line, c.line)
		case c.kind == "close" && is[1] == was[1]:
			open = false
		}
	}
}

// The plan of the child does what its name says, so that the tests above are
// about all of it: it forgets, compacts, sets aside and writes an index.
func TestChildDoesEverything(t *testing.T) {
	dir := memoryDir(t)
	run := straced(t, dir, plan{rounds: 3, puts: 4}, "-e", "trace=unlinkat,renameat,pwrite64")
	for what, sign := range map[string]string{"forgetting": ".obj\"", "compaction": "next.tmp", "the index": "/index.db>"} {
		if !strings.Contains(run.trace, sign) {
			t.Errorf("no sign of %s", what)
		}
	}
	s, err := Open(context.Background(), procConfig(filepath.Join(dir, "spool"), nil))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if st := s.Stats().ByState; st[Quarantined] == 0 || st[AtHub] == 0 || len(s.Forgotten(100)) == 0 {
		t.Errorf("the states are %v", st)
	}
}

// around is what was said near the first failure.
func around(lines []string) []string {
	for i, l := range lines {
		if strings.HasPrefix(l, "failed") {
			return lines[max(0, i-4):min(len(lines), i+6)]
		}
	}
	return lines[max(0, len(lines)-6):]
}

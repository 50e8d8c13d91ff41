package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The child of the tests that kill or fail single system calls: a program that
// does everything a spool does, one thing after the other and always the same,
// on one thread, so that "the 17th openat" is the same moment in each run.
//
// It says what it begins and what is done on descriptor 3, with writev, because
// the spool uses write:
//
//	begin             the program is up; what came before is Go's
//	store N, stored N, hub N, has N, archive N, archived N, set N, aside N
//	failed WHAT ERR   an operation ended with an error of the spool
//	refused ERR       and this is what the next Create said, at once
//	open, opened      of each round
//	end               all rounds are over

const (
	procEnv     = "EDGED_SPOOL_PROC_CHILD" // the directory
	procKeyEnv  = "EDGED_SPOOL_PROC_KEY"   // not empty: encrypted
	procPlanEnv = "EDGED_SPOOL_PROC_PLAN"  // rounds, and objects a round
)

func init() {
	if dir := os.Getenv(procEnv); dir != "" {
		ProbeMain()
		runtime.LockOSThread() // to the first thread, the only one that strace looks at
		say("begin")
		c := procChild{dir: dir, key: procKey(os.Getenv(procKeyEnv) != "")}
		fmt.Sscan(os.Getenv(procPlanEnv), &c.rounds, &c.puts)
		for c.round = range c.rounds {
			c.doRound()
		}
		say("end")
		os.Exit(0)
	}
}

func procKey(encrypted bool) []byte {
	if !encrypted {
		return nil
	}
	return sample(1_000_000, 32)
}

// say ends the program when nobody listens any more.
func say(format string, args ...any) {
	line := []byte(fmt.Sprintf(format, args...) + "\n")
	if _, err := unix.Writev(3, [][]byte{line}); err != nil {
		os.Exit(3)
	}
}

func procConfig(dir string, key []byte) Config {
	return Config{Dir: dir, AllowUnsafeFilesystem: true, BallastBytes: 64 << 10, JournalBytes: 2 << 10, RetainArchived: -1, Key: key}
}

// procSize is mostly one write, and now and then some, with writeback begun early.
func procSize(n int) int {
	if n%8 == 7 {
		return 300_000
	}
	return 100 + (n*7919)%20_000
}

type procChild struct {
	dir    string
	key    []byte
	rounds int
	puts   int
	round  int // the one we are in
}

// bareFS is the real file system without an index beside it: most rounds do
// without, because a probe in each would take longer than all the rest.
type bareFS struct{ *osFS }

func (c *procChild) doRound() {
	cfg := procConfig(c.dir, c.key)
	if c.round%4 != 0 || c.puts == 1 {
		err := os.MkdirAll(c.dir, 0o700)
		real, openErr := openOSFS(c.dir)
		if err = errors.Join(err, openErr); err != nil {
			say("failed open %s", oneLine(err))
			return
		}
		defer real.close()
		cfg.FS = bareFS{real}
	}
	say("open")
	s, err := Open(context.Background(), cfg)
	if err != nil {
		say("failed open %s", oneLine(err))
		return
	}
	say("opened")
	defer func() {
		if err := s.Close(); err != nil {
			say("failed close %s", oneLine(err))
		}
	}()
	if what, err := c.work(s); err != nil {
		say("failed %s %s", what, oneLine(err))
		_, err := s.Create(newSample(0))
		say("refused %v", errors.Is(err, ErrFailed))
	}
}

// work stores objects, lets each go another way, and looks around after each.
func (c *procChild) work(s *Spool) (what string, err error) {
	for n := c.round * c.puts; n < (c.round+1)*c.puts; n++ {
		say("store %d", n)
		o, _, err := tryPut(s, newSample(n), sample(n, procSize(n)))
		if err != nil {
			return fmt.Sprint("store ", n), err
		}
		say("stored %d", n)
		if what, err := goOn(s, o, n); err != nil {
			return what, err
		}
		if err := s.Sweep(context.Background()); err != nil {
			return "sweep", err
		}
	}
	s.mu.Lock()
	s.next = (s.next>>shardBits + 1) << shardBits // the next object lies in a directory of its own
	s.mu.Unlock()
	return "", nil
}

// goOn sets every fourth object aside, of the others the hub has all, and of
// those the archive every second.
func goOn(s *Spool, o Object, n int) (what string, err error) {
	ctx := context.Background()
	for _, step := range []struct {
		when        bool
		begin, done string
		do          func() error
	}{
		{n%4 >= 1, "hub", "has", func() error { return s.AtHub(ctx, receipt(o)) }},
		{n%4 >= 2, "archive", "archived", func() error { return s.archivedOutright(ctx, receipt(o)) }},
		{n%4 == 0, "set", "aside", func() error { return s.Quarantine(ctx, o.ID, "looked odd") }},
	} {
		if !step.when {
			continue
		}
		say("%s %d", step.begin, n)
		if err := step.do(); err != nil {
			return fmt.Sprint(step.begin, " ", n), err
		}
		say("%s %d", step.done, n)
	}
	return "", nil
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// told is what the child said, and what follows from it.
type told struct {
	lines []string
	began map[string]map[int]bool // by verb
	ended bool
}

func newTold(lines []string) told {
	t := told{lines: lines, began: map[string]map[int]bool{}}
	for _, l := range lines {
		var verb string
		var n int
		if k, _ := fmt.Sscanf(l, "%s %d", &verb, &n); k == 2 && verb != "failed" {
			if t.began[verb] == nil {
				t.began[verb] = map[int]bool{}
			}
			t.began[verb][n] = true
		}
		t.ended = t.ended || l == "end"
	}
	return t
}

// mustBeKept: what was acknowledged is here, as it was, as far as it had come
// (P1, P2), and nothing is set aside: no kill tears a file that has its name.
func (c told) mustBeKept(t *testing.T, s *Spool) {
	t.Helper()
	for n := range c.began["stored"] {
		body := sample(n, procSize(n))
		o, err := s.Object(idOf(testSeed, body))
		if errors.Is(err, ErrUnknown) && c.began["archive"][n] && forgotten(s, idOf(testSeed, body)) {
			continue // the archive's word came, so it may go
		}
		if err != nil {
			t.Errorf("object %d: %v", n, err)
			continue
		}
		if got, err := content(s, o.ID); err != nil || string(got) != string(body) {
			t.Errorf("object %d: %d bytes, %v; want the %d that were stored", n, len(got), err, len(body))
		}
		for verb, least := range map[string]State{"has": AtHub, "archived": Archived, "aside": Quarantined} {
			if c.began[verb][n] && o.State < least {
				t.Errorf("object %d is %v after %q", n, o.State, verb)
			}
		}
		if o.State == AtHub && !c.began["hub"][n] || o.State == Archived && !c.began["archive"][n] {
			t.Errorf("object %d is %v, and nobody said so", n, o.State)
		}
	}
	if got, least := s.Counters()[CountReceived], len(c.began["stored"]); got < uint64(least) || got > uint64(len(c.began["store"])) {
		t.Errorf("%d received, acknowledged were %d of %d", got, least, len(c.began["store"]))
	}
}

func forgotten(s *Spool, id ID) bool {
	for _, f := range s.Forgotten(10_000) {
		if f.ID == id {
			return true
		}
	}
	return false
}

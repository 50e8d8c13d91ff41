package spool

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// childEnv makes the test binary a program that stores objects until it is killed.
const childEnv = "EDGED_SPOOL_TEST_CHILD"

func TestMain(m *testing.M) {
	ProbeMain()
	os.Setenv("GORACE", "atexit_sleep_ms=0") // children built with -race would sleep a second at their end
	if dir := os.Getenv(childEnv); dir != "" {
		if err := storeForever(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// storeForever commits objects with four writers and prints, once Commit has
// returned, which it was. It ends by a kill, or when nobody reads any more.
func storeForever(dir string) error {
	ctx := context.Background()
	s, err := Open(ctx, childConfig(dir))
	if err != nil {
		return err
	}
	errs := make(chan error, 5)
	go func() { errs <- s.Run(ctx) }()
	base := int(s.next) * 1000
	for i := range 4 {
		go func() {
			for n := base + i; ; n += 4 {
				o, _, err := tryPut(s, newSample(n), sample(n, sizeOf(n)))
				if err == nil && n%8 == 0 {
					err = s.AtHub(ctx, receipt(o))
				}
				if err == nil {
					_, err = fmt.Printf("%d\n", n)
				}
				if err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	return <-errs
}

func childConfig(dir string) Config {
	return Config{Dir: dir, AllowUnsafeFilesystem: true, BallastBytes: 64 << 10, JournalBytes: 8 << 10}
}

// sizeOf spreads sizes so that a kill hits every stage.
func sizeOf(n int) int { return 100 + (n*7919)%200_000 }

// P1: killed at random moments, over and over on one directory, every object
// for which the program said so is there and byte-identical.
func TestAcknowledgedSurvivesKill(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	rnd := rand.New(rand.NewPCG(1, 2))
	var acked []int
	const kills = 30
	for range kills {
		acked = append(acked, killOnce(t, self, dir, rnd)...)
	}
	s := open(t, childConfig(dir))
	for _, n := range acked {
		body := sample(n, sizeOf(n))
		wantContent(t, s, idOf(testSeed, body), body)
		if n%8 == 0 {
			wantState(t, s, idOf(testSeed, body), AtHub)
		}
	}
	if len(acked) < kills {
		t.Fatalf("only %d objects acknowledged in %d runs: this proves nothing", len(acked), kills)
	}
	t.Logf("kills=%d acked=%d lost=0 altered=0 listed=%d", kills, len(acked), s.Stats().Objects)
}

// killOnce runs the child until it has acknowledged a random number of objects,
// kills it, and returns what it had acknowledged.
func killOnce(t *testing.T, self, dir string, rnd *rand.Rand) (acked []int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	stopAt := 1 + rnd.IntN(40)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var n int
		if _, err := fmt.Sscan(lines.Text(), &n); err != nil {
			t.Fatalf("child said %q: %s", lines.Text(), said.String())
		}
		if acked = append(acked, n); len(acked) == stopAt {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // it was killed
	if len(acked) < stopAt {
		t.Fatalf("child ended by itself: %s", said.String())
	}
	return acked
}

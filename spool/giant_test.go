package spool

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
)

// giantEnv makes TestGiantObject run: it writes and reads 4 GiB.
const giantEnv = "EDGED_TEST_GIANT"

// pattern is content of any length that needs no memory.
type pattern struct{ at int64 }

func (p *pattern) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte((p.at + int64(i)) >> 9)
	}
	p.at += int64(len(b))
	return len(b), nil
}

// R15: a large object whose sender breaks off, at fifty random bytes, leaves
// nothing: no object, no file, no space taken, and the spool goes on.
func TestLargeObjectCutAnywhereLeavesNothing(t *testing.T) {
	inBothWays(t, func(t *testing.T, key []byte) {
		const whole = 64 << 20
		s := open(t, Config{Dir: t.TempDir(), Key: key})
		o, _ := put(t, s, newSample(1), sample(1, 1000))
		before, used := s.Stats(), s.used()
		rnd := rand.New(rand.NewPCG(15, uint64(len(key))))
		for i := range 25 {
			at := rnd.Int64N(whole >> (i % 8)) // more early than late: it costs what it writes
			w, err := s.Create(newSample(2))
			if err == nil {
				_, err = io.CopyN(onlyWriter{w}, &pattern{}, at)
			}
			if err != nil {
				t.Fatal(err)
			}
			w.Abort()
			names, err := s.fs.ReadDir(tmpDir)
			if err != nil || len(names) != 0 || s.used() != used {
				t.Fatalf("cut at %d: %v in tmp, %d bytes taken, %v", at, names, s.used()-used, err)
			}
		}
		if st := s.Stats(); st.Objects != 1 || st.Bytes != before.Bytes {
			t.Errorf("%+v, want what was before: %+v", st, before)
		}
		wantContent(t, s, o.ID, sample(1, 1000))
	})
}

// R15, SPOOL-22: an object of 4 GiB goes in and out through little memory, and is
// a file that lengths of 32 bits would cut. It takes long and 4 GiB of disk, so it
// runs only when asked for.
func TestGiantObject(t *testing.T) {
	if os.Getenv(giantEnv) == "" {
		t.Skipf("set %s=1: it writes and reads 4 GiB", giantEnv)
	}
	for _, key := range [][]byte{nil, testKey} {
		giant(t, key)
	}
}

func giant(t *testing.T, key []byte) {
	const size = 4<<30 + 12_345
	s := open(t, Config{Dir: t.TempDir(), Key: key})
	before := resident(t)
	most := before
	begun := time.Now()
	w, err := s.Create(newSample(1))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for left := int64(size); left > 0; {
		n := min(left, 64<<20)
		if _, err := io.CopyN(onlyWriter{w}, &pattern{at: size - left}, n); err != nil {
			t.Fatal(err)
		}
		left -= n
		most = max(most, resident(t))
	}
	o, _, err := w.Commit(context.Background())
	if err != nil || o.Length != size {
		t.Fatalf("%d bytes, %v", o.Length, err)
	}
	stored := time.Since(begun)
	c, err := s.Open(o.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	last := make([]byte, 5)
	if _, err := c.ReadAt(last, size-5); err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 5)
	(&pattern{at: size - 5}).Read(want)
	if string(last) != string(want) {
		t.Errorf("the end reads %x, want %x", last, want)
	}
	begun = time.Now()
	if err := s.Verify(context.Background(), o.ID); err != nil {
		t.Fatal(err)
	}
	most = max(most, resident(t))
	t.Logf("encrypted=%v bytes=%d stored=%v read=%v growth=%dMiB", key != nil, int64(size), stored.Round(time.Millisecond), time.Since(begun).Round(time.Millisecond), (most-before)>>20)
	if grown := most - before; grown > 64<<20 {
		t.Errorf("memory grew by %d MiB, want at most 64", grown>>20)
	}
}

// resident is how much memory this process has.
func resident(t *testing.T) (n int64) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skipf("no /proc: %v", err)
	}
	_, rss, _ := strings.Cut(string(text), "VmRSS:")
	if _, err := fmt.Sscanf(rss, "%d kB", &n); err != nil {
		t.Fatal(err)
	}
	return n << 10
}

package main

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"edged/internal/tools/lab"
)

// Flushes and written bytes are those of the device and not reads, merges or
// discards, which stand beside them.
func TestDiskStatIsReadFromItsFields(t *testing.T) {
	const line = "   10206       27   291935      896    87189    97034 34422319   145842        0    78248   202295        1        2        3        4    38976    55556\n"
	want := diskCount{flushes: 38976, bytes: 34422319 * 512}
	if got, err := parseDiskStat(line); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []string{"", "1 2 3 4 5 6 7 8 9 10 11", "a b c d e f g h i j k l m n o p q"} {
		if got, err := parseDiskStat(bad); err == nil {
			t.Errorf("%q: got %+v, want an error", bad, got)
		}
	}
}

// The quantile is a wait that somebody had: no interpolation makes a p99 look
// better than it was.
func TestQuantileIsAWaitThatWas(t *testing.T) {
	waits := make([]time.Duration, 200)
	for i := range waits {
		waits[len(waits)-1-i] = time.Duration(i + 1)
	}
	for _, c := range []struct {
		q    float64
		want time.Duration
	}{{0, 1}, {0.5, 100}, {0.99, 198}, {1, 200}} {
		if got := quantile(waits, c.q); got != c.want {
			t.Errorf("%v: got %d, want %d", c.q, got, c.want)
		}
	}
	if got := quantile(nil, 0.99); got != 0 {
		t.Errorf("of none: %d", got)
	}
}

// Every object has its length and its own first bytes, or stores that find the
// same object again would look fast.
func TestPiecesAreAllOfTheObjectAndNoTwoObjectsAreEqual(t *testing.T) {
	for _, size := range []int64{10 << 10, objectBytes, 3<<20 + 5} {
		var one, two bytes.Buffer
		c := content{size, noise}
		if err := errors.Join(c.pieces(t.Context(), 1, one.Write), c.pieces(t.Context(), 2, two.Write)); err != nil {
			t.Fatal(err)
		}
		if int64(one.Len()) != size || int64(two.Len()) != size {
			t.Errorf("%d and %d bytes, want %d", one.Len(), two.Len(), size)
		}
		if bytes.Equal(one.Bytes(), two.Bytes()) || !bytes.Equal(one.Bytes()[8:], two.Bytes()[8:]) {
			t.Errorf("%d bytes: two objects have to differ in their first eight bytes and nowhere else", size)
		}
	}
}

// countingStore counts; fail is the number whose put fails.
type countingStore struct {
	puts, running atomic.Int64
	fail          int64
}

func (s *countingStore) put(_ context.Context, n int64, _ content) error {
	s.puts.Add(1)
	if n == s.fail {
		return errors.New("no")
	}
	return nil
}

func (s *countingStore) run(ctx context.Context) error {
	s.running.Add(1)
	<-ctx.Done()
	s.running.Add(-1)
	return nil
}

func (s *countingStore) close() error { return nil }

// All objects are put once, each wait is kept, and the store's Run has ended.
func TestWritersPutEachObjectOnce(t *testing.T) {
	s := &countingStore{}
	w := writing{writers: 4, more: func(n int64) bool { return n <= 100 }}
	var waits []time.Duration
	err := beside(t.Context(), s.run, func(ctx context.Context) (err error) { waits, err = w.put(ctx, s); return err })
	if err != nil || s.puts.Load() != 100 || len(waits) != 100 || s.running.Load() != 0 {
		t.Errorf("%v: %d puts, %d waits, %d still run", err, s.puts.Load(), len(waits), s.running.Load())
	}
}

// A store that fails ends the run with its error; nobody waits for the others.
func TestAPutThatFailsEndsTheRun(t *testing.T) {
	s := &countingStore{fail: 10}
	w := writing{writers: 4, more: func(int64) bool { return true }}
	err := beside(t.Context(), s.run, func(ctx context.Context) error { _, err := w.put(ctx, s); return err })
	if err == nil || err.Error() == context.Canceled.Error() || s.running.Load() != 0 {
		t.Errorf("got %v, %d still run", err, s.running.Load())
	}
}

// results makes cells with given figures: objects/s, flushes an object.
func results() *spoolResults {
	cell := func(kind storeKind, writers int, rate, flushes float64) spoolCell {
		return spoolCell{kind: kind, size: objectBytes, writers: writers, runs: []outcome{{objects: 1000,
			took: time.Duration(float64(time.Second) * 1000 / rate), flushes: int64(flushes * 1000), waits: []time.Duration{20 * time.Millisecond}}}}
	}
	return &spoolResults{
		disk: []spoolCell{cell(spoolPlain, 1, 500, 2), cell(spoolEncrypted, 1, 300, 2.2), cell(naive, 1, 250, 6),
			cell(spoolPlain, 16, 1500, 0.8), cell(spoolEncrypted, 16, 1000, 1), cell(naive, 16, 400, 4)},
		slow:      []spoolCell{cell(spoolPlain, 16, 300, 0.5), cell(spoolEncrypted, 16, 150, 0.5)},
		recovered: []recovered{{kind: spoolPlain, objects: 30_000, cold: time.Second, index: 2 * time.Second}},
	}
}

// Each goal is judged by its own figure, in its own direction; what was not
// measured is neither passed nor missed.
func TestGoalsAreJudgedEachWay(t *testing.T) {
	figures := make(map[string]string)
	s := results().judge(figures)
	want := [][2]string{{"PASS", "GAP"}, {"PASS", "GAP"}, {"PASS", "GAP"}, {"PASS", "GAP"}, {"PASS", "GAP"}, {"PASS", "PASS"},
		{"PASS", lab.NotMeasured}, {"GAP", lab.NotMeasured}}
	if len(s.Rows) != len(want) {
		t.Fatalf("%d goals, want %d", len(s.Rows), len(want))
	}
	for i, r := range s.Rows {
		if r[3] != want[i][0] || r[5] != want[i][1] {
			t.Errorf("%s: %s and %s, want %s", r[0], r[3], r[5], want[i])
		}
	}
	if figures["spool_flushes_16"] != "0.80" || figures["encrypted_naive_1"] != "1.20" || figures["spool_slow_per_s"] != "300" {
		t.Errorf("figures %v", figures)
	}
}

// A figure that is noted is also printed: the last line knows its name.
func TestFiguresOfTheSpoolAreInTheLastLine(t *testing.T) {
	figures := make(map[string]string)
	results().judge(figures)
	for name := range figures {
		if !slices.Contains(figureNames, name) {
			t.Errorf("%s is in no last line", name)
		}
	}
}

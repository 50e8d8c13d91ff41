package receive_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"edged/hub/receive"
	"edged/uplink/wire"
)

// lines keeps what is logged at the level of an operator.
type lines struct {
	slog.Handler
	mu   *sync.Mutex // guards said
	said *[]string
}

func newLines() *lines { return &lines{slog.DiscardHandler, &sync.Mutex{}, &[]string{}} }

func (l *lines) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (l *lines) WithAttrs([]slog.Attr) slog.Handler { return l }

func (l *lines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := r.Message
	r.Attrs(func(a slog.Attr) bool { text += fmt.Sprintf(" %s=%v", a.Key, a.Value); return true })
	*l.said = append(*l.said, text)
	return nil
}

// with are the lines that hold words.
func (l *lines) with(words string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range *l.said {
		if strings.Contains(one, words) {
			found = append(found, one)
		}
	}
	return found
}

// A thousand objects for which there is no room are a line of each connection, not a
// thousand, and what was left out is counted when the connection ends (P9).
func TestWhatIsRefusedAThousandTimesIsFewLines(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		const connections, each = 5, 200
		w.limit = 1 << 20
		log, began := newLines(), time.Now()
		w.change = func(c *receive.Config) { c.Logger = slog.New(log) }
		w.start()
		for i := range connections {
			r := hello(t, w.dial(fmt.Sprint("box", i)), "data")
			offer := many(each, 10)
			for k := range offer.Objects {
				offer.Objects[k].Length = 2 << 20
			}
			r.say(offer)
			r.refused(each)
			r.say(&wire.Trouble{Problems: manyProblems(each)})
			r.say(&wire.Offer{Objects: offer.Objects[:1]})
			r.refused(1)
			r.hangUp()
		}
		eventually(t, "all to be gone", func() bool { return len(log.with("disconnected")) == connections })
		minutes := 1 + int(time.Since(began)/time.Minute)
		for _, words := range []string{"no partial object", "cannot read its copy"} {
			if got := len(log.with(words)); got > connections*minutes {
				t.Errorf("%s: %d lines for %d connections in %d minutes", words, got, connections, minutes)
			}
		}
		if len(log.with("no partial object")) == 0 {
			t.Error("nothing was said")
		}
		for _, line := range log.with("disconnected") {
			_, count, _ := strings.Cut(line, "left_out=")
			var left int
			if _, err := fmt.Sscan(count, &left); minutes == 1 && (err != nil || left < 2*each-1) {
				t.Errorf("what was left out is not counted: %q", line)
			}
		}
	})
}

// refused waits until so many objects are to come later.
func (r *rude) refused(n int) {
	r.t.Helper()
	for n > 0 {
		if again, ok := r.hear().(*wire.Again); ok {
			n -= len(again.IDs)
		}
	}
}

func manyProblems(n int) []wire.Problem {
	list := make([]wire.Problem, n)
	for i := range list {
		list[i] = wire.Problem{ID: wire.ID{byte(i)}, Kind: wire.ProblemCopy}
	}
	return list
}

// A thousand connections that are refused 16 objects every five seconds are five lines
// a second, and nothing is lost from the count.
func TestTheWholeHubSaysAFewLinesASecond(t *testing.T) {
	const connections, rounds, each = 1000, 24, 16
	hub := receive.NewLines(connections)
	var said, left int64
	now := time.Unix(1_000_000, 0)
	for range rounds {
		for c := range connections {
			for range each {
				if before, ok := hub.Take(c, now); ok {
					said, left = said+1, left+before
				}
			}
		}
		now = now.Add(5 * time.Second)
	}
	if said > rounds*receive.SayAtOnce || said < rounds {
		t.Errorf("%d lines", said)
	}
	if rest := hub.Rest(); said+left+rest != connections*rounds*each {
		t.Errorf("%d said, %d counted, %d left", said, left, rest)
	}
}

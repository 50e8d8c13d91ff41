package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
)

// journalLevels are the priorities of syslog, which the journal takes from the front of
// a line (sd-daemon(3)): `journalctl -p warning` finds what matters.
var journalLevels = []struct {
	from   slog.Level
	prefix string
}{{slog.LevelError, "<3>"}, {slog.LevelWarn, "<4>"}, {slog.LevelInfo, "<6>"}, {slog.LevelDebug, "<7>"}}

// journalHandler writes each line with its priority in front. It has a handler for each
// priority, of which one line goes to one.
type journalHandler []slog.Handler

func newJournalHandler(w io.Writer, make func(io.Writer) slog.Handler) journalHandler {
	var h journalHandler
	for _, l := range journalLevels {
		h = append(h, make(prefixed{w, l.prefix}))
	}
	return h
}

func (h journalHandler) of(level slog.Level) slog.Handler {
	for i, l := range journalLevels {
		if level >= l.from {
			return h[i]
		}
	}
	return h[len(h)-1]
}

func (h journalHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.of(l).Enabled(ctx, l)
}

func (h journalHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.of(r.Level).Handle(ctx, r)
}

func (h journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.with(func(one slog.Handler) slog.Handler { return one.WithAttrs(attrs) })
}

func (h journalHandler) WithGroup(name string) slog.Handler {
	return h.with(func(one slog.Handler) slog.Handler { return one.WithGroup(name) })
}

func (h journalHandler) with(change func(slog.Handler) slog.Handler) journalHandler {
	out := make(journalHandler, len(h))
	for i, one := range h {
		out[i] = change(one)
	}
	return out
}

// prefixed writes each line, which slog's handlers write at once, in one piece.
type prefixed struct {
	w      io.Writer
	prefix string
}

func (p prefixed) Write(line []byte) (int, error) {
	n, err := p.w.Write(append([]byte(p.prefix), line...))
	return max(n-len(p.prefix), 0), err
}

// toJournal says whether f is the journal, which names it by device and inode
// (systemd.exec(5), JOURNAL_STREAM): a terminal or a file has it from its parent.
func toJournal(f *os.File) bool {
	var st syscall.Stat_t
	if syscall.Fstat(int(f.Fd()), &st) != nil {
		return false
	}
	return os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

// untimed leaves out the time: the journal has its own.
func untimed(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

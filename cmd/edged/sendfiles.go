package main

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// candidate is a file that may be sent.
type candidate struct {
	path  string
	size  int64
	mtime time.Time
	named bool // on the command line, not found in a folder
}

// key tells a file from another, and from itself after a change.
func (c candidate) key() string {
	return fmt.Sprintf("%d %d %s", c.size, c.mtime.UnixNano(), c.path)
}

// maxFiles bounds one run; 100,000 instances are a very large study.
const maxFiles = 2_000_000

// gather lists the files below paths in a fixed order. A DICOMDIR stands for
// the media around it: its files lie below its own folder (PS3.10 §8).
func gather(paths []string) (files []candidate, bytes int64, err error) {
	for _, p := range paths {
		if strings.EqualFold(filepath.Base(p), "DICOMDIR") {
			p = filepath.Dir(p)
		}
		root, err := filepath.Abs(p)
		if err != nil {
			return nil, 0, err
		}
		err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !d.Type().IsRegular() {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			if len(files) == maxFiles {
				return fmt.Errorf("more than %d files: send them in parts", maxFiles)
			}
			files = append(files, candidate{name, info.Size(), info.ModTime(), name == root})
			bytes += info.Size()
			return nil
		})
		if err != nil {
			return nil, 0, err
		}
	}
	return files, bytes, nil
}

// sendLog remembers which files a node has answered with success, so that an
// interrupted run goes on where it stopped. It is removed when all are stored.
// Each command has its own: node, calling title and paths make its name, and
// while it runs it holds a lock on it.
type sendLog struct {
	name string
	f    *os.File
	seen map[string]bool
}

// errSending is told to the same command when it is started twice.
var errSending = errors.New("send: the same command is running already; wait for it, or stop it first")

// openSendLog opens the log of one command below the user's state directory.
func openSendLog(to target, calling string, paths []string, again bool) (*sendLog, error) {
	dir, err := stateDir()
	if err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	key := []string{to.title, to.address, calling}
	for _, p := range paths {
		whole, err := filepath.Abs(p)
		if err != nil {
			return nil, fmt.Errorf("send: %w", err)
		}
		key = append(key, whole)
	}
	sum := sha256.Sum256([]byte(strings.Join(key, "\x00")))
	l := &sendLog{name: filepath.Join(dir, fmt.Sprintf("send-%x.log", sum[:8])), seen: make(map[string]bool)}
	if err := l.lock(); err != nil {
		return nil, err
	}
	return l, l.read(again)
}

// stateDir is where a user's programs keep what they want to find again.
func stateDir() (string, error) {
	dir := os.Getenv("XDG_STATE_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			home = os.TempDir()
		}
		dir = filepath.Join(home, ".local", "state")
	}
	dir = filepath.Join(dir, "edged")
	return dir, os.MkdirAll(dir, 0o700)
}

// lock opens the log and locks it. A file that its owner removed between the two
// is nobody's log any more: then there is a new one to open.
func (l *sendLog) lock() error {
	for range 100 {
		f, err := os.OpenFile(l.name, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
		if err != nil {
			return fmt.Errorf("send: %w", err)
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			f.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return errSending
			}
			return fmt.Errorf("send: lock %s: %w", l.name, err)
		}
		held, err := f.Stat()
		if named, nerr := os.Stat(l.name); err == nil && nerr == nil && os.SameFile(held, named) {
			l.f = f
			return nil
		}
		f.Close()
	}
	return errSending
}

// read takes what an earlier run has left, or throws it away.
func (l *sendLog) read(again bool) error {
	if again {
		if err := l.f.Truncate(0); err != nil {
			return fmt.Errorf("send: %w", err)
		}
	}
	for lines := bufio.NewScanner(l.f); lines.Scan(); {
		l.seen[lines.Text()] = true
	}
	return nil
}

func (l *sendLog) has(c candidate) bool { return l.seen[c.key()] }

func (l *sendLog) add(c candidate) error {
	if strings.ContainsAny(c.path, "\n\r") {
		return nil // such a file is only sent again
	}
	_, err := l.f.WriteString(c.key() + "\n")
	return err
}

// finish forgets: the next run of the same command sends everything again.
func (l *sendLog) finish() error {
	if err := os.Remove(l.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// close gives the lock back. A log in which nothing stands is removed first.
func (l *sendLog) close() {
	if info, err := l.f.Stat(); err == nil && info.Size() == 0 {
		l.finish() // untidy at worst
	}
	l.f.Close()
}

// progress is a bar on a terminal, and counts anywhere.
type progress struct {
	out           io.Writer
	bar           bool
	files, total  int
	bytes, whole  int64
	sent, earlier int
	began, drawn  time.Time
}

func newProgress(out io.Writer, total int, whole int64) *progress {
	f, ok := out.(*os.File)
	return &progress{out: out, bar: ok && isTerminal(f), total: total, whole: max(whole, 1), began: time.Now()}
}

// Write counts the bytes of a data set as they leave.
func (p *progress) Write(b []byte) (int, error) {
	p.bytes += int64(len(b))
	if time.Since(p.drawn) > 100*time.Millisecond {
		p.draw()
	}
	return len(b), nil
}

func (p *progress) file() { p.files++; p.sent++ }

func (p *progress) skip(c candidate) {
	p.files++
	p.earlier++
	p.bytes += c.size
}

const barWidth = 30

func (p *progress) draw() {
	if !p.bar {
		return
	}
	p.drawn = time.Now()
	part := min(1, float64(p.bytes)/float64(p.whole))
	full := int(part * barWidth)
	rate := float64(p.bytes) / 1e6 / max(time.Since(p.began).Seconds(), 0.001)
	fmt.Fprintf(p.out, "\r\x1b[K[%s%s] %3.0f %%  %d/%d files  %.1f MB/s", strings.Repeat("█", full),
		strings.Repeat("░", barWidth-full), part*100, p.files, p.total, rate)
}

func (p *progress) note(err error) {
	if p.bar {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
	fmt.Fprintln(p.out, "edged:", strings.ReplaceAll(err.Error(), "\n", "; "))
}

func (p *progress) end() {
	p.draw()
	if p.bar {
		fmt.Fprintln(p.out)
	}
}

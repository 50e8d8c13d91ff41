package audit

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"edged/internal/durable"
)

type syncer interface{ Sync() error }

// lockWait bounds how long a row waits for another process's row.
const lockWait = 5 * time.Second

// makeDir makes the folder, once. Whoever made one that is there may have died
// before its name was durable.
func (l *Log) makeDir() error {
	dir := l.cfg.Dir
	if l.named != "" {
		return nil
	}
	_, there := os.Lstat(dir)
	err := durable.Mkdir(dir, 0o700)
	if err == nil && there == nil {
		err = durable.SyncDir(filepath.Dir(dir))
	}
	if err != nil && there != nil {
		_ = os.Remove(dir) // empty; if it stayed, the next process would call it durable (P8)
	}
	if err != nil {
		return err
	}
	return own(dir, dir)
}

// own gives what root makes to the owner of the folder around the log: a row that
// a command adds as root must not lock the daemon's user out.
func own(name, dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(filepath.Dir(dir))
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Uid == 0 {
		return nil
	}
	return os.Lchown(name, int(st.Uid), int(st.Gid))
}

// lockDir keeps other processes out until unlock is called. A process that dies
// gives its lock back.
func lockDir(dir string) (unlock func(), err error) {
	name := filepath.Join(dir, "lock")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := own(name, dir); err != nil {
		f.Close()
		return nil, err
	}
	if err := durable.Lock(f, lockWait); err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return func() { f.Close() }, nil
}

// files are the logs, oldest first.
func files(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if ok, _ := filepath.Match("[0-9][0-9][0-9][0-9]-[0-9][0-9].log", e.Name()); ok && e.Type().IsRegular() {
			names = append(names, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(names)
	return names, nil
}

// tail is where the next row goes.
type tail struct {
	file   string // the newest; "" when there is none
	size   int64  // of its whole rows
	torn   int64  // bytes behind them
	seq    uint64
	hash   digest // of the last row
	sealed bool
}

// findTail looks at the last whole row. In a new file that a crash left without
// one, the row before it is in the file before.
func findTail(dir string) (t tail, err error) {
	names, err := files(dir)
	if err != nil || len(names) == 0 {
		return t, err
	}
	for i := len(names) - 1; i >= 0; i-- {
		row, whole, torn, err := lastRow(names[i])
		if err != nil {
			return t, fmt.Errorf("%s: %w", names[i], err)
		}
		if i == len(names)-1 {
			t.file, t.size, t.torn = names[i], whole, torn
		}
		if row == nil {
			continue
		}
		l, _, err := parse(row)
		if err != nil {
			return t, fmt.Errorf("%s: %w", names[i], err)
		}
		t.seq, t.hash, t.sealed = l.Seq, sha256.Sum256(row), l.Sealed != nil
		return t, nil
	}
	return t, nil
}

// lastRow reads the end of a file: the last row that is whole, where it ends, and
// how many bytes are behind it. Those are of the row that was being written when
// the power went. Its end may have reached the disk without its beginning, so also
// lines that are no row are of it, up to the length of one.
func lastRow(name string) (row []byte, whole, torn int64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, 0, err
	}
	from := max(0, info.Size()-2*maxLine)
	end, err := io.ReadAll(io.NewSectionReader(f, from, info.Size()-from))
	if err != nil {
		return nil, 0, 0, err
	}
	row, n := lastWhole(end)
	whole = from + int64(n)
	if torn = info.Size() - whole; torn > maxLine || row == nil && from > 0 {
		return nil, 0, 0, fmt.Errorf("no row of this log within %d bytes of its end; move the folder away to begin a new one, and keep it", maxLine)
	}
	return row, whole, torn, nil
}

// lastWhole finds the last line in b that is a row, and where it ends.
func lastWhole(b []byte) (row []byte, end int) {
	for end = bytes.LastIndexByte(b, '\n') + 1; end > 0; {
		begin := bytes.LastIndexByte(b[:end-1], '\n') + 1
		row = b[begin : end-1]
		if _, _, err := parse(row); err == nil {
			return row, end
		}
		end = begin
	}
	return nil, 0
}

// mend cuts off what is no whole row: nobody has acted on it.
func (t *tail) mend() error {
	if err := os.Truncate(t.file, t.size); err != nil {
		return err
	}
	t.torn = 0
	return nil // the next row's fsync covers it
}

// write appends one row: write, fsync(file), fsync(directory) where it was not yet.
func (l *Log) write(t tail, e Event) (tail, error) {
	e = e.bounded()
	e.At, e.Seq = l.cfg.Now().UTC().Round(0), t.seq+1
	row, err := encode(e, t.hash, l.cfg.Key)
	if err != nil {
		return t, err
	}
	if len(row) >= maxLine {
		return t, fmt.Errorf("event %d is too long: %d bytes", e.Seq, len(row))
	}
	name := max(t.file, filepath.Join(l.cfg.Dir, e.At.Format("2006-01")+".log"))
	if err := l.put(t, name, append(row, '\n')); err != nil {
		return t, err
	}
	if name != t.file {
		t.file, t.size = name, 0
	}
	t.size += int64(len(row)) + 1
	t.seq, t.hash, t.sealed = e.Seq, sha256.Sum256(row), l.cfg.Key != nil
	return t, nil
}

// put writes a line behind what is there: write, fsync(file), fsync(directory)
// where it was not yet. What a failed sync leaves is taken back: a process that
// starts later must find nothing that is in memory only (P8).
func (l *Log) put(t tail, name string, line []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	size := t.size
	if name != t.file {
		size = 0
	}
	if err := own(name, l.cfg.Dir); err != nil {
		return err
	}
	if err := l.squeeze(f, line, size); err != nil {
		return err // what it left is torn, and the next row's to mend
	}
	err = l.sync(f)
	if err == nil && name != l.named { // also one that is there already: whoever made it may have died before this
		err = l.sync(folder(l.cfg.Dir))
	}
	if err != nil {
		l.dead = fmt.Errorf("%s: %w; restart to go on", name, err)
		return errors.Join(l.dead, takeBack(f, size))
	}
	l.named = name
	return nil
}

// folder is a directory that can be synced.
type folder string

func (d folder) Sync() error { return durable.SyncDir(string(d)) }

// takeBack leaves the rows before. A new file goes with its name, which the
// directory's sync may have lost.
func takeBack(f *os.File, size int64) error {
	if size == 0 {
		return os.Remove(f.Name())
	}
	return f.Truncate(size)
}

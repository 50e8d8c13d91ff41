package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// On a full disk somebody has to be able to discard, which needs two rows first.
// DIR/reserve keeps their blocks until then.
const (
	reserveName  = "reserve"
	reserveBytes = 128 << 10
)

func fullDisk(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// squeeze appends a line; where there is no room, in place of the reserve. size is
// that of the file without it.
func (l *Log) squeeze(f *os.File, line []byte, size int64) error {
	_, err := f.Write(line)
	if !fullDisk(err) {
		return err
	}
	if gone := os.Remove(filepath.Join(l.cfg.Dir, reserveName)); gone != nil {
		return err
	}
	if err := f.Truncate(size); err != nil {
		return err
	}
	_, err = f.Write(line)
	return err
}

// restoreReserve puts it back when there is room. Where there is none, the log goes
// on without. The row before it stands, but a disk that fails here is not asked for
// another one: an fsync of this folder that came after would say yes to what this one
// was refused (P8).
func (l *Log) restoreReserve() {
	name := filepath.Join(l.cfg.Dir, reserveName)
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) || !roomy(l.cfg.Dir) {
		return
	}
	err := l.place(name, make([]byte, reserveBytes), 0o600)
	if errors.Is(err, unix.EIO) {
		l.dead = fmt.Errorf("%w; restart to go on", err)
	}
	if err == nil {
		_ = own(name, l.cfg.Dir)
	}
}

// roomy says whether the disk has a few times the reserve: the last bytes are left
// to what wants them more.
func roomy(dir string) bool {
	var st unix.Statfs_t
	return unix.Statfs(dir, &st) == nil && int64(st.Bavail)*int64(st.Bsize) > 4*reserveBytes
}

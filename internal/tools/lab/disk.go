package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// RoomFor says before the work that the disk would run full.
func RoomFor(dir string, bytes int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return err
	}
	if free := int64(st.Bavail) * st.Bsize; free < bytes+2<<30 {
		return fmt.Errorf("%d MB are free in %s, this wants %d MB and 2 GB to spare", free/1e6, dir, bytes/1e6)
	}
	return nil
}

// FileSystem names the file system of dir from /proc/self/mountinfo, proc(5): type
// and super block options follow a lone hyphen.
func FileSystem(dir string) string {
	b, _ := os.ReadFile("/proc/self/mountinfo") // without it nothing is found
	best, kind := "", "an unknown file system"
	for line := range strings.Lines(string(b)) {
		left, right, _ := strings.Cut(line, " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if len(l) < 5 || len(r) < 2 || len(l[4]) < len(best) {
			continue
		}
		if at := strings.TrimSuffix(l[4], "/"); dir == at || strings.HasPrefix(dir, at+"/") {
			best, kind = l[4], r[0]
		}
	}
	if kind == "ext4" && !journalled(dir) {
		kind += " without a journal"
	}
	if strings.HasSuffix(best, "/loop") {
		kind += " (loop)"
	}
	return kind
}

// journalled asks whether the device of dir has a jbd2 thread.
func journalled(dir string) bool {
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil {
		return true
	}
	name, err := os.Readlink(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)))
	if err != nil {
		return true
	}
	found, _ := filepath.Glob("/proc/fs/jbd2/" + filepath.Base(name) + "-*")
	return len(found) > 0
}

// Settle writes out what the file system of dir still holds in memory, so that
// nobody's leavings are written on the time of the next one. A failure only makes
// that one slower.
func Settle(dir string) {
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	defer d.Close()
	unix.Syncfs(int(d.Fd()))
}

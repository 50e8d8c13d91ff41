package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ceilingObjects is enough for a second figure of the disk.
const ceilingObjects = 100

// diskCeiling is how many objects of 512 KiB one writer makes durable in a second
// when it does nothing else.
func diskCeiling(dir string) (float64, error) {
	dir, err := os.MkdirTemp(dir, "ceiling-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	d, err := os.Open(dir)
	if err != nil {
		return 0, err
	}
	defer d.Close()
	object := make([]byte, objectBytes)
	settle(dir)
	began := time.Now()
	for i := range ceilingObjects {
		object[0] = byte(i)
		if err := writeDurably(filepath.Join(dir, fmt.Sprint(i)), object); err != nil {
			return 0, err
		}
		if err := d.Sync(); err != nil {
			return 0, err
		}
	}
	return ceilingObjects / time.Since(began).Seconds(), nil
}

func writeDurably(path string, b []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		return err
	}
	return unix.Fdatasync(int(f.Fd()))
}

// loopBytes is room for one target at a time.
const loopBytes = 3 << 30

// mountLoop makes a file system in a file and mounts it. Flushes reach the disk
// below as flushes.
func (l *lab) mountLoop(ctx context.Context, kind string) (string, error) {
	if kind != "ext4" && kind != "xfs" {
		return "", fmt.Errorf("--loop %s: want ext4 or xfs", kind)
	}
	if err := roomFor(l.dir, loopBytes); err != nil {
		return "", err
	}
	image, dir := filepath.Join(l.dir, "loop.img"), filepath.Join(l.dir, "loop")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return "", err
	}
	if err := os.Truncate(image, loopBytes); err != nil {
		return "", err
	}
	if _, err := call(ctx, "mkfs."+kind, image); err != nil {
		return "", err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	if _, err := call(ctx, "mount", "-o", "loop", image, dir); err != nil {
		return "", err
	}
	l.undo = append(l.undo, func() error { // also when ctx has ended
		_, err := call(context.Background(), "umount", dir)
		return err
	})
	return dir, nil
}

// roomFor says before the work that the disk would run full.
func roomFor(dir string, bytes int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return err
	}
	if free := int64(st.Bavail) * st.Bsize; free < bytes+2<<30 {
		return fmt.Errorf("%d MB are free in %s, this wants %d MB and 2 GB to spare", free/1e6, dir, bytes/1e6)
	}
	return nil
}

// fileSystem names the file system of dir from /proc/self/mountinfo, proc(5): type
// and super block options follow a lone hyphen.
func fileSystem(dir string) string {
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

// settle writes out what the file system of dir still holds in memory, so that
// nobody's leavings are written on the time of the next one. A failure only makes
// that one slower.
func settle(dir string) {
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	defer d.Close()
	unix.Syncfs(int(d.Fd()))
}

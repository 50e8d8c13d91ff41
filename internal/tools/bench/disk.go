package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"edged/internal/tools/lab"
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
	lab.Settle(dir)
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
func mountLoop(ctx context.Context, l *lab.Lab, kind string) (string, error) {
	if kind != "ext4" && kind != "xfs" {
		return "", fmt.Errorf("--loop %s: want ext4 or xfs", kind)
	}
	if err := lab.RoomFor(l.Dir, loopBytes); err != nil {
		return "", err
	}
	image, dir := filepath.Join(l.Dir, "loop.img"), filepath.Join(l.Dir, "loop")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return "", err
	}
	if err := os.Truncate(image, loopBytes); err != nil {
		return "", err
	}
	if _, err := lab.Call(ctx, nil, "mkfs."+kind, image); err != nil {
		return "", err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	if _, err := lab.Call(ctx, nil, "mount", "-o", "loop", image, dir); err != nil {
		return "", err
	}
	l.OnClose(func() error { // also when ctx has ended
		_, err := lab.Call(context.Background(), nil, "umount", dir)
		return err
	})
	return dir, nil
}

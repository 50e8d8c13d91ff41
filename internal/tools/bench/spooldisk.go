package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"edged/internal/tools/lab"
)

// blockDisk is a new file system on a loop device of its own, whose flushes and
// written bytes the kernel counts.
type blockDisk struct {
	kind, dir, device string
	direct            bool
	undo              []func() error // last first
}

// Room for the largest run: one writer of 1 GiB objects for as long as the small
// ones beside it take; and for objects of 512 KiB alone.
const (
	diskBytes     = 5 << 30
	slowDiskBytes = 2 << 30
)

// newDisk makes the disk; ends with close. With a delay every flush takes that
// much longer, by a file system in user space below the loop device.
func newDisk(ctx context.Context, l *lab.Lab, o options, kind string, delay time.Duration) (d *blockDisk, err error) {
	size := int64(diskBytes)
	if delay > 0 {
		size = slowDiskBytes
	}
	if err := lab.RoomFor(l.Dir, size); err != nil {
		return nil, err
	}
	base, err := l.Folder(l.Dir, "disk")
	if err != nil {
		return nil, err
	}
	d = &blockDisk{kind: kind, dir: filepath.Join(base, "files"), direct: o.direct && delay == 0}
	image := filepath.Join(base, "image")
	d.after(func() error { return os.Remove(image) })
	device := image
	if err = errors.Join(makeImage(image, size), os.Mkdir(d.dir, 0o700)); err == nil && delay > 0 {
		device, err = d.slow(ctx, l, base, image, delay)
	}
	if err == nil {
		err = d.attach(ctx, device)
	}
	if err == nil {
		err = d.format(ctx)
	}
	if err == nil {
		err = d.mount(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// makeImage writes all of it: the first touch of a block costs more than the next.
func makeImage(path string, bytes int64) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	zeros := make([]byte, 4<<20)
	for at := int64(0); at < bytes; at += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros, at); err != nil {
			return err
		}
	}
	return f.Sync()
}

// attach makes the block device. Not direct, a flush writes to the disk below what
// came since the last one, as from the cache of a slow disk; direct, it was written
// there before, as with a fast one.
func (d *blockDisk) attach(ctx context.Context, image string) error {
	out, err := lab.Call(ctx, nil, "losetup", "--find", "--show", "--direct-io="+onOff(d.direct), image)
	if err != nil {
		return err
	}
	path := strings.TrimSpace(out)
	d.device = filepath.Base(path)
	d.after(func() error { return silently("losetup", "--detach", path) })
	return nil
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// format makes the file system with nothing left to be initialised later, which
// would be counted as ours.
func (d *blockDisk) format(ctx context.Context) error {
	args := []string{"-q", "/dev/" + d.device}
	switch d.kind {
	case "ext4":
		args = append([]string{"-E", "lazy_itable_init=0,lazy_journal_init=0"}, args...)
	case "xfs":
	default:
		return fmt.Errorf("--loop %s: want ext4 or xfs", d.kind)
	}
	_, err := lab.Call(ctx, nil, "mkfs."+d.kind, args...)
	return err
}

func (d *blockDisk) mount(ctx context.Context) error {
	if _, err := lab.Call(ctx, nil, "mount", "/dev/"+d.device, d.dir); err != nil {
		return err
	}
	d.after(func() error { return silently("umount", d.dir) })
	return nil
}

// remount empties the caches of the file system, as a restart of the machine does.
func (d *blockDisk) remount(ctx context.Context) error {
	if err := silently("umount", d.dir); err != nil {
		return err
	}
	_, err := lab.Call(ctx, nil, "mount", "/dev/"+d.device, d.dir)
	return err
}

// silently runs a program also when the bench was told to stop.
func silently(path string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := lab.Call(ctx, nil, path, args...)
	return err
}

func (d *blockDisk) String() string {
	if d.direct {
		return d.kind + " (loop, direct)"
	}
	return d.kind + " (loop)"
}

func (d *blockDisk) after(do func() error) { d.undo = append(d.undo, do) }

// close takes everything back, also what fails halfway.
func (d *blockDisk) close() error {
	var errs []error
	for i := range d.undo {
		errs = append(errs, d.undo[len(d.undo)-1-i]())
	}
	return errors.Join(errs...)
}

// diskCount is what a block device has done since it was made.
type diskCount struct{ flushes, bytes int64 }

func (d *blockDisk) count() (diskCount, error) {
	b, err := os.ReadFile("/sys/block/" + d.device + "/stat")
	if err != nil {
		return diskCount{}, err
	}
	return parseDiskStat(string(b))
}

// parseDiskStat reads /sys/block/NAME/stat (Documentation/block/stat.rst): field 7
// are written sectors of 512 bytes, field 16 flushes that the device was sent.
func parseDiskStat(stat string) (c diskCount, err error) {
	fields := strings.Fields(stat)
	if len(fields) < 16 {
		return c, fmt.Errorf("%d fields are no statistics of a block device with flushes", len(fields))
	}
	sectors, err := strconv.ParseInt(fields[6], 10, 64)
	if err != nil {
		return c, err
	}
	c.bytes = sectors * 512
	c.flushes, err = strconv.ParseInt(fields[15], 10, 64)
	return c, err
}

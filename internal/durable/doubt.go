//go:build linux

package durable

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// magicExt is that of ext2, ext3 and ext4 in statfs(2).
const magicExt = 0xef53

// doubtful are the magics of statfs(2) whose promises end with the memory of this
// machine, or are somebody else's.
var doubtful = map[uint32]string{0x01021994: "tmpfs", 0x858458f6: "ramfs", 0x794c7630: "overlay", 0x6969: "NFS",
	0xfe534d42: "SMB", 0xff534d42: "CIFS", 0x65735546: "FUSE"}

// Doubt names the kind of file system that dir is on, or will be on when it is
// made, if a power cut may lose there what was synced, as far as one can know.
// It is empty where nothing speaks against it.
func Doubt(dir string) (string, error) {
	var st unix.Statfs_t
	err := unix.Statfs(dir, &st)
	for errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir {
		dir = filepath.Dir(dir)
		err = unix.Statfs(dir, &st)
	}
	if err != nil {
		return "", fmt.Errorf("look at the file system of %s: %w", dir, err)
	}
	if uint32(st.Type) == magicExt {
		return doubtExt(dir)
	}
	return doubtful[uint32(st.Type)], nil
}

// doubtExt: a journal shows as a directory /proc/fs/jbd2/DEVICE-INODE. The name of
// the device comes from the link /sys/dev/block/MAJOR:MINOR.
func doubtExt(dir string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return "", fmt.Errorf("look at the file system of %s: %w", dir, err)
	}
	device := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	link, err := os.Readlink("/sys/dev/block/" + device)
	if err != nil {
		return "ext4 of which the device is not known", nil
	}
	if journals, _ := filepath.Glob("/proc/fs/jbd2/" + filepath.Base(link) + "-*"); len(journals) == 0 {
		return "ext4 without a journal", nil
	}
	if withoutBarriers(device) {
		return "ext4 without write barriers", nil
	}
	return "", nil
}

// withoutBarriers looks in /proc/self/mountinfo (proc(5)): the third field is the
// device, the sixth and the last one are options.
func withoutBarriers(device string) bool {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || fields[2] != device {
			continue
		}
		set := "," + fields[5] + "," + fields[len(fields)-1] + ","
		if strings.Contains(set, ",nobarrier,") || strings.Contains(set, ",barrier=0,") {
			return true
		}
	}
	return false
}

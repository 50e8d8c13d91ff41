//go:build linux

package spool

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// File system magics of statfs(2).
const (
	magicTmpfs   = 0x01021994
	magicRamfs   = 0x858458f6
	magicOverlay = 0x794c7630
	magicNFS     = 0x6969
	magicSMB     = 0xfe534d42
	magicCIFS    = 0xff534d42
	magicFUSE    = 0x65735546
	magicExt     = 0xef53
)

// CheckFilesystem returns ErrUnsafe when a power cut loses what was synced to
// dir, as far as one can know (D-S9): on memory file systems, on overlays and
// network and FUSE file systems, whose promises are somebody else's, and on
// ext4 without a journal or with its barriers off.
//
// A journal shows as a directory /proc/fs/jbd2/DEVICE-INODE. The device's name
// comes from the link /sys/dev/block/MAJOR:MINOR.
func CheckFilesystem(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("look at the file system of %s: %w", dir, err)
	}
	kinds := map[uint32]string{magicTmpfs: "tmpfs", magicRamfs: "ramfs", magicOverlay: "overlay", magicNFS: "NFS",
		magicSMB: "SMB", magicCIFS: "CIFS", magicFUSE: "FUSE"}
	if kind, bad := kinds[uint32(st.Type)]; bad {
		return unsafeFS(dir, kind)
	}
	if uint32(st.Type) == magicExt {
		return checkExt(dir)
	}
	return nil
}

func unsafeFS(dir, why string) error {
	return fmt.Errorf("%w: %s is on %s; use a disk with journalled ext4 or XFS, or set spool.allow_unsafe_filesystem where losing images is fine", ErrUnsafe, dir, why)
}

func checkExt(dir string) error {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return fmt.Errorf("look at the file system of %s: %w", dir, err)
	}
	device := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	link, err := os.Readlink("/sys/dev/block/" + device)
	if err != nil {
		return unsafeFS(dir, "ext4 of which the device is not known")
	}
	journals, err := filepath.Glob("/proc/fs/jbd2/" + filepath.Base(link) + "-*")
	if err != nil || len(journals) == 0 {
		return unsafeFS(dir, "ext4 without a journal")
	}
	if mountOption(device, "nobarrier", "barrier=0") {
		return unsafeFS(dir, "ext4 without write barriers")
	}
	return nil
}

// mountOption looks in /proc/self/mountinfo (proc(5)): the third field is the
// device, the last one the options of the super block.
func mountOption(device string, options ...string) bool {
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
		for _, o := range options {
			if strings.Contains(set, ","+o+",") {
				return true
			}
		}
	}
	return false
}

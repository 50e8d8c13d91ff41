package spool

import (
	"fmt"

	"edged/internal/durable"
)

// CheckFilesystem returns ErrUnsafe when a power cut loses what was synced to
// dir, as far as one can know (D-S9): on memory file systems, on overlays and
// network and FUSE file systems, whose promises are somebody else's, and on
// ext4 without a journal or with its barriers off.
func CheckFilesystem(dir string) error {
	why, err := durable.Doubt(dir)
	if err != nil {
		return err
	}
	if why != "" {
		return fmt.Errorf("%w: %s is on %s; use a disk with journalled ext4 or XFS, or set spool.allow_unsafe_filesystem where losing images is fine", ErrUnsafe, dir, why)
	}
	return nil
}

package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// leaveNoCore keeps the key of the spool, and images, out of core dumps: they would
// lie on the disk in plain. The limit alone is not asked when core(5) gives dumps to
// a program; PR_SET_DUMPABLE is, and it keeps other processes of the same user from
// reading this one's memory (ptrace(2)).
func leaveNoCore() error {
	err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	if derr := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil || derr != nil {
		return fmt.Errorf("switch core dumps off: %w", errors.Join(err, derr))
	}
	return nil
}

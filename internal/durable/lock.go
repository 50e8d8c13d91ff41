//go:build unix

package durable

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockPoll is how often Lock asks.
const lockPoll = 5 * time.Millisecond

// Lock keeps other processes that lock the same file or folder out until f is closed;
// a process that dies gives its lock back. It waits so long for another one to end.
// After an error f is closed.
func Lock(f *os.File, wait time.Duration) error {
	for deadline := time.Now().Add(wait); ; time.Sleep(lockPoll) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) || time.Now().After(deadline) {
			f.Close()
			return err
		}
	}
}

package spool

import (
	"syscall"
	"testing"
	"time"
)

// P7: statfs promises room that a quota does not give. The ballast is tried again, less
// and less often, and is made when there is room.
func TestABallastThatFindsNoRoomIsLeftAlone(t *testing.T) {
	c := newClock()
	fs := newMemFS()
	tries := 0
	full := true
	fs.fault = func(kind, name string) error {
		if kind == "create" && name == ballastName {
			tries++
			if full {
				return syscall.EDQUOT
			}
		}
		return nil
	}
	s := open(t, groupConfig(fs, c))
	tries = 0
	c.run(t, s, 30*time.Minute)
	if tries == 0 || tries > 6 {
		t.Fatalf("%d tries in half an hour, want 1 to 6", tries)
	}
	full = false
	c.run(t, s, time.Hour)
	if !s.Stats().Ballast {
		t.Fatal("not made although there is room")
	}
}

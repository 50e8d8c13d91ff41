package durable

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// One has the lock, the others wait no longer than they said, and the next has it when
// the first lets go.
func TestOneHasTheLock(t *testing.T) {
	dir := t.TempDir()
	open := func() *os.File {
		f, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	first, second := open(), open()
	if err := Lock(first, 0); err != nil {
		t.Fatal(err)
	}
	if err := Lock(second, 20*time.Millisecond); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Fatalf("the second one: %v", err)
	}
	if _, err := second.Stat(); err == nil {
		t.Error("it is still open")
	}
	first.Close()
	if err := Lock(open(), time.Minute); err != nil {
		t.Fatalf("when the first has let go: %v", err)
	}
}

package spool

import (
	"context"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// P14: a check reads what a power cut would leave, not what the kernel remembers.
// The pages of an object that was just stored are in memory; of one that is about
// to be checked none is.
func TestChecksAskTheDisk(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), BallastBytes: -1}
	s := open(t, cfg)
	o, _ := put(t, s, newSample(1), sample(1, 1<<20))
	name := filepath.Join(cfg.Dir, objectName(o.Seq))
	if pagesInMemory(t, name) == 0 {
		t.Skip("this file system remembers nothing, so there is nothing to forget")
	}
	askDisk(s.fs, o.Seq)
	if n := pagesInMemory(t, name); n > 0 {
		t.Errorf("%d pages are still remembered", n)
	}
	if err := s.Verify(context.Background(), o.ID); err != nil {
		t.Error(err)
	}
}

// pagesInMemory counts the pages of a file that are in memory, mincore(2).
func pagesInMemory(t *testing.T, name string) (n int) {
	t.Helper()
	fd, err := unix.Open(name, unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	const size = 1 << 20
	m, err := unix.Mmap(fd, 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(m)
	in := make([]byte, size/unix.Getpagesize())
	if _, _, e := syscall.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&m[0])), size, uintptr(unsafe.Pointer(&in[0]))); e != 0 {
		t.Fatal(e)
	}
	for _, b := range in {
		n += int(b & 1)
	}
	return n
}

// droppingFS counts which objects the kernel was told to forget.
type droppingFS struct {
	*memFS
	dropped map[string]int
}

type droppingFile struct {
	File
	drop func()
}

func (f droppingFile) DropCache() { f.drop() }

func (d droppingFS) Open(name string) (File, error) {
	f, err := d.memFS.Open(name)
	return droppingFile{f, func() { d.dropped[name]++ }}, err
}

func TestVerifyForgetsFirst(t *testing.T) {
	fs := droppingFS{newMemFS(), map[string]int{}}
	s := open(t, memConfig(fs))
	o, _ := put(t, s, newSample(1), sample(1, 1000))
	if err := s.Verify(context.Background(), o.ID); err != nil || fs.dropped[objectName(o.Seq)] != 1 {
		t.Fatalf("%v, %v", fs.dropped, err)
	}
	scrub := scrubber{s: s, rate: 1 << 30, buf: make([]byte, scrubStep)}
	if !scrub.pass(context.Background()) || fs.dropped[objectName(o.Seq)] != 2 {
		t.Fatalf("%v after a pass", fs.dropped)
	}
}

package objects_test

import (
	"encoding/binary"
	"errors"
	"os"
	"syscall"
	"testing"

	"edged/hub/objects"
	"edged/internal/dicom"
)

// withoutDescriptors runs f in a process that may open nothing.
func withoutDescriptors(t *testing.T, f func()) {
	t.Helper()
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	few := old
	few.Cur = 3
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}

// P7: a process that has too much open is busy, whatever it was about to do, loses nothing
// that it has received, and the store has not failed.
func TestWithoutDescriptorsNothingThatWasReceivedIsLost(t *testing.T) {
	onBoth(t, withoutDescriptorsNothingIsLost)
}

func withoutDescriptorsNothingIsLost(t *testing.T) {
	data := bytesOf(1, 1<<20)
	half := data[:1<<19]
	dir := t.TempDir()
	s := open(t, dir, 0)
	c := claim(t, s, "a", data)
	write(t, c, half)
	c.Release() // the line was cut

	c = claim(t, s, "a", data)
	withoutDescriptors(t, func() { busy(t, "write", second(c.Write(data[len(half):]))) })
	kept(t, s, data, len(half))

	s.Close()
	s = open(t, dir, 0)
	withoutDescriptors(t, func() {
		_, err := s.Claim("a", idOf(names, data), names, int64(len(data)))
		busy(t, "claim after a restart", err)
	})
	kept(t, s, data, len(half))

	c = claim(t, s, "a", data)
	write(t, c, data[len(half):])
	withoutDescriptors(t, func() { busy(t, "seal of what is open", s.Seal([]*objects.Partial{c})[0]) })
	c = kept(t, s, data, len(data))
	withoutDescriptors(t, func() { busy(t, "seal of what is closed", s.Seal([]*objects.Partial{c})[0]) })
	if err := seal(s, kept(t, s, data, len(data))); err != nil {
		t.Fatal(err)
	}
	check(t, s, names, data)
}

func second[T any](_ T, err error) error { return err }

func busy(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, objects.ErrFull) || errors.Is(err, objects.ErrTooBig) {
		t.Errorf("%s: %v, want ErrFull", what, err)
	}
}

func kept(t *testing.T, s *objects.Store, data []byte, n int) *objects.Partial {
	t.Helper()
	if err := s.Failed(); err != nil {
		t.Fatal(err)
	}
	c := claim(t, s, "a", data)
	if c.Offset() != int64(n) {
		t.Fatalf("%d of %d bytes are left", c.Offset(), n)
	}
	return c
}

func openFiles(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// P9: who begins many objects holds few descriptors, and each object is whole nevertheless.
func TestObjectsThatWereBegunShareFewOpenFiles(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	const most, many = 16, 200
	s.OpenAtMost(most)
	before := openFiles(t)
	var list []*objects.Partial
	for n := range many {
		list = append(list, claim(t, s, "a", bytesOf(byte(n), 1000)))
	}
	for _, part := range [][2]int{{0, 1}, {1, 500}, {500, 1000}} {
		for n, c := range list {
			write(t, c, bytesOf(byte(n), 1000)[part[0]:part[1]])
		}
		if more := openFiles(t) - before; more > most+4 {
			t.Fatalf("%d objects hold %d descriptors", many, more)
		}
	}
	if err := seal(s, list...); err != nil {
		t.Fatal(err)
	}
	for n := range many {
		check(t, s, names, bytesOf(byte(n), 1000))
	}
}

// P8: what came to the disk otherwise than it was received, while its file was closed, is
// found before the seal.
func TestWhatWasClosedIsReadAgainBeforeTheSeal(t *testing.T) {
	dir := t.TempDir()
	s, err := objects.Open(objects.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.OpenAtMost(1)
	data, other := bytesOf(1, 1000), bytesOf(2, 1000)
	c := claim(t, s, "a", data)
	write(t, c, data[:500])
	path := files(t, dir+"/partial")[0]
	write(t, claim(t, s, "a", other), other) // closes the first
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{data[99] ^ 1}, int64(len(dicom.Preface(names)))+99); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, c, data[500:])
	if err := seal(s, c); !errors.Is(err, objects.ErrDigest) {
		t.Errorf("sealed: %v", err)
	}
}

// P9: partial objects are bounded in number, too: offer, one byte, withdraw, again. The
// longest unused go, of this appliance and no other; what somebody is at stays.
func TestIdlePartialObjectsAreBoundedInNumber(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	const most = 50
	s.IdleAtMost(most)
	begin := func(device string, n int) *objects.Partial {
		var id dicom.ID
		binary.BigEndian.PutUint64(id[:], uint64(n))
		c, err := s.Claim(device, id, names, 100<<20)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	other, held := begin("other", 0), begin("a", 1_000_000)
	write(t, other, []byte{1})
	write(t, held, []byte{1})
	other.Release()
	for n := range 10 * most {
		c := begin("a", n)
		write(t, c, []byte{1})
		c.Release()
	}
	if n := len(files(t, dir+"/partial")); n != most+2 {
		t.Errorf("%d files of %d idle partial objects, one of another appliance, one that is being sent", n, most)
	}
	for _, c := range []*objects.Partial{begin("a", 10*most-1), begin("a", 9*most), begin("other", 0)} {
		if c.Offset() != 1 {
			t.Error("a younger one went, or another appliance's")
		}
	}
	if begin("a", 9*most-1).Offset() != 0 {
		t.Error("the longest unused stayed")
	}
	write(t, held, []byte{2})
}

package durable

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestWriteFileReplacesWholeAndLeavesNothingBeside(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "key")
	for _, want := range [][]byte{[]byte("first"), {}, bytes.Repeat([]byte("second"), 1000)} {
		if err := WriteFile(name, want, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("read back %d bytes, %v; want %d", len(got), err, len(want))
		}
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v; want 0600", info.Mode(), err)
	}
	if names, _ := os.ReadDir(dir); len(names) != 1 {
		t.Fatalf("%d files in the directory, want 1", len(names))
	}
}

func TestWriteFileThatFailsLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "key")
	if err := os.Mkdir(name, 0o700); err != nil { // a directory stands where the file should go
		t.Fatal(err)
	}
	if err := WriteFile(name, []byte("x"), 0o600); err == nil {
		t.Fatal("no error although a directory is in the way")
	}
	if names, _ := os.ReadDir(dir); len(names) != 1 {
		t.Fatalf("%d names in the directory, want 1: the temporary file must go", len(names))
	}
}

// A file that has grown beyond what it may hold is an error, and what it may hold is read
// whole: a key or a list that was cut would be taken for a good one.
func TestReadFileTakesAllOrNothing(t *testing.T) {
	name := filepath.Join(t.TempDir(), "state")
	if _, err := ReadFile(name, 8); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("not there: %v", err)
	}
	for size, fits := range map[int]bool{0: true, 7: true, 8: true, 9: false, 1 << 20: false} {
		want := bytes.Repeat([]byte("x"), size)
		if err := os.WriteFile(name, want, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadFile(name, 8)
		if fits && (err != nil || !bytes.Equal(got, want)) || !fits && (err == nil || got != nil) {
			t.Errorf("%d bytes of at most 8: %q, %v", size, got, err)
		}
	}
	if _, err := ReadFile(filepath.Dir(name), 8); err == nil {
		t.Error("a folder was read")
	}
}

// What does not end is not waited for: a file may have become anything.
func TestReadFileEndsWhereTheFileDoesNot(t *testing.T) {
	if _, err := ReadFile("/dev/zero", 1<<10); err == nil {
		t.Error("no error")
	}
}

func TestMkdirAndRemoveMayBeRepeated(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x", "y", "z")
	for range 2 {
		if err := Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := Remove(filepath.Join(dir, "absent")); err != nil {
			t.Fatal(err)
		}
	}
	if err := Remove(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Fatalf("stat after Remove: %v", err)
	}
}

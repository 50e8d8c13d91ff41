package durable

import (
	"bytes"
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

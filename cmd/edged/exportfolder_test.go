package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	theCopy = bytes.Repeat([]byte("the only copy"), 1000)
	theRow  = objectRow{ID: strings.Repeat("ab", 32), Seq: 1}
)

const keepIn = "EDGED_TEST_KEEP_IN"

// TestKeepAsAProcess is the other half of TestACopyWhoseNameIsNotDurableGoesAgain.
func TestKeepAsAProcess(t *testing.T) {
	dir := os.Getenv(keepIn)
	if dir == "" {
		t.Skip("started by another test")
	}
	e := &exporter{in: one{theCopy}, dir: dir, prove: true}
	_, err := e.keep(t.Context(), theRow)
	ok(t, err)
}

// P8: where the sync of the folder fails, the names go again. If they stayed, the
// same command would find them, the kernel would call them durable, and the object
// would be discarded. strace fails the syncs of the folder.
func TestACopyWhoseNameIsNotDurableGoesAgain(t *testing.T) {
	needs(t, "strace")
	dir := filepath.Join(t.TempDir(), "stick")
	ok(t, os.Mkdir(dir, 0o700))
	self, err := os.Executable()
	ok(t, err)
	cmd := exec.CommandContext(t.Context(), "strace", "-f", "-qq", "-P", dir, "-e", "trace=fsync", "-e", "inject=fsync:error=EIO",
		self, "-test.run=^TestKeepAsAProcess$", "-test.v")
	cmd.Env = append(os.Environ(), keepIn+"="+dir)
	out, err := cmd.CombinedOutput()
	if !strings.Contains(string(out), "INJECTED") {
		t.Skipf("strace may not fail system calls here: %v\n%s", err, out)
	}
	if err == nil || !strings.Contains(string(out), "sync directory") {
		t.Errorf("the sync failed and the object may be discarded: %v\n%s", err, out)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind for the next export to believe: %v", left)
	}
}

// P8: a copy that an earlier export left is given its name anew, so that the sync
// of the folder has something to write, and whoever said before that it failed is
// not believed to have been wrong.
func TestACopyThatWasThereIsNamedAnew(t *testing.T) {
	dir := t.TempDir()
	e := &exporter{in: one{theCopy}, dir: dir, prove: true}
	x, err := e.keep(t.Context(), theRow)
	ok(t, err)
	long := time.Now().Add(-time.Hour)
	ok(t, os.Chtimes(dir, long, long))
	again, err := e.keep(t.Context(), theRow)
	ok(t, err)
	if again.made || again.sha256 != x.sha256 {
		t.Errorf("again %+v", again)
	}
	if info, err := os.Stat(dir); err != nil || info.ModTime().Equal(long) {
		t.Errorf("nothing in the folder was written again: its sync proves nothing (%v)", err)
	}
	if names, _ := os.ReadDir(dir); len(names) != 2 {
		t.Errorf("in the folder: %v", names)
	}
}

// A stick may have been elsewhere before: an export never writes through a link, and
// takes none for a copy.
func TestExportFollowsNoLink(t *testing.T) {
	stick, victim := t.TempDir(), filepath.Join(t.TempDir(), "spool.key")
	ok(t, os.WriteFile(victim, []byte("a copy of the key"), 0o600))
	for _, name := range []string{"RECEIPT.txt.part", "receipts.json.part", theRow.ID + ".dcm.part", theRow.ID + ".json.part"} {
		ok(t, os.Symlink(victim, filepath.Join(stick, name)))
	}
	e := &exporter{in: one{theCopy}, dir: stick, prove: true}
	ok(t, e.summary(nil))
	_, err := e.keep(t.Context(), theRow)
	ok(t, err)
	if got, _ := os.ReadFile(victim); string(got) != "a copy of the key" {
		t.Errorf("a file outside the folder is now %.20q", got)
	}

	// A link that leads to the same bytes does not go with the stick.
	other := t.TempDir()
	ok(t, os.Symlink(filepath.Join(stick, theRow.ID+".dcm"), filepath.Join(other, theRow.ID+".dcm")))
	e.dir = other
	if x, err := e.keep(t.Context(), theRow); !errors.Is(err, errOtherFile) {
		t.Errorf("a link was taken for a copy: %+v, %v", x, err)
	}
}

// A folder that could not be made durable is not left for the next export to find.
func TestAFolderThatCannotBeMadeLeavesNoParents(t *testing.T) {
	dir := t.TempDir()
	ok(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	if err := makeFolder(filepath.Join(dir, "file", "a", "b")); err == nil {
		t.Error("a folder was made below a file")
	}
	ok(t, makeFolder(filepath.Join(dir, "a", "b")))
	long := strings.Repeat("x", 300) // beyond NAME_MAX
	if err := makeFolder(filepath.Join(dir, "c", "d", long)); err == nil {
		t.Error("a name of 300 bytes was made")
	}
	if _, err := os.Stat(filepath.Join(dir, "c")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its parents stayed: %v", err)
	}
}

// P2: the copies of what is discarded are the only ones. They do not go where a
// power cut loses them.
func TestDiscardRefusesAFolderThatMayForget(t *testing.T) {
	var shm fs.FileInfo
	if shm, _ = os.Stat("/dev/shm"); shm == nil {
		t.Skip("there is no /dev/shm")
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "edged.yaml")
	c := &discardCmd{configFlag{config}, "why", "/dev/shm/edged-test-never-made", []string{"seq:1"}}
	for _, unsafe := range []string{"false", "true"} {
		ok(t, os.WriteFile(config, []byte("data_dir: "+dir+"\nspool: {allow_unsafe_filesystem: "+unsafe+"}\n"), 0o600))
		err := c.check()
		if refused := err != nil && strings.Contains(err.Error(), "tmpfs"); refused != (unsafe == "false") {
			t.Errorf("allow_unsafe_filesystem: %s: %v", unsafe, err)
		}
	}
}

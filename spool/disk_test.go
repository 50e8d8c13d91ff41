package spool

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// mountImage makes a file system of its own on a loop device.
func mountImage(t *testing.T, size string, mkfs ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a file system of its own")
	}
	if _, err := exec.LookPath(mkfs[0]); err != nil {
		t.Skip("needs " + mkfs[0])
	}
	dir := t.TempDir()
	image, point := filepath.Join(dir, "image"), filepath.Join(dir, "mnt")
	run := func(args ...string) error {
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			t.Logf("%v: %s", args, out)
		}
		return err
	}
	if err := errors.Join(run("truncate", "-s", size, image), run(append(mkfs, image)...), os.Mkdir(point, 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := run("mount", "-o", "loop", image, point); err != nil {
		t.Skip("cannot mount a loop device here")
	}
	t.Cleanup(func() {
		if err := run("umount", point); err != nil {
			t.Errorf("umount: %v", err)
		}
	})
	return point
}

// P7 on a real file system: filled to the last byte, everything acknowledged is
// untouched, partial data is gone, receipts and deletes still work, and when
// space is back the spool takes objects again, without a restart.
func TestRealDiskFull(t *testing.T) {
	for _, fs := range []struct {
		name, size string
		mkfs       []string
	}{{"ext4", "40M", []string{"mkfs.ext4", "-q", "-m", "0"}}, {"xfs", "320M", []string{"mkfs.xfs", "-q"}}} {
		t.Run(fs.name, func(t *testing.T) { realDiskFull(t, mountImage(t, fs.size, fs.mkfs...)) })
	}
}

func realDiskFull(t *testing.T, point string) {
	ctx := context.Background()
	// No reserve: the write itself must hit ENOSPC. Not AllowUnsafeFilesystem:
	// this is a file system with a journal.
	s, err := Open(ctx, Config{Dir: filepath.Join(point, "spool"), ReserveBytes: -1, BallastBytes: 1 << 20, RetainArchived: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var kept []Object
	const size = 1_500_000
	for n := 0; n < 1000; n++ {
		o, _, err := tryPut(s, newSample(n), sample(n, size))
		if errors.Is(err, ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, o)
	}
	fillRest(t, filepath.Join(point, "filler"))
	if _, _, err := tryPut(s, newSample(5000), sample(5000, size)); !errors.Is(err, ErrFull) {
		t.Fatalf("on a full disk: %v, want ErrFull", err)
	}
	if names, err := s.fs.ReadDir(tmpDir); err != nil || len(names) != 0 {
		t.Fatalf("partial data left: %v %v", names, err)
	}
	for n, o := range kept {
		wantContent(t, s, o.ID, sample(n, size))
	}
	for _, o := range kept[:len(kept)/2] {
		if err := s.archivedOutright(ctx, receipt(o)); err != nil {
			t.Fatalf("receipt at zero bytes free: %v", err)
		}
	}
	if err := s.Sweep(ctx); err != nil {
		t.Fatalf("forgetting at zero bytes free: %v", err)
	}
	put(t, s, newSample(5000), sample(5000, size))
	if err := s.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	for n, o := range kept[len(kept)/2:] {
		wantContent(t, s, o.ID, sample(len(kept)/2+n, size))
	}
	t.Logf("%d objects until the disk was full, ballast back: %v", len(kept), s.Stats().Ballast)
}

// fillRest takes every byte that is left.
func fillRest(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Log("nothing left to fill:", err)
		return
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		t.Log("sync of the filler:", err)
	}
}

// D-S9: where a power cut loses data, a spool does not start unless told that
// losing data is fine.
func TestUnsafeFileSystemIsRefused(t *testing.T) {
	const tmpfs = 0x01021994 // statfs(2)
	var st syscall.Statfs_t
	if err := syscall.Statfs("/dev/shm", &st); err != nil || st.Type != tmpfs {
		t.Skip("no tmpfs at /dev/shm")
	}
	dir, err := os.MkdirTemp("/dev/shm", "spool")
	if err != nil {
		t.Skip("cannot write to /dev/shm")
	}
	defer os.RemoveAll(dir)
	if _, err := Open(context.Background(), Config{Dir: dir}); !errors.Is(err, ErrUnsafe) {
		t.Fatalf("on tmpfs: %v, want ErrUnsafe", err)
	}
	s, err := Open(context.Background(), Config{Dir: dir, AllowUnsafeFilesystem: true, BallastBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	for _, fs := range []struct {
		name string
		mkfs []string
		want error
	}{
		{"ext4", []string{"mkfs.ext4", "-q"}, nil},
		{"ext4 without a journal", []string{"mkfs.ext4", "-q", "-O", "^has_journal"}, ErrUnsafe},
		{"xfs", []string{"mkfs.xfs", "-q"}, nil},
	} {
		t.Run(fs.name, func(t *testing.T) {
			if err := CheckFilesystem(mountImage(t, "320M", fs.mkfs...)); !errors.Is(err, fs.want) {
				t.Fatalf("%v, want %v", err, fs.want)
			}
		})
	}
}

// After an update was undone, files of the later version are not touched: the
// older program says so and does not start.
func TestFilesOfALaterVersionAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	cfg := Config{Dir: dir, BallastBytes: -1}
	s := open(t, cfg)
	o, _ := put(t, s, newSample(1), sample(1, 100))
	s.Close()
	name := filepath.Join(dir, objectName(o.Seq))
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	later := append([]byte(nil), b...)
	later[9] = containerVersion + 1
	binary.BigEndian.PutUint32(later[60:], checksum(later[:60]))
	if err := os.WriteFile(name, later, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.AllowUnsafeFilesystem = true
	if _, err := Open(context.Background(), cfg); !errors.Is(err, errLater) {
		t.Fatalf("container of a later version: %v", err)
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, later) {
		t.Fatalf("it was touched: %v", err)
	}
}

// SPOOL-6, 16: what is in the object folders and is no whole object goes to
// quarantine, is told, and is neither offered nor deleted; strangers are left alone.
// What is whole under a number that is not its own goes back to that one.
func TestWhatIsNotWholeGoesToQuarantine(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	var objects []Object
	for n := range 3 {
		o, _ := put(t, s, newSample(n), sample(n, 5000))
		objects = append(objects, o)
	}
	s.Close()
	torn, swapped := objects[0], objects[1]
	if err := errors.Join(
		os.Truncate(filepath.Join(dir, objectName(torn.Seq)), 3000),
		os.Rename(filepath.Join(dir, objectName(swapped.Seq)), filepath.Join(dir, objectName(77))),
		os.WriteFile(filepath.Join(dir, objectsDir, "stranger"), []byte("x"), 0o600),
		os.WriteFile(filepath.Join(dir, shardName(1), "stranger"), []byte("x"), 0o600),
		os.WriteFile(filepath.Join(dir, tmpDir, "partial"), []byte("x"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	s = open(t, Config{Dir: dir})
	rep := s.Recovery()
	if len(rep.Quarantined) != 2 || rep.Returned != 1 || rep.Objects != 2 || rep.Partial != 1 || s.Counters()[CountQuarantined] != 1 || s.Counters()[CountReceived] != 3 {
		t.Fatalf("%+v %v", rep, s.Counters())
	}
	for _, name := range append(rep.Quarantined[:1], "../"+objectsDir+"/stranger", "../"+shardName(1)+"/stranger") {
		if _, err := os.Stat(filepath.Join(dir, quarantineDir, name)); err != nil {
			t.Fatal(err)
		}
	}
	wantContent(t, s, objects[2].ID, sample(2, 5000))
	wantContent(t, s, swapped.ID, sample(1, 5000)) // only its name was wrong
	if o, _ := put(t, s, newSample(0), sample(0, 5000)); o.Seq <= 77 {
		t.Fatalf("sequence number %d was given away again", o.Seq)
	}
}

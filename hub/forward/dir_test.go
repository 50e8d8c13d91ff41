package forward

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"edged/hub"
	"edged/hub/objects"
	"edged/internal/dicom"
)

func newDir(t *testing.T, path string) *Dir {
	t.Helper()
	return NewDir(DirConfig{Name: "vna", Path: path, Create: true})
}

func TestDirHoldsEachObjectOnceWithTheBytesThatCame(t *testing.T) {
	b := newBench(t, "vna")
	b.receive(small()...)
	path := filepath.Join(t.TempDir(), "deep", "archive")
	b.run(b.archived(len(b.data)), newDir(t, path))
	for id, data := range b.data {
		b.sameDataSet(filepath.Join(path, b.study[id], id.String()+".dcm"), data)
	}
	if n := files(t, path); n != len(b.data) {
		t.Errorf("%d files, want %d", n, len(b.data))
	}
}

func files(t *testing.T, path string) (n int) {
	t.Helper()
	err := filepath.WalkDir(path, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The archive has the file, and the hub died before it could write that down.
func TestDirRecognisesItsOwnFile(t *testing.T) {
	b := newBench(t, "vna", "again")
	b.receive(small()[:2]...)
	path := t.TempDir()
	other := newDir(t, path)
	other.c.Name = "again" // the same directory, delivered to again
	b.run(b.archived(2), newDir(t, path), other)
	if n := files(t, path); n != 2 {
		t.Errorf("%d files", n)
	}
}

func TestDirNeverOverwritesOtherBytes(t *testing.T) {
	b := newBench(t, "vna")
	b.receive(small()[:1]...)
	path := t.TempDir()
	var target string
	for id := range b.data {
		target = filepath.Join(path, b.study[id], id.String()+".dcm")
	}
	if err := errors.Join(os.Mkdir(filepath.Dir(target), 0o755), os.WriteFile(target, []byte("precious"), 0o644)); err != nil {
		t.Fatal(err)
	}
	b.run(func() bool { return b.stats().Backlog["vna"].Quarantined == 1 }, newDir(t, path))
	if got, err := os.ReadFile(target); err != nil || string(got) != "precious" {
		t.Errorf("got %q, %v", got, err)
	}
	troubles, err := b.ledger.Troubles(t.Context(), "d", 0, 9)
	if err != nil || len(troubles) != 1 || !troubles[0].Permanent || !strings.Contains(troubles[0].Words, "other bytes are there") {
		t.Errorf("troubles %+v %v", troubles, err)
	}
}

// P6: one study cannot be written; the other studies are.
func TestOneStudysDirectoryBlocksNoOther(t *testing.T) {
	b := newBench(t, "vna")
	b.receive(small()...)
	path, bad, hit := t.TempDir(), "", int64(0)
	for _, bad = range b.study {
		break
	}
	for _, study := range b.study {
		if study == bad {
			hit++
		}
	}
	if err := os.WriteFile(filepath.Join(path, bad), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	f := b.run(b.archived(len(b.data)-int(hit)), newDir(t, path))
	if s := b.stats().Backlog["vna"]; s.Objects != hit || s.Quarantined != 0 || f.Status()[0].Error != "" {
		t.Errorf("%+v %+v", s, f.Status())
	}
}

// P8: after a failed flush nothing is done any more, and nothing is judged.
func TestFailedFlushEndsTheDir(t *testing.T) {
	b := newBench(t, "vna")
	b.receive(small()...)
	d := newDir(t, t.TempDir())
	var f *Forwarder
	if err := d.flushed(nil); err != nil {
		t.Fatal(err)
	}
	if err := d.flushed(&fs.PathError{Op: "sync", Path: "1.2.3", Err: syscall.EIO}); !errors.Is(err, syscall.EIO) || strings.Contains(err.Error(), "1.2.3") {
		t.Errorf("got %v", err)
	}
	tries := 0
	f = b.run(func() bool { tries++; return tries > 20 }, d)
	if s := b.stats(); s.Archived != 0 || s.Backlog["vna"].Quarantined != 0 || !strings.Contains(f.Status()[0].Error, "start hubd again") {
		t.Errorf("%+v %+v", s, f.Status())
	}
}

func TestDirSweepsWhatACrashLeftHalfWritten(t *testing.T) {
	path := t.TempDir()
	half := filepath.Join(path, incoming, "half")
	if err := errors.Join(os.Mkdir(filepath.Dir(half), 0o700), os.WriteFile(half, []byte("half"), 0o600)); err != nil {
		t.Fatal(err)
	}
	newDir(t, path)
	if n := files(t, path); n != 0 {
		t.Errorf("%d files", n)
	}
}

// P14: the bytes on the hub's disk have changed since they were received.
func TestDamagedCopyIsNeverDelivered(t *testing.T) {
	b := newBench(t, "vna")
	b.receive(small()[:3]...)
	var victim hub.ID
	for victim = range b.data {
		break
	}
	damage(t, filepath.Join(b.dir, "objects"), victim)
	path := t.TempDir()
	b.run(func() bool { s := b.stats(); return s.Archived == 2 && s.Backlog["vna"].Quarantined == 1 }, newDir(t, path))
	if n := files(t, path); n != 2 {
		t.Errorf("%d files", n)
	}
}

// damage flips one bit in the last byte of an object's file.
func damage(t *testing.T, dir string, id hub.ID) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !strings.Contains(path, id.String()) || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		data[len(data)-1] ^= 1
		return os.WriteFile(path, data, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestStudyNamesStayInsideTheArchive(t *testing.T) {
	for uid, safe := range map[string]bool{
		"1.2.840.113619": true, "1": true,
		"": false, ".": false, "..": false, "1..2": false, "../../etc": false, "/etc": false, "a": false,
		"1.2\x00": false, incoming: false, strings.Repeat("1", 65): false, "CON": false,
	} {
		name := studyName(uid)
		if safe != (name == uid) || strings.ContainsAny(name, "/\\\x00") || name == "." || name == ".." || name == incoming {
			t.Errorf("%q: %q", uid, name)
		}
	}
}

func TestHostileStudyAndUIDArriveAllTheSame(t *testing.T) {
	b := newBench(t, "vna")
	n := dicom.Names{TransferSyntax: "1.2.840.10008.1.2", SOPClass: "1.2.3", SOPInstance: "../../etc/passwd"}
	id := b.receiveBytes(hub.Object{Names: n, Length: 4, Study: "../../../../tmp/evil", Device: "d"}, []byte("\x08\x00\x00\x00"))
	path := t.TempDir()
	b.run(b.archived(1), newDir(t, path))
	b.sameDataSet(filepath.Join(path, studyName("../../../../tmp/evil"), id.String()+".dcm"), b.data[id])
}

var _ Object = (*objects.Object)(nil)

package spool

import (
	"path"
	"strings"
	"syscall"
	"testing"
)

// unreadFS cannot read one file, wherever it lies.
type unreadFS struct {
	*memFS
	name string
}

type unreadFile struct{ File }

func (f unreadFS) Open(name string) (File, error) {
	file, err := f.memFS.Open(name)
	if err == nil && strings.HasSuffix(name, path.Base(f.name)) {
		return unreadFile{file}, nil
	}
	return file, err
}

func (unreadFile) ReadAt([]byte, int64) (int, error) { return 0, syscall.EIO }

// P14: what a start after an unclean end cannot read is a bad disk. It may have
// been acknowledged, so it is no unfinished file that alarms nobody.
func TestAFileThatCannotBeReadAlarms(t *testing.T) {
	fs := newMemFS()
	s := open(t, memConfig(fs))
	o, _ := put(t, s, routineSample(1), sample(1, 100))
	s = open(t, memConfig(unreadFS{fs.kill(), objectName(o.Seq)}))
	if st := s.Stats(); st.SetAside != 1 || st.Unfinished != 0 {
		t.Fatalf("%d set aside, %d unfinished; want an alarm", st.SetAside, st.Unfinished)
	}
}

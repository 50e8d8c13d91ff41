package forward

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"edged/hub"
	"edged/internal/dicom"
)

// receiveStudies receives n objects in each of some studies.
func (b *bench) receiveStudies(studies, n int) {
	b.Helper()
	for i := range studies * n {
		names := dicom.Names{TransferSyntax: "1.2.840.10008.1.2", SOPClass: ctClass, SOPInstance: fmt.Sprintf("2.25.6%05d", i)}
		b.receiveBytes(hub.Object{Names: names, Length: 200, Study: fmt.Sprintf("2.25.77%d", i%studies), Device: "d"}, make([]byte, 200))
	}
}

// A batch is flushed together: each file, then the names, then each study's directory
// once and the one above once, and only then anything is reported.
func TestABatchFlushesEachDirectoryOnce(t *testing.T) {
	b := newBench(t, "vna")
	b.receiveStudies(2, batchSize/2)
	d := newDir(t, t.TempDir())
	var mu sync.Mutex
	var steps []string
	d.step = func(step string) {
		mu.Lock()
		defer mu.Unlock()
		steps = append(steps, step)
	}
	got, err := b.turn(d)
	want := slices.Concat(slices.Repeat([]string{"file"}, batchSize), slices.Repeat([]string{"name"}, batchSize), slices.Repeat([]string{"directory"}, 3))
	if err != nil || len(got) != batchSize || !slices.Equal(steps, want) {
		t.Errorf("%v, %d outcomes, %q", err, len(got), steps)
	}
	steps = nil
	if _, err := b.turn(d); err != nil || strings.Join(steps, " ") != "directory directory" {
		t.Errorf("again, when it has them: %v, %q", err, steps)
	}
}

// The disk goes, or a flush fails, in the middle of a batch: nothing of it counts.
func TestNothingOfABatchCountsThatWasCut(t *testing.T) {
	for name, harm := range map[string]func(*Dir) error{
		"its mount point is empty": func(d *Dir) error {
			return errors.Join(os.Rename(d.c.Path, d.c.Path+".gone"), os.Mkdir(d.c.Path, 0o755))
		},
		"a flush fails": func(d *Dir) error { d.flushed(syscall.EIO); return nil },
	} {
		for _, at := range []string{"file", "name", "directory"} {
			t.Run(name+" at a "+at, func(t *testing.T) {
				b := newBench(t, "vna")
				b.receiveStudies(2, 4)
				d := newDir(t, t.TempDir()+"/archive")
				var once sync.Once
				d.step = func(step string) {
					if step == at {
						once.Do(func() {
							if err := harm(d); err != nil {
								t.Error(err)
							}
						})
					}
				}
				if got, err := b.turn(d); err == nil || len(got) != 0 {
					t.Errorf("%v, outcomes %v", err, got)
				}
			})
		}
	}
}

// P6: one object's copy is damaged, and one study cannot be written: the rest of the
// batch is there.
func TestWhatIsWrongWithOneOfABatchDelaysNoOther(t *testing.T) {
	b := newBench(t, "vna")
	b.receiveStudies(3, 4)
	path := t.TempDir()
	damage(t, b.dir+"/objects", b.first) // of study 0
	if err := os.WriteFile(path+"/2.25.771", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := b.turn(newDir(t, path))
	count := map[verdict]int{}
	for _, o := range got {
		count[o.verdict]++
	}
	if err != nil || count[done] != 7 || count[transient] != 4 || count[lost] != 1 || files(t, path) != 8 {
		t.Errorf("%v %v, %d files", err, count, files(t, path))
	}
}

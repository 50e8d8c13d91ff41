package synth

import (
	"bytes"
	"image/jpeg"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// tool skips the test when a program of DCMTK is missing.
func tool(t *testing.T, names ...string) {
	t.Helper()
	for _, n := range names {
		if _, err := exec.LookPath(n); err != nil {
			t.Skipf("%s is not installed (Debian package dcmtk)", n)
		}
	}
}

// dcmtk runs one program and fails the test when it fails or warns.
func dcmtk(t *testing.T, name string, args ...string) string {
	t.Helper()
	c := exec.Command(name, args...)
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil || bytes.Contains(errs.Bytes(), []byte("W:")) || bytes.Contains(errs.Bytes(), []byte("E:")) {
		t.Errorf("%s %s: %v\n%.2000s", name, strings.Join(args, " "), err, errs.Bytes())
	}
	return string(out)
}

func fileOf(t *testing.T, i Instance) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.Base(i.File))
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := i.WriteFile(f); err != nil {
		t.Fatal(err)
	}
	return path
}

// Another implementation reads every kind of object without a word of complaint,
// to the last attribute, and finds in it what its names say.
func TestDCMTKReadsEveryObject(t *testing.T) {
	tool(t, "dcmdump")
	all := append(instancesOf(t, 11, "small"), instancesOf(t, 11, "bench:2x64KiB")...)
	all = append(all, instancesOf(t, 11, "bench:1x40MiB")...)
	for _, i := range all {
		out := dcmtk(t, "dcmdump", "-Un", fileOf(t, i))
		for _, want := range []string{i.Names.SOPInstance, i.Names.SOPClass, i.Study, i.Series, "[PROVA^"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: dcmdump does not show %s", i.File, want)
			}
		}
	}
}

// pixels reads the pixel data of an uncompressed file with dcmdump.
func pixels(t *testing.T, path string) []byte {
	t.Helper()
	dir := t.TempDir()
	dcmtk(t, "dcmdump", "+W", dir, path)
	raw, err := filepath.Glob(filepath.Join(dir, "*.raw"))
	if err != nil || len(raw) != 1 {
		t.Fatalf("dcmdump wrote %d pixel files, want 1 (%v)", len(raw), err)
	}
	b, err := os.ReadFile(raw[0])
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What was compressed here, without loss, decompresses elsewhere to the pixels
// that were drawn; and big-endian pixels are the same pixels.
func TestDCMTKDecodesToTheSamePixels(t *testing.T) {
	tool(t, "dcmdump", "dcmdjpeg", "dcmdrle", "dcmconv")
	p := Profile{Kind: "small"}
	for _, c := range []struct {
		decoder string
		in      Instance
		want    *plane
	}{
		{"dcmdrle", mrStudy(3, p).Instances[2], seriesOf(3, "MR", 2).head(1, 2, 32)},
		{"dcmconv", mrStudy(3, p).Instances[0], seriesOf(3, "MR", 1).head(0, 1, 32)},
		{"dcmdjpeg", ctStudy(3, p).Instances[3], seriesOf(3, "CT", 2).chest(1, 2, 64)},
		{"dcmdjpeg", mgStudy(3, Demo).Instances[1], seriesOf(3, "MG", 1).breast("L", 1, 1914, 2294)},
	} {
		plain := filepath.Join(t.TempDir(), "plain.dcm")
		args := []string{fileOf(t, c.in), plain}
		if c.decoder == "dcmconv" {
			args = append([]string{"+te"}, args...)
		}
		dcmtk(t, c.decoder, args...)
		if got := pixels(t, plain); !bytes.Equal(got, syntaxOf(explicitLE).words(c.want.px)) {
			t.Errorf("%s by %s: %d bytes of other pixels", c.in.File, c.decoder, len(got))
		}
	}
}

// seriesOf is enough of a series to draw its images again.
func seriesOf(seed uint64, modality string, number int) series {
	return series{exam: &exam{seed: seed, modality: modality}, number: number}
}

// JPEG Baseline loses something, but not much: each frame is near what was drawn.
func TestClipIsNearTheDrawing(t *testing.T) {
	tool(t, "dcmdump", "dcmdjpeg")
	s, in := seriesOf(3, "US", 1), usStudy(3, Profile{Kind: "small"}).Instances[0]
	plain := filepath.Join(t.TempDir(), "plain.dcm")
	dcmtk(t, "dcmdjpeg", fileOf(t, in), plain)
	const w, h, frame = 80, 60, 80 * 60 * 3
	got := pixels(t, plain)
	if len(got) != 2*frame {
		t.Fatalf("%d bytes of pixels, want two frames: %d", len(got), 2*frame)
	}
	for i := range 2 {
		want := rgb(s.sector(i, w, h))
		off := 0
		for k, v := range want {
			off += max(int(v)-int(got[i*frame+k]), int(got[i*frame+k])-int(v))
		}
		if mean := off / frame; mean > 12 {
			t.Errorf("frame %d differs by %d a sample in the mean, want at most 12", i, mean)
		}
		if _, err := jpeg.Decode(bytes.NewReader(s.jpegFrame(i, w, h))); err != nil {
			t.Errorf("frame %d: %v", i, err)
		}
	}
}

// The reports are reports to somebody else's eyes.
func TestReportsReadWell(t *testing.T) {
	tool(t, "dsrdump")
	for k, want := range []string{"Diameter", "perch"} {
		i := srStudy(9, Small).Instances[k]
		if out := dcmtk(t, "dsrdump", fileOf(t, i)); !strings.Contains(out, want) {
			t.Errorf("report %s: dsrdump does not show %q:\n%s", strconv.Itoa(k), want, out)
		}
	}
}

// The validator of dicom3tools finds no error against the IODs of PS3.3. It
// cannot read the deflated transfer syntax.
func TestValidatorFindsNoError(t *testing.T) {
	if _, err := exec.LookPath("dciodvfy"); err != nil {
		t.Skip("dciodvfy is not installed (Debian package dicom3tools)")
	}
	all := append(instancesOf(t, 11, "small"), instancesOf(t, 11, "bench:1x64KiB")...)
	for _, i := range append(all, instancesOf(t, 11, "bench:1x33MiB")...) {
		if i.Names.TransferSyntax == deflatedLE {
			continue
		}
		out, err := exec.Command("dciodvfy", "-new", fileOf(t, i)).CombinedOutput()
		if err != nil || bytes.Contains(out, []byte("Error")) {
			t.Errorf("%s: %v\n%.2000s", i.File, err, out)
		}
	}
}

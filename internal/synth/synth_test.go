package synth

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"edged/internal/dicom"
)

// golden is the SHA-256 over all files of a profile with seed 1, in order. It
// changes only when somebody means it to: with the generator, or with a Go
// release that encodes JPEG Baseline or deflates differently (see doc.go).
var golden = map[string]string{
	"demo":           "80592c04ebf2856e688485cda7e398a90f61620dd03904db2f5144a88faa304b",
	"small":          "78b3ff2dad2c7df863f697c123921af01257c7b5e3e581d3bfd2afb3ce813886",
	"bench:3x512KiB": "27392142a4042f148a8efe47a0d55878c8681ecfa4bced6d9fe060c9993d9959",
	"bench:2x33MiB":  "4bfec0c7f71d7ec6127ce301100170e3a6a0198e6f6c08a38101b5b56a2669d3",
}

func TestSameSeedSameBytes(t *testing.T) {
	for name, want := range golden {
		if got := digest(t, 1, name); got != want {
			t.Errorf("%s: digest %s, want %s", name, got, want)
		}
	}
	if digest(t, 1, "small") == digest(t, 2, "small") {
		t.Error("two seeds give the same bytes")
	}
}

func digest(t *testing.T, seed uint64, profile string) string {
	t.Helper()
	h := sha256.New()
	for _, i := range instancesOf(t, seed, profile) {
		io.WriteString(h, i.File)
		if _, err := i.WriteFile(h); err != nil {
			t.Fatal(err)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

func instancesOf(t *testing.T, seed uint64, profile string) []Instance {
	t.Helper()
	p, err := ParseProfile(profile)
	if err != nil {
		t.Fatal(err)
	}
	return Instances(Studies(seed, p))
}

// The demonstration shows every modality and every way of encoding.
func TestDemoShowsEveryKind(t *testing.T) {
	all := instancesOf(t, 7, "demo")
	if len(all) < 215 {
		t.Errorf("%d instances, want at least 215", len(all))
	}
	modalities, syntaxes := map[string]int{}, map[string]int{}
	for _, i := range all {
		modalities[i.Modality]++
		syntaxes[i.Names.TransferSyntax]++
	}
	for _, m := range []string{"CT", "MR", "US", "MG", "SR"} {
		if modalities[m] == 0 {
			t.Errorf("no %s", m)
		}
	}
	for _, ts := range []string{implicitLE, explicitLE, explicitBE, deflatedLE, jpegBaseline, jpegLosslessSV1, rleLossless} {
		if syntaxes[ts] == 0 {
			t.Errorf("no instance in transfer syntax %s", ts)
		}
	}
}

// A repeated UID or file name would make two instances one, in a test that counts.
func TestNoUIDTwice(t *testing.T) {
	seen := map[string]bool{}
	for _, seed := range []uint64{1, 2} {
		for _, i := range append(instancesOf(t, seed, "demo"), instancesOf(t, seed, "bench:50x4KiB")...) {
			if seen[i.Names.SOPInstance] {
				t.Fatalf("SOP Instance UID of %s was there before", i.File)
			}
			seen[i.Names.SOPInstance] = true
			for _, u := range []string{i.Names.SOPInstance, i.Study, i.Series, i.Names.SOPClass, i.Names.TransferSyntax} {
				if !dicom.ValidUID(u) {
					t.Errorf("%s: %q is no UID", i.File, u)
				}
			}
		}
	}
}

// Open says the length before the bytes are read, starts anew each time, and the
// preface in front of it reads back.
func TestOpenKeepsItsWord(t *testing.T) {
	for _, i := range append(instancesOf(t, 3, "small"), instancesOf(t, 3, "bench:2x64KiB")...) {
		r, length := i.Open()
		first, err := io.ReadAll(r)
		if err != nil || int64(len(first)) != length || length%2 != 0 {
			t.Errorf("%s: %d bytes, %d announced, want the same even number (%v)", i.File, len(first), length, err)
		}
		var file bytes.Buffer
		if _, err := i.WriteFile(&file); err != nil {
			t.Fatal(err)
		}
		back := bufio.NewReader(&file)
		names, _, err := dicom.ReadPreface(back)
		if err != nil || names != i.Names {
			t.Errorf("%s: preface reads %v, want %v (%v)", i.File, names, i.Names, err)
		}
		if rest, _ := io.ReadAll(back); !bytes.Equal(rest, first) {
			t.Errorf("%s: opened twice, two contents", i.File)
		}
	}
}

// Every patient can be told from a person.
func TestPatientsAreInvented(t *testing.T) {
	for seed := range uint64(20) {
		for _, s := range Studies(seed, Demo) {
			if !strings.HasPrefix(s.Patient, "PROVA^") || !strings.HasPrefix(s.PatientID, "PROVA-") {
				t.Errorf("seed %d: patient %q, ID %q", seed, s.Patient, s.PatientID)
			}
		}
	}
}

// A benchmark object has the size that was asked for, to the byte, on both sides
// of every limit at which its shape changes.
func TestBenchSizeIsExact(t *testing.T) {
	for _, size := range []int64{MinSize, MinSize + 510, 64 << 10, 512 << 10, multiFrom - 2, multiFrom, multiFrom + 2, 40<<20 + 6} {
		i := Instances(Studies(5, Bench(1, size)))[0]
		r, length := i.Open()
		n, err := io.Copy(io.Discard, r)
		if n != size || length != size || err != nil {
			t.Errorf("size %d: got %d bytes, announced %d (%v)", size, n, length, err)
		}
	}
}

// An object larger than 4 GiB is a stream: the first bytes and the last cost no
// memory. Its random middle is checked with a smaller one of the same kind.
func TestLargeObjectIsNeverWholeInMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 4 GiB")
	}
	i := Instances(Studies(5, Bench(1, 4<<30+4096)))[0]
	if i.Names.TransferSyntax != encapsulatedRaw {
		t.Fatalf("transfer syntax %s: a native length has 32 bits", i.Names.TransferSyntax)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, length := i.Open()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, make([]byte, 1<<20))
	runtime.ReadMemStats(&after)
	if n != 4<<30+4096 || n != length || err != nil {
		t.Errorf("%d bytes, announced %d (%v)", n, length, err)
	}
	if total := after.TotalAlloc - before.TotalAlloc; total > 16<<20 {
		t.Errorf("allocated %d bytes in all, want at most 16 MiB", total)
	}
}

func TestParseProfile(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Profile
	}{
		{"demo", Demo}, {"small", Small}, {"ct", Profile{Kind: "ct"}},
		{"bench", Bench(300, 512<<10)}, {"bench:7", Bench(7, 512<<10)}, {"bench:2x4096", Bench(2, 4096)},
		{"bench:300x1MiB", Bench(300, 1<<20)}, {"large", Profile{"large", 1, 4 << 30}}, {"large:5GiB", Profile{"large", 1, 5 << 30}},
	} {
		if got, err := ParseProfile(c.in); got != c.want || err != nil {
			t.Errorf("%s: %v, %v, want %v", c.in, got, err, c.want)
		}
	}
	for _, bad := range []string{"", "xx", "demo:3", "bench:0", "bench:-1x4KiB", "bench:1x1", "bench:1x5furlong", "large:9999TiB", "bench:99999999999999999999"} {
		if got, err := ParseProfile(bad); err == nil {
			t.Errorf("%q: accepted as %v", bad, got)
		}
	}
}

// The guarded header reader of the product finds what is in every kind of object.
func TestHeadersAreReadable(t *testing.T) {
	for _, i := range append(instancesOf(t, 6, "small"), instancesOf(t, 6, "bench:1x64KiB")...) {
		r, _ := i.Open()
		window, err := io.ReadAll(io.LimitReader(r, dicom.HeaderWindow))
		if err != nil {
			t.Fatal(err)
		}
		h, err := dicom.ReadHeader(window, i.Names.TransferSyntax)
		if err != nil || h.Study != i.Study || h.Series != i.Series || h.Modality != i.Modality ||
			h.SOPInstance != i.Names.SOPInstance || h.SOPClass != i.Names.SOPClass {
			t.Errorf("%s: header %+v (%v)", i.File, h, err)
		}
	}
}

// An altered instance has the same names, other contents, and is as readable.
func TestAlteredKeepsNamesOnly(t *testing.T) {
	for _, i := range append(instancesOf(t, 6, "small"), instancesOf(t, 6, "bench:1x64KiB")...) {
		a := i.Altered("*")
		before, err1 := i.ID()
		after, err2 := a.ID()
		again, err3 := i.ID()
		if before == after || before != again || a.Names != i.Names || err1 != nil || err2 != nil || err3 != nil {
			t.Errorf("%s: ID %s, altered %s (%v, %v)", i.File, before, after, err1, err2)
		}
		if tool, err := exec.LookPath("dcmdump"); err == nil {
			if out, err := exec.Command(tool, "-q", fileOf(t, a)).CombinedOutput(); err != nil {
				t.Errorf("%s: altered: %v %.500s", i.File, err, out)
			}
		}
	}
}

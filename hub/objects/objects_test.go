package objects_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"edged/hub/objects"
	"edged/internal/dicom"
)

var names = dicom.Names{TransferSyntax: "1.2.840.10008.1.2.1", SOPClass: "1.2.840.10008.5.1.4.1.1.2", SOPInstance: "2.25.1"}

func idOf(n dicom.Names, data []byte) (id dicom.ID) {
	h := n.NewHash()
	h.Write(data)
	h.Sum(id[:0])
	return id
}

func bytesOf(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func open(t testing.TB, dir string, limit int64) *objects.Store {
	t.Helper()
	s, err := objects.Open(objects.Config{Dir: dir, MaxPartialBytes: limit, Bucket: bucketOf(t, dir)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func claim(t testing.TB, s *objects.Store, device string, data []byte) *objects.Partial {
	t.Helper()
	p, err := s.Claim(device, idOf(names, data), names, int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func write(t testing.TB, p *objects.Partial, b []byte) {
	t.Helper()
	if n, err := p.Write(b); n != len(b) || err != nil {
		t.Fatalf("wrote %d of %d: %v", n, len(b), err)
	}
}

// seal is Seal, and the rows are written at once.
func seal(s *objects.Store, ps ...*objects.Partial) error {
	errs := s.Seal(ps)
	for i, p := range ps {
		if errs[i] == nil {
			p.Recorded()
		}
	}
	return errors.Join(errs...)
}

func check(t testing.TB, s *objects.Store, n dicom.Names, data []byte) {
	t.Helper()
	o, err := s.Open(idOf(n, data))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	got, err := io.ReadAll(o.DataSet())
	if err != nil || !bytes.Equal(got, data) || o.Names() != n || o.Length() != int64(len(data)) {
		t.Fatalf("%d of %d bytes, names %+v, %v", len(got), len(data), o.Names(), err)
	}
	head := make([]byte, o.DataOffset())
	if _, err := o.ReadAt(head, 0); err != nil || !bytes.Equal(head, dicom.Preface(n)) {
		t.Fatalf("preface differs: %v", err)
	}
}

// files lists what is below dir, without directories.
func files(t testing.TB, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			list = append(list, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestWhatIsSealedIsWholeAndNamedByItsID(t *testing.T) {
	onBoth(t, whatIsSealedIsWholeAndNamedByItsID)
}

func whatIsSealedIsWholeAndNamedByItsID(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	var ps []*objects.Partial
	var all [][]byte
	for i, n := range []int{0, 1, 2, 100_000, 20 << 20} {
		data := bytesOf(byte(i), n)
		p := claim(t, s, "one", data)
		for rest := data; len(rest) > 0; rest = rest[min(len(rest), 70_000):] {
			write(t, p, rest[:min(len(rest), 70_000)])
		}
		if !p.Complete() {
			t.Fatal("not complete")
		}
		ps, all = append(ps, p), append(all, data)
	}
	if err := seal(s, ps...); err != nil {
		t.Fatal(err)
	}
	for _, data := range all {
		check(t, s, names, data)
	}
	nothingLeft(t, s, dir)
}

// nothingLeft says that appliance "one" has no partial object any more.
func nothingLeft(t *testing.T, s *objects.Store, dir string) {
	t.Helper()
	if left := files(t, filepath.Join(dir, "partial")); len(left) > 0 || s.PartialBytes("one") != 0 {
		t.Errorf("left: %v, %d bytes", left, s.PartialBytes("one"))
	}
}

func TestAPartialObjectSurvivesARestart(t *testing.T) { onBoth(t, aPartialObjectSurvivesARestart) }

func aPartialObjectSurvivesARestart(t *testing.T) {
	dir, data := t.TempDir(), bytesOf(1, 500_000)
	s := open(t, dir, 0)
	write(t, claim(t, s, "one", data), data[:123_456])
	s.Close()
	s = open(t, dir, 0)
	p := claim(t, s, "one", data)
	if p.Offset() != 123_456 {
		t.Fatalf("offset %d", p.Offset())
	}
	write(t, p, data[123_456:])
	if err := seal(s, p); err != nil {
		t.Fatal(err)
	}
	check(t, s, names, data)
}

// TestACompletePartialObjectIsSealedWithoutBytes: the hub ended between the
// last byte and the seal.
func TestACompletePartialObjectIsSealedWithoutBytes(t *testing.T) {
	onBoth(t, aCompletePartialObjectIsSealedWithoutBytes)
}

func aCompletePartialObjectIsSealedWithoutBytes(t *testing.T) {
	dir, data := t.TempDir(), bytesOf(1, 5000)
	s := open(t, dir, 0)
	write(t, claim(t, s, "one", data), data)
	s.Close()
	s = open(t, dir, 0)
	p := claim(t, s, "one", data)
	if !p.Complete() {
		t.Fatal("not complete")
	}
	if err := seal(s, p); err != nil {
		t.Fatal(err)
	}
	check(t, s, names, data)
}

// TestDamagedPartialObjects: what a power cut may have made of one is found by
// its preface, its length, or at last its digest; never sealed.
func TestDamagedPartialObjectsAreNeverSealed(t *testing.T) {
	onBoth(t, damagedPartialObjectsAreNeverSealed)
}

func damagedPartialObjectsAreNeverSealed(t *testing.T) {
	data := bytesOf(1, 5000)
	for name, damage := range map[string]struct {
		change func([]byte) []byte
		offset int64 // -1: found only at the seal
	}{
		"preface":      {func(b []byte) []byte { b[140] ^= 1; return b }, 0},
		"too long":     {func(b []byte) []byte { return append(b, make([]byte, 5000)...) }, 0},
		"too short":    {func(b []byte) []byte { return b[:50] }, 0},
		"a bit":        {func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, -1},
		"zeros behind": {func(b []byte) []byte { return append(b, make([]byte, 1000)...) }, -1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, 0)
			write(t, claim(t, s, "one", data), data[:3000])
			s.Close()
			file := files(t, filepath.Join(dir, "partial"))[0]
			b, _ := os.ReadFile(file)
			if err := os.WriteFile(file, damage.change(b), 0o600); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir, 0)
			p := claim(t, s, "one", data)
			if damage.offset >= 0 && p.Offset() != damage.offset {
				t.Fatalf("goes on at %d", p.Offset())
			}
			write(t, p, data[p.Offset():])
			if err := seal(s, p); damage.offset < 0 && !errors.Is(err, objects.ErrDigest) || damage.offset >= 0 && err != nil {
				t.Fatalf("seal: %v", err)
			}
			if damage.offset < 0 {
				if p = claim(t, s, "one", data); p.Offset() != 0 {
					t.Fatalf("after the mismatch it goes on at %d", p.Offset())
				}
			}
		})
	}
}

func TestANewerClaimPreemptsTheOlder(t *testing.T) { onBoth(t, aNewerClaimPreemptsTheOlder) }

func aNewerClaimPreemptsTheOlder(t *testing.T) {
	s, data := open(t, t.TempDir(), 0), bytesOf(1, 1000)
	old := claim(t, s, "one", data)
	write(t, old, data[:400])
	young := claim(t, s, "one", data)
	if young.Offset() != 400 {
		t.Fatalf("offset %d", young.Offset())
	}
	if _, err := old.Write(data[400:]); !errors.Is(err, objects.ErrPreempted) {
		t.Fatalf("the older one wrote: %v", err)
	}
	old.Release()
	old.Drop()
	write(t, young, data[400:])
	if err := seal(s, old); !errors.Is(err, objects.ErrPreempted) {
		t.Fatalf("the older one sealed: %v", err)
	}
	if err := seal(s, young); err != nil {
		t.Fatal(err)
	}
	check(t, s, names, data)
}

// TestAnApplianceSeesNothingOfAnother, and a second copy never harms the first.
func TestAnApplianceSeesNothingOfAnother(t *testing.T) { onBoth(t, anApplianceSeesNothingOfAnother) }

func anApplianceSeesNothingOfAnother(t *testing.T) {
	s, data := open(t, t.TempDir(), 0), bytesOf(1, 1000)
	one := claim(t, s, "one", data)
	write(t, one, data)
	if two := claim(t, s, "two", data); two.Offset() != 0 {
		t.Fatal("the other's bytes are offered")
	}
	if err := seal(s, one); err != nil {
		t.Fatal(err)
	}
	two := claim(t, s, "two", data)
	if two.Offset() != 0 {
		t.Fatal("a whole object answers for another appliance")
	}
	write(t, two, data)
	if err := seal(s, two); err != nil {
		t.Fatal(err)
	}
	check(t, s, names, data)
	bad := claim(t, s, "three", data)
	write(t, bad, bytesOf(2, 1000))
	if err := seal(s, bad); !errors.Is(err, objects.ErrDigest) {
		t.Fatalf("seal: %v", err)
	}
	check(t, s, names, data)
}

func TestMoreOrLessThanAnnouncedIsRefused(t *testing.T) { onBoth(t, moreOrLessThanAnnouncedIsRefused) }

func moreOrLessThanAnnouncedIsRefused(t *testing.T) {
	s, data := open(t, t.TempDir(), 0), bytesOf(1, 1000)
	p := claim(t, s, "one", data)
	write(t, p, data[:999])
	if err := seal(s, p); !errors.Is(err, objects.ErrLength) {
		t.Fatalf("sealed short: %v", err)
	}
	if _, err := p.Write([]byte("xy")); !errors.Is(err, objects.ErrLength) {
		t.Fatalf("wrote too much: %v", err)
	}
	if got := s.PartialBytes("one"); got != 0 {
		t.Errorf("%d bytes are left", got)
	}
}

// TestPartialBytesAreBounded: idle ones go first, the longest unused first; what
// is being written is refused.
func TestPartialBytesAreBounded(t *testing.T) { onBoth(t, partialBytesAreBounded) }

func partialBytesAreBounded(t *testing.T) {
	s := open(t, t.TempDir(), 100_000)
	a, b, c := bytesOf(1, 60_000), bytesOf(2, 60_000), bytesOf(3, 60_000)
	p := claim(t, s, "one", a)
	write(t, p, a[:30_000])
	p.Release()
	q := claim(t, s, "one", b)
	write(t, q, b[:50_000])
	r := claim(t, s, "one", c)
	write(t, r, c[:40_000]) // makes a go
	if p = claim(t, s, "one", a); p.Offset() != 0 {
		t.Fatal("the idle one is still there")
	}
	if _, err := r.Write(c[40_000:]); !errors.Is(err, objects.ErrFull) {
		t.Fatalf("beyond the allowance: %v", err)
	}
	write(t, q, b[50_000:])
	other := claim(t, s, "two", a)
	write(t, other, a) // has an allowance of its own
	if err := seal(s, q, other); err != nil {
		t.Fatal(err)
	}
	if got := s.PartialBytes("one") + s.PartialBytes("two"); got != 0 {
		t.Errorf("%d bytes are left", got)
	}
}

func TestExpiryTakesOnlyWhatIsIdle(t *testing.T) { onBoth(t, expiryTakesOnlyWhatIsIdle) }

func expiryTakesOnlyWhatIsIdle(t *testing.T) {
	s, a, b := open(t, t.TempDir(), 0), bytesOf(1, 1000), bytesOf(2, 1000)
	idle, busy := claim(t, s, "one", a), claim(t, s, "one", b)
	write(t, idle, a[:500])
	write(t, busy, b[:500])
	idle.Release()
	if n := s.Expire(1 << 60); n != 0 {
		t.Fatalf("%d expired too early", n)
	}
	if n := s.Expire(0); n != 1 {
		t.Fatalf("%d expired", n)
	}
	write(t, busy, b[500:])
	if err := seal(s, busy); err != nil {
		t.Fatal(err)
	}
}

// TestDataThatLooksLikeFileMeta: a data set that begins with group 0002 stays
// data (P3).
func TestDataThatLooksLikeFileMeta(t *testing.T) { onBoth(t, dataThatLooksLikeFileMeta) }

func dataThatLooksLikeFileMeta(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	data := dicom.Preface(dicom.Names{TransferSyntax: "9.9", SOPClass: "9.8", SOPInstance: "9.7"})[132:]
	p := claim(t, s, "one", data)
	write(t, p, data)
	if err := seal(s, p); err != nil {
		t.Fatal(err)
	}
	check(t, s, names, data)
}

// TestNoByteOfAPeerReachesAPath (SPOOL-10, S4).
func TestNoByteOfAPeerReachesAPath(t *testing.T) { onBoth(t, noByteOfAPeerReachesAPath) }

func noByteOfAPeerReachesAPath(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "store"), 0)
	data := bytesOf(1, 100)
	for _, evil := range []string{"../../x", "/etc/passwd", "a\x00b", strings.Repeat("A", 1000), "..", "", "\n"} {
		n := names
		n.SOPInstance = "1" + evil
		p, err := s.Claim(evil, idOf(n, data), n, 100)
		if err != nil {
			t.Fatal(err)
		}
		write(t, p, data)
		for _, f := range files(t, dir) {
			if !strings.HasPrefix(f, filepath.Join(dir, "store", "partial")+"/") && !strings.HasSuffix(f, ".dcm") && filepath.Base(f) != "reset.key" {
				t.Errorf("%q made %q", evil, f)
			}
		}
		if err := seal(s, p); err != nil {
			t.Fatal(err)
		}
		check(t, s, n, data)
	}
	if _, err := s.Claim("one", dicom.ID{}, dicom.Names{}, 1); err == nil {
		t.Error("no names")
	}
}

func TestRemoveForgets(t *testing.T) { onBoth(t, removeForgets) }

func removeForgets(t *testing.T) {
	s, data := open(t, t.TempDir(), 0), bytesOf(1, 100)
	p := claim(t, s, "one", data)
	write(t, p, data)
	if err := seal(s, p); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := s.Remove([]dicom.ID{idOf(names, data)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Open(idOf(names, data)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("open: %v", err)
	}
}

// TestABitFlipIsFoundOnTheWayOut (P14).
func TestABitFlipIsFoundOnTheWayOut(t *testing.T) { onBoth(t, aBitFlipIsFoundOnTheWayOut) }

func aBitFlipIsFoundOnTheWayOut(t *testing.T) {
	dir, data := t.TempDir(), bytesOf(1, 100_000)
	s := open(t, dir, 0)
	p := claim(t, s, "one", data)
	write(t, p, data)
	if err := seal(s, p); err != nil {
		t.Fatal(err)
	}
	file := wholes(t, dir)[0]
	b, _ := os.ReadFile(file)
	b[len(b)/2] ^= 16
	os.WriteFile(file, b, 0o600)
	o, err := s.Open(idOf(names, data))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if err := o.Verify(); !errors.Is(err, objects.ErrDigest) {
		t.Fatalf("verify: %v", err)
	}
}

// TestAFullDiskIsBusyNotBroken fills a disk of its own: ErrFull, the partial object
// is removed, what is sealed stays, and the store goes on when there is space (P7).
func TestAFullDiskIsBusyNotBroken(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skip("needs root to mount a small disk:", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	s := open(t, dir, 0)
	kept := bytesOf(1, 500_000)
	p := claim(t, s, "one", kept)
	write(t, p, kept)
	if err := seal(s, p); err != nil {
		t.Fatal(err)
	}
	large := bytesOf(2, 8<<20)
	q := claim(t, s, "one", large)
	var err error
	for i := 0; i < len(large) && err == nil; i += 256 << 10 {
		_, err = q.Write(large[i:][:256<<10])
	}
	if !errors.Is(err, objects.ErrFull) {
		t.Fatalf("on a full disk: %v", err)
	}
	if s.PartialBytes("one") != 0 || s.Failed() != nil {
		t.Fatalf("%d bytes are left, failed: %v", s.PartialBytes("one"), s.Failed())
	}
	again := bytesOf(3, 1<<20)
	r := claim(t, s, "one", again)
	write(t, r, again)
	if err := seal(s, r); err != nil {
		t.Fatal(err)
	}
	check(t, s, names, kept)
	check(t, s, names, again)
}

func TestManyAtOnce(t *testing.T) { onBoth(t, manyAtOnce) }

func manyAtOnce(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	done := make(chan error, 8)
	for g := range 8 {
		go func() {
			var ps []*objects.Partial
			for i := range 20 {
				data := bytesOf(byte(i), 10_000) // the same objects from all
				p, err := s.Claim(string(rune('a'+g%4)), idOf(names, data), names, int64(len(data)))
				if err != nil {
					done <- err
					return
				}
				if _, err := p.Write(data[p.Offset():]); err != nil && !errors.Is(err, objects.ErrPreempted) && !errors.Is(err, objects.ErrLength) {
					done <- err
					return
				}
				ps = append(ps, p)
			}
			for _, err := range s.Seal(ps) {
				if err != nil && !errors.Is(err, objects.ErrPreempted) && !errors.Is(err, objects.ErrLength) {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	for i := range 20 {
		check(t, s, names, bytesOf(byte(i), 10_000))
	}
}

// TestAFailedFlushIsFinal: never answered as done, never tried again (P8, SPOOL-4).
func TestAFailedFlushIsFinal(t *testing.T) {
	dir, data := t.TempDir(), bytesOf(1, 1000)
	s := open(t, dir, 0)
	p := claim(t, s, "one", data)
	write(t, p, data)
	s.FailFlush(syscall.EIO)
	if err := seal(s, p); !errors.Is(err, objects.ErrFailed) {
		t.Fatalf("seal: %v", err)
	}
	s.FailFlush(nil)
	again := claim(t, s, "one", data)
	if again.Offset() != 0 {
		t.Fatal("pages of a failed flush are believed")
	}
	write(t, again, data)
	if err := seal(s, again); !errors.Is(err, objects.ErrFailed) || s.Failed() == nil {
		t.Fatalf("after a failed flush: %v", err)
	}
	if left := files(t, filepath.Join(dir, "objects")); len(left) > 0 {
		t.Errorf("has a name: %v", left)
	}
}

// The reserve is for the rows beside the objects: an object that would eat it is
// not begun, what is here already can be finished, and space ends it.
func TestTheReserveIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		t.Skip("needs root to mount a small disk:", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	s, err := objects.Open(objects.Config{Dir: dir, ReserveBytes: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	small := bytesOf(1, 1<<20)
	p := claim(t, s, "one", small)
	write(t, p, small)
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 57<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	large := bytesOf(2, 3<<20)
	if _, err := s.Claim("one", idOf(names, large), names, int64(len(large))); !errors.Is(err, objects.ErrFull) {
		t.Fatalf("with the reserve at stake: %v", err)
	}
	if space, err := s.Space(); err != nil || space.Reserve != 4<<20 || space.Free < 4<<20 || space.Short() {
		t.Errorf("%+v %v", space, err)
	}
	if err := seal(s, claim(t, s, "one", small)); err != nil {
		t.Errorf("what is here already: %v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	claim(t, s, "one", large)
}

// P6: an object that does not fit while others do is told apart from a full disk.
func TestTooBigIsNotFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		t.Skip("needs root to mount a small disk:", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	s, err := objects.Open(objects.Config{Dir: dir, ReserveBytes: 4 << 20, MaxPartialBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	refusal := func(length int64) error {
		_, err := s.Claim("one", idOf(names, nil), names, length)
		return err
	}
	for _, length := range []int64{100 << 20, 2 << 30} { // for the disk, for the allowance
		if err := refusal(length); !errors.Is(err, objects.ErrTooBig) {
			t.Errorf("%d bytes: %v", length, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 62<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := refusal(1 << 20); !errors.Is(err, objects.ErrFull) || errors.Is(err, objects.ErrTooBig) {
		t.Errorf("full: %v", err)
	}
}

// On a disk smaller than the reserve a tenth is kept.
func TestTheReserveIsAtMostATenthOfTheDisk(t *testing.T) {
	s, err := objects.Open(objects.Config{Dir: t.TempDir(), ReserveBytes: 1 << 60})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if space, err := s.Space(); err != nil || space.Reserve <= 0 || space.Reserve >= 1<<58 {
		t.Errorf("%+v %v", space, err)
	}
}

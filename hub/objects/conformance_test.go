package objects_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"edged/hub/objects"
	"edged/internal/s3lab"
)

// onBoth runs a test of what a shelf promises on a directory, and on a bucket of a real
// S3 server. All that open opens in it then is of that kind.
func onBoth(t *testing.T, test func(*testing.T)) {
	t.Helper()
	t.Run("directory", test)
	t.Run("bucket", func(t *testing.T) {
		lab(t)
		test(t)
	})
}

// labs is the server of all these tests, and a bucket for each directory that is opened.
var labs struct {
	once   sync.Once
	first  *s3lab.Bucket
	err    error
	dir    string
	mu     sync.Mutex
	bucket map[string]*s3lab.Bucket
}

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		uploadAndDie(dir)
	}
	code := m.Run()
	if labs.first != nil {
		if err := errors.Join(labs.first.Close(), os.RemoveAll(labs.dir)); err != nil {
			panic(err)
		}
	}
	os.Exit(code)
}

func lab(t testing.TB) *s3lab.Bucket {
	t.Helper()
	if _, err := s3lab.Gateway(); err != nil {
		t.Skipf("no S3 server for this test: %v", err)
	}
	labs.once.Do(func() {
		if labs.dir, labs.err = os.MkdirTemp("", "objects-s3lab"); labs.err == nil {
			labs.first, labs.err = s3lab.Run(labs.dir)
		}
		labs.bucket = map[string]*s3lab.Bucket{}
	})
	if labs.err != nil {
		t.Fatal(labs.err)
	}
	return labs.first
}

// bucketOf is the bucket that belongs to a directory, nil in tests of directories.
func bucketOf(t testing.TB, dir string) *objects.Bucket {
	t.Helper()
	if !strings.Contains(t.Name()+"/", "/bucket/") {
		return nil
	}
	first := lab(t)
	labs.mu.Lock()
	defer labs.mu.Unlock()
	b := labs.bucket[dir]
	if b == nil {
		b = first.Bucket(t)
		labs.bucket[dir] = b
	}
	return config(b)
}

// config is what a hub is told of a bucket.
func config(b *s3lab.Bucket) *objects.Bucket {
	return &objects.Bucket{Endpoint: b.Endpoint, Region: b.Region, Name: b.Name, Prefix: "hub/one", AccessKey: b.AccessKey, SecretKey: b.SecretKey}
}

// wholes lists the files of whole objects.
func wholes(t testing.TB, dir string) []string {
	t.Helper()
	labs.mu.Lock()
	b := labs.bucket[dir]
	labs.mu.Unlock()
	if b != nil {
		dir = filepath.Join(b.Dir, "hub", "one")
	}
	return files(t, filepath.Join(dir, "objects"))
}

func TestAMissingObjectDoesNotExist(t *testing.T) { onBoth(t, aMissingObjectDoesNotExist) }

func aMissingObjectDoesNotExist(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	if _, err := s.Open(idOf(names, nil)); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if gone, err := s.Remove([]objectID{idOf(names, nil)}); len(gone) != 1 || err != nil {
		t.Errorf("%v %v", gone, err)
	}
}

// A reader at any place finds the bytes of the file, also beside others.
func TestBytesAreReadAtAnyPlace(t *testing.T) { onBoth(t, bytesAreReadAtAnyPlace) }

func bytesAreReadAtAnyPlace(t *testing.T) {
	s, data := open(t, t.TempDir(), 0), bytesOf(1, 200_000)
	p := claim(t, s, "one", data)
	write(t, p, data)
	if err := seal(s, p); err != nil {
		t.Fatal(err)
	}
	o, err := s.Open(idOf(names, data))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	proven := o.DataSet()
	for _, at := range []int{150_000, 10, 0, 16_000, 16_500, 17_000, 199_990} {
		b := make([]byte, 500)
		n, err := o.ReadAt(b, o.DataOffset()+int64(at))
		if want := data[at:min(at+500, len(data))]; string(b[:n]) != string(want) || n < 500 && err != io.EOF || n == 500 && err != nil {
			t.Errorf("at %d: %d bytes, %v", at, n, err)
		}
	}
	whole, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size()))
	if err != nil || string(whole[o.DataOffset():]) != string(data) {
		t.Errorf("whole: %d bytes, %v", len(whole), err)
	}
	if got, err := io.ReadAll(proven); err != nil || string(got) != string(data) {
		t.Errorf("data set: %d bytes, %v", len(got), err)
	}
	if err := o.Verify(); err != nil {
		t.Error(err)
	}
}

func TestDocumentsStayUnderTheirNames(t *testing.T) { onBoth(t, documentsStayUnderTheirNames) }

func documentsStayUnderTheirNames(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	s := open(t, dir, 0)
	want := map[string]string{"receipts/2026/11/a.json": "one", "receipts/2026/11/b.json": "", "receipts/2027/a": "x", "top": string(bytesOf(1, 300_000))}
	for name, text := range want {
		for range 2 {
			if err := s.Put(ctx, name, []byte(text)); err != nil {
				t.Fatal(name, err)
			}
		}
	}
	if err := s.Put(ctx, "top", []byte("newer")); err != nil {
		t.Fatal(err)
	}
	want["top"] = "newer"
	s.Close()
	s = open(t, dir, 0)
	for name, text := range want {
		if got, err := s.Get(ctx, name); err != nil || string(got) != text {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	for prefix, names := range map[string][]string{
		"": slices.Sorted(maps.Keys(want)), "receipts/2026/11/": {"receipts/2026/11/a.json", "receipts/2026/11/b.json"},
		"receipts/202": {"receipts/2026/11/a.json", "receipts/2026/11/b.json", "receipts/2027/a"}, "nothing": nil,
	} {
		if got, err := s.List(ctx, prefix); err != nil || !slices.Equal(got, names) {
			t.Errorf("list %q: %q, want %q, %v", prefix, got, names, err)
		}
	}
	if _, err := s.Get(ctx, "receipts/2028"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

func TestNamesOfDocumentsAreChecked(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	for _, name := range []string{"", "/", "a/", "/a", "../a", "a/../b", "a//b", ".new/x", "A", "a b", "a\x00", "-a", "é", strings.Repeat("a", 201)} {
		if s.Put(context.Background(), name, nil) == nil {
			t.Errorf("put %q", name)
		}
		if _, err := s.Get(context.Background(), name); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("get %q: %v", name, err)
		}
	}
	if s.Put(context.Background(), "large", make([]byte, 16<<20+1)) == nil {
		t.Error("a large one")
	}
}

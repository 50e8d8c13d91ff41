package objects_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"edged/hub"
	"edged/hub/objects"
	"edged/internal/s3lab"
)

type objectID = hub.ID

// childDir makes the test binary a hub that uploads what is partial in a directory, and
// that only a signal ends.
const (
	childDir    = "OBJECTS_TEST_CHILD"
	childBucket = "OBJECTS_TEST_BUCKET"
)

// large is the data set of an object of ten parts.
func large() []byte { return bytesOf(7, 9*8<<20+12345) }

func uploadAndDie(dir string) {
	var b objects.Bucket
	err := json.Unmarshal([]byte(os.Getenv(childBucket)), &b)
	if err != nil {
		panic(err)
	}
	s, err := objects.Open(objects.Config{Dir: dir, Bucket: &b})
	if err != nil {
		panic(err)
	}
	data := large()
	p, err := s.Claim("one", idOf(names, data), names, int64(len(data)))
	if err != nil || !p.Complete() {
		panic(fmt.Sprint("not complete: ", err))
	}
	fmt.Println("sealed:", errors.Join(s.Seal([]*objects.Partial{p})...))
	os.Exit(1)
}

// TestAKilledUploadGoesOnWhereItWas: a hub is killed while the parts of a large object
// are on their way; the next one sends those that the server has not, and no others.
func TestAKilledUploadGoesOnWhereItWas(t *testing.T) {
	dir, data := t.TempDir(), large()
	proxy := lab(t).Bucket(t).Proxy(t)
	s := openBucket(t, dir, proxy.Bucket)
	write(t, claim(t, s, "one", data), data)
	s.Close()

	child := exec.Command(os.Args[0])
	text, err := json.Marshal(config(proxy.Bucket))
	if err != nil {
		t.Fatal(err)
	}
	child.Env = append(os.Environ(), childDir+"="+dir, childBucket+"="+string(text))
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out strings.Builder
	child.Stdout, child.Stderr = &out, &out
	const before = 4 // parts that are stored before it is killed
	stored := make(chan struct{})
	proxy.RefuseAfter(before, func() { close(stored) }, s3lab.Parts)
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-stored:
	case <-time.After(time.Minute):
		t.Error("it does not upload")
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _ = child.Wait(); t.Failed() {
		t.Fatal(out.String())
	}
	proxy.Heal()
	proxy.Requests()
	s = openBucket(t, dir, proxy.Bucket)
	p := claim(t, s, "one", data)
	if !p.Complete() {
		t.Fatal("its bytes are gone")
	}
	if err := seal(s, p); err != nil {
		t.Fatal(err)
	}
	sent := count(proxy.Requests(), "partNumber=")
	if whole := 10; sent > whole-before || sent == 0 {
		t.Errorf("%d of %d parts were sent again, though %d were there", sent, whole, before)
	}
	check(t, s, names, data)
}

func count(requests []string, what string) (n int) {
	for _, r := range requests {
		if strings.Contains(r, what) {
			n++
		}
	}
	return n
}

func openBucket(t testing.TB, dir string, b *s3lab.Bucket) *objects.Store {
	t.Helper()
	s, err := objects.Open(objects.Config{Dir: dir, Bucket: config(b)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

package objects_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edged/hub/objects"
	"edged/internal/s3lab"
)

// sealedFor has data sealed and recorded.
func sealedFor(t *testing.T, s *objects.Store, device string, data []byte) {
	t.Helper()
	p := claim(t, s, device, data)
	write(t, p, data[p.Offset():])
	if err := seal(s, p); err != nil {
		t.Fatal(err)
	}
}

// A bucket that cannot now is busy, however it says so: nothing is lost, nothing comes
// twice over the line, nothing has failed for good (P7).
func TestABucketInTroubleIsBusyAndTheBytesStay(t *testing.T) {
	for name, f := range map[string]s3lab.Fault{
		"full": s3lab.Full, "quota": s3lab.Quota, "slow down": s3lab.SlowDown, "broken": s3lab.Broken, "denied": s3lab.Denied,
		"bucket gone": {Status: http.StatusNotFound, Code: "NoSuchBucket"}, "bad gateway": {Status: http.StatusBadGateway},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := lab(t).Bucket(t).Proxy(t)
			s, data := openBucket(t, t.TempDir(), p.Bucket), bytesOf(1, 100_000)
			write(t, claim(t, s, "one", data), data)
			p.Refuse(f, s3lab.Writes)
			for range 2 {
				c := claim(t, s, "one", data)
				if !c.Complete() {
					t.Fatal("bytes are gone")
				}
				if err := seal(s, c); !errors.Is(err, objects.ErrFull) || errors.Is(err, objects.ErrTooBig) || errors.Is(err, objects.ErrFailed) {
					t.Fatalf("seal: %v", err)
				}
			}
			if s.Trouble() == "" || s.Failed() != nil {
				t.Errorf("trouble %q, failed %v", s.Trouble(), s.Failed())
			}
			if space, err := s.Space(); err != nil || !space.Apart || space.Full != (f == s3lab.Full || f == s3lab.Quota) || space.Tight() != space.Full {
				t.Errorf("%+v %v", space, err)
			}
			p.Heal()
			if err := seal(s, claim(t, s, "one", data)); err != nil {
				t.Fatal(err)
			}
			check(t, s, names, data)
			if s.Trouble() != "" {
				t.Errorf("still in trouble: %s", s.Trouble())
			}
		})
	}
}

// P6: what the server refuses of one object alone is not busy for all.
func TestARefusedObjectDelaysNoOther(t *testing.T) {
	p := lab(t).Bucket(t).Proxy(t)
	s, data := openBucket(t, t.TempDir(), p.Bucket), bytesOf(1, 1000)
	write(t, claim(t, s, "one", data), data)
	for _, code := range []string{"EntityTooLarge", "SomethingNew"} {
		p.Refuse(s3lab.Fault{Status: http.StatusBadRequest, Code: code}, s3lab.Writes)
		if err := seal(s, claim(t, s, "one", data)); !errors.Is(err, objects.ErrTooBig) {
			t.Errorf("%s: %v", code, err)
		}
	}
}

// P6: a key that the server answers with 503 for ever, while it stores all others, is busy
// alone: it ends no other object of its Seal, and nobody is told to wait for it.
func TestAKeyThatIsRefusedForEverDelaysNoOther(t *testing.T) {
	p := lab(t).Bucket(t).Proxy(t)
	s := openBucket(t, t.TempDir(), p.Bucket)
	bad := idOf(names, bytesOf(7, 1000)).String()
	p.Refuse(s3lab.SlowDown, func(r *http.Request) bool { return s3lab.Writes(r) && strings.Contains(r.URL.Path, bad) })
	for range 2 { // and again
		var ps []*objects.Partial
		for i := range 40 {
			data := bytesOf(byte(i), 1000)
			c := claim(t, s, "one", data)
			if !c.Complete() {
				write(t, c, data)
			}
			ps = append(ps, c)
		}
		for i, err := range s.Seal(ps) {
			if i == 7 != errors.Is(err, objects.ErrTooBig) || i != 7 && err != nil {
				t.Errorf("object %d: %v", i, err)
			}
		}
	}
}

// A server that says nothing holds a Seal for a bounded time, however many it is of.
func TestASilentBucketIsWaitedForNoLongerThanAgreed(t *testing.T) {
	p := lab(t).Bucket(t).Proxy(t)
	s := openBucket(t, t.TempDir(), p.Bucket)
	s.Patience(300 * time.Millisecond)
	release := make(chan struct{})
	p.Before(func(*http.Request) { <-release })
	defer close(release)
	var ps []*objects.Partial
	for i := range 64 {
		data := bytesOf(byte(i), 1000)
		c := claim(t, s, "one", data)
		write(t, c, data)
		ps = append(ps, c)
	}
	begin := time.Now()
	for _, err := range s.Seal(ps) {
		if !errors.Is(err, objects.ErrFull) {
			t.Fatal(err)
		}
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if s.Trouble() == "" {
		t.Error("nobody is told")
	}
}

// Failed, but happened: the answer of a request that was done is lost.
func TestALostAnswerIsAskedForAgain(t *testing.T) {
	for name, c := range map[string]struct {
		size  int
		which s3lab.Which
		parts int
	}{
		"small": {100_000, s3lab.Writes, 0}, "begin": {20 << 20, func(r *http.Request) bool { return r.URL.Query().Has("uploads") && r.Method == http.MethodPost }, 3},
		"part": {20 << 20, s3lab.Parts, 4}, "completion": {20 << 20, s3lab.Completes, 3},
	} {
		t.Run(name, func(t *testing.T) {
			p := lab(t).Bucket(t).Proxy(t)
			s, data := openBucket(t, t.TempDir(), p.Bucket), bytesOf(2, c.size)
			p.Requests()
			p.RefuseTimes(1, s3lab.DoneButCut, c.which)
			sealedFor(t, s, "one", data)
			if n := count(p.Requests(), "partNumber="); n > c.parts {
				t.Errorf("%d parts were sent", n)
			}
			check(t, s, names, data)
		})
	}
}

// Nothing but the server's own word that it is not there makes an object missing: the
// appliances would be asked for it again, and some have forgotten it.
func TestAnOutageIsNeverAMissingObject(t *testing.T) {
	b := s3lab.Start(t)
	p := b.Proxy(t)
	s, data := openBucket(t, t.TempDir(), p.Bucket), bytesOf(1, 100_000)
	sealedFor(t, s, "one", data)
	ask := func(what string) {
		t.Helper()
		for _, n := range [][]byte{data, nil} {
			o, err := s.Open(idOf(names, n))
			if err == nil {
				o.Close()
			}
			if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, objects.ErrDigest) {
				t.Errorf("%s: open: %v", what, err)
			}
			if _, err := s.Get(context.Background(), "nothing"); err == nil || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: get: %v", what, err)
			}
		}
	}
	for _, f := range []s3lab.Fault{s3lab.NotTheServer, s3lab.Broken, s3lab.Denied, {Status: http.StatusNotFound, Code: "NoSuchBucket"}} {
		p.Refuse(f, s3lab.Everything)
		ask(f.Code)
	}
	// A proxy in between that has a page of its own for what it does not like.
	p.Refuse(s3lab.Fault{Status: http.StatusNotFound, Code: "NoSuchKey"}, s3lab.Reads)
	if _, err := s.Open(idOf(names, data)); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the server has it: %v", err)
	}
	p.Heal()
	o, err := s.Open(idOf(names, data))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if err := b.Stop(); err != nil {
		t.Fatal(err)
	}
	ask("stopped")
	if _, err := o.ReadAt(make([]byte, 10), 50_000); err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, io.EOF) {
		t.Errorf("read: %v", err)
	}
	if err := b.Restart(); err != nil {
		t.Fatal(err)
	}
	check(t, s, names, data)
}

// A request that is cut in the middle goes on where it was.
func TestACutReadGoesOn(t *testing.T) {
	p := lab(t).Bucket(t).Proxy(t)
	s, data := openBucket(t, t.TempDir(), p.Bucket), bytesOf(1, 3<<20)
	sealedFor(t, s, "one", data)
	p.RefuseTimes(3, s3lab.HalfAnswer, s3lab.Reads)
	p.Requests()
	check(t, s, names, data)
	if n := len(p.Requests()); n > 5 {
		t.Errorf("%d requests", n)
	}
}

// One request brings a whole object from its head to its end.
func TestAnObjectIsReadByOneRequest(t *testing.T) {
	p := lab(t).Bucket(t).Proxy(t)
	s := openBucket(t, t.TempDir(), p.Bucket)
	for i, n := range []int{100, 3 << 20} {
		data := bytesOf(byte(i), n)
		sealedFor(t, s, "one", data)
		p.Requests()
		check(t, s, names, data)
		if seen := p.Requests(); len(seen) != 1 {
			t.Errorf("%d bytes: %q", n, seen)
		}
	}
}

// stored is the file of an object in the bucket.
func stored(t *testing.T, b *s3lab.Bucket) string {
	t.Helper()
	list := files(t, filepath.Join(b.Dir, "hub", "one", "objects"))
	if len(list) != 1 {
		t.Fatalf("objects: %q", list)
	}
	return list[0]
}

// What is damaged in the bucket is found (P14), and stored again when it comes again,
// also where a large one of the same size would else not be sent twice.
func TestWhatIsDamagedInTheBucketIsFoundAndReplaced(t *testing.T) {
	damage := map[string]func(string) error{
		"bit": func(file string) error {
			f, err := os.OpenFile(file, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte("other bytes"), 60_000)
			return errors.Join(err, f.Close())
		},
		"truncated": func(file string) error { return os.Truncate(file, 50_000) },
		"head":      func(file string) error { return os.Truncate(file, 100) },
	}
	for size, n := range map[string]int{"small": 100_000, "large": 20 << 20} {
		for what, do := range damage {
			t.Run(size+" "+what, func(t *testing.T) {
				p := lab(t).Bucket(t).Proxy(t)
				s, data := openBucket(t, t.TempDir(), p.Bucket), bytesOf(3, n)
				sealedFor(t, s, "one", data)
				p.Requests()
				sealedFor(t, s, "two", data)
				if n := count(p.Requests(), "partNumber="); n > 0 {
					t.Errorf("%d parts of what is there were sent", n)
				}
				if err := do(stored(t, p.Bucket)); err != nil {
					t.Fatal(err)
				}
				if o, err := s.Open(idOf(names, data)); err == nil {
					if err := o.Verify(); !errors.Is(err, objects.ErrDigest) {
						t.Errorf("verify: %v", err)
					}
					o.Close()
				} else if errors.Is(err, fs.ErrNotExist) {
					t.Error(err)
				}
				sealedFor(t, s, "one", data)
				check(t, s, names, data)
			})
		}
	}
}

// A part that does not arrive as it was sent is refused by the server, and sent again.
func TestDamagedOnTheWayIsRefused(t *testing.T) {
	for name, n := range map[string]int{"small": 100_000, "large": 20 << 20} {
		t.Run(name, func(t *testing.T) {
			p := lab(t).Bucket(t).Proxy(t)
			s, data := openBucket(t, t.TempDir(), p.Bucket), bytesOf(3, n)
			damaged := make(chan struct{}, 1) // once
			damaged <- struct{}{}
			p.Before(func(r *http.Request) {
				if r.Method != http.MethodPut {
					return
				}
				select {
				case <-damaged:
					body, _ := io.ReadAll(r.Body)
					body[len(body)/2] ^= 1
					r.Body = io.NopCloser(bytes.NewReader(body))
				default:
				}
			})
			sealedFor(t, s, "one", data)
			check(t, s, names, data)
			if len(damaged) != 0 {
				t.Error("nothing was damaged")
			}
		})
	}
}

// A middling one goes beside the others, in one request.
func TestAMiddlingObjectGoesAside(t *testing.T) {
	p := lab(t).Bucket(t).Proxy(t)
	s, data := openBucket(t, t.TempDir(), p.Bucket), bytesOf(1, 5<<20)
	c := claim(t, s, "one", data)
	write(t, c, data)
	p.Requests()
	ready := make(chan struct{})
	c.Prepare(1, func() { close(ready) })
	<-ready
	if err := seal(s, c); err != nil {
		t.Fatal(err)
	}
	if seen := p.Requests(); len(seen) != 1 {
		t.Errorf("requests: %q", seen)
	}
	check(t, s, names, data)
}

// The whole way over TLS, with a CA of one's own.
func TestABucketBehindTLS(t *testing.T) {
	p, ca := lab(t).Bucket(t).ProxyTLS(t)
	c := config(p.Bucket)
	c.Secure = true
	if _, err := objects.Open(objects.Config{Dir: t.TempDir(), Bucket: c}); err == nil || !strings.Contains(err.Error(), "certificate of the server is not trusted") {
		t.Errorf("an unknown CA: %v", err)
	}
	t.Setenv("SSL_CERT_FILE", ca)
	s, err := objects.Open(objects.Config{Dir: t.TempDir(), Bucket: c})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Trouble() != "" {
		t.Fatal(s.Trouble())
	}
	for _, n := range []int{1000, 20 << 20} {
		data := bytesOf(1, n)
		sealedFor(t, s, "one", data)
		check(t, s, names, data)
	}
}

// P6: a large object on its way, however long that takes, holds nobody's small one.
func TestALargeObjectHoldsNobody(t *testing.T) {
	p := lab(t).Bucket(t).Proxy(t)
	s, large, small := openBucket(t, t.TempDir(), p.Bucket), bytesOf(1, 20<<20), bytesOf(2, 1000)
	l := claim(t, s, "one", large)
	write(t, l, large)
	p.RefuseAfter(0, nil, s3lab.Parts) // none gets through
	ready := make(chan struct{})
	l.Prepare(1, func() { close(ready) })
	m := claim(t, s, "one", small)
	write(t, m, small)
	now := false
	if m.Prepare(0, func() { now = true }); !now {
		t.Fatal("a small one waits")
	}
	if err := seal(s, m); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ready:
		t.Error("the large one is there before its parts")
	default:
	}
	p.Heal()
	<-ready
	p.Requests()
	if err := seal(s, l); err != nil {
		t.Fatal(err)
	}
	if seen := p.Requests(); len(seen) > 0 {
		t.Errorf("Seal asks the server again: %q", seen)
	}
	check(t, s, names, large)
	check(t, s, names, small)
}

// What Prepare could not do, Seal says.
func TestSealSaysWhatPrepareCouldNot(t *testing.T) {
	p := lab(t).Bucket(t).Proxy(t)
	s, data := openBucket(t, t.TempDir(), p.Bucket), bytesOf(1, 20<<20)
	prepared := func() *objects.Partial {
		c := claim(t, s, "one", data)
		write(t, c, data[c.Offset():])
		ready := make(chan struct{})
		c.Prepare(1, func() { close(ready) })
		<-ready
		return c
	}
	p.Refuse(s3lab.Full, s3lab.Parts)
	if err := seal(s, prepared()); !errors.Is(err, objects.ErrFull) || errors.Is(err, objects.ErrTooBig) {
		t.Fatal(err)
	}
	p.Heal()
	if err := seal(s, prepared()); err != nil {
		t.Fatal(err)
	}
	check(t, s, names, data)
}

// Two nodes have the same object from two appliances at once.
func TestTwoNodesStoreTheSameObject(t *testing.T) {
	b, data := lab(t).Bucket(t), bytesOf(1, 40<<20)
	errs := make(chan error, 4)
	var last *objects.Store
	for range 2 {
		s := openBucket(t, t.TempDir(), b)
		last = s
		for _, device := range []string{"one", "two"} {
			p := claim(t, s, device, data)
			write(t, p, data)
			go func() { errs <- seal(s, p) }()
		}
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	check(t, last, names, data)
}

func TestUploadsThatNobodyGoesOnWithAreRemoved(t *testing.T) {
	p := lab(t).Bucket(t).Proxy(t)
	s, data := openBucket(t, t.TempDir(), p.Bucket), bytesOf(1, 20<<20)
	c := claim(t, s, "one", data)
	write(t, c, data)
	p.Refuse(s3lab.Broken, s3lab.Completes)
	if err := seal(s, c); !errors.Is(err, objects.ErrFull) {
		t.Fatal(err)
	}
	p.Heal()
	p.Requests()
	s.Expire(time.Hour)
	s.AbortBefore(time.Now().Add(-time.Hour))
	if n := count(p.Requests(), "DELETE"); n != 0 {
		t.Errorf("%d young ones removed", n)
	}
	s.AbortBefore(time.Now().Add(time.Hour))
	if n := count(p.Requests(), "DELETE"); n != 1 {
		t.Errorf("%d removed", n)
	}
	if err := seal(s, claim(t, s, "one", data)); err != nil {
		t.Fatal(err)
	}
	if n := count(p.Requests(), "partNumber="); n != 3 {
		t.Errorf("%d parts sent", n)
	}
	check(t, s, names, data)
}

// The bucket is away when the hub starts: it starts, and is busy until it is back.
func TestAHubStartsWithoutItsBucket(t *testing.T) {
	b := s3lab.Start(t)
	if err := b.Stop(); err != nil {
		t.Fatal(err)
	}
	s, data := openBucket(t, t.TempDir(), b), bytesOf(1, 1000)
	if !strings.Contains(s.Trouble(), "cannot be reached") {
		t.Errorf("trouble: %q", s.Trouble())
	}
	p := claim(t, s, "one", data)
	write(t, p, data)
	if err := seal(s, p); !errors.Is(err, objects.ErrFull) {
		t.Fatal(err)
	}
	if err := b.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := seal(s, claim(t, s, "one", data)); err != nil {
		t.Fatal(err)
	}
	check(t, s, names, data)
}

// A hub that receives nothing hears that its bucket is back, from who looks at it.
func TestTroubleEndsWithoutAnObject(t *testing.T) {
	p := lab(t).Bucket(t).Proxy(t)
	s := openBucket(t, t.TempDir(), p.Bucket)
	p.Refuse(s3lab.Denied, s3lab.Writes)
	if s.Put(context.Background(), "x", nil) == nil || s.Trouble() == "" {
		t.Fatal("no trouble")
	}
	p.Heal()
	p.Requests()
	if s.Trouble(); len(p.Requests()) > 0 {
		t.Error("it asks all the time")
	}
	s.Age(time.Hour)
	for end := time.Now().Add(20 * time.Second); s.Trouble() != ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("still in trouble: " + s.Trouble())
		}
	}
	if n := len(p.Requests()); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// What an administrator must mend is an error of Open, without the secret.
func TestOpenSaysWhatMustBeMended(t *testing.T) {
	b := lab(t)
	for want, change := range map[string]func(*objects.Bucket){
		"there is no such bucket": func(b *objects.Bucket) { b.Name = "nobody-has-it" },
		"does not know our keys":  func(b *objects.Bucket) { b.SecretKey = "very-wrong" },
		"or they are wrong":       func(b *objects.Bucket) { b.AccessKey = "nobody" },
		"does not speak TLS":      func(b *objects.Bucket) { b.Secure = true },
	} {
		c := config(b)
		change(c)
		_, err := objects.Open(objects.Config{Dir: t.TempDir(), Bucket: c})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "very-wrong") {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}

// A hub that gets a bucket keeps what it has in its directory.
func TestWhatIsFromBeforeTheBucketStays(t *testing.T) {
	dir, data, ctx := t.TempDir(), bytesOf(1, 1000), context.Background()
	s := open(t, dir, 0)
	sealedFor(t, s, "one", data)
	if err := s.Put(ctx, "old", []byte("x")); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = openBucket(t, dir, lab(t).Bucket(t))
	check(t, s, names, data)
	if err := s.Put(ctx, "new", nil); err != nil {
		t.Fatal(err)
	}
	if list, err := s.List(ctx, ""); err != nil || strings.Join(list, " ") != "new old" {
		t.Errorf("%q %v", list, err)
	}
	if b, err := s.Get(ctx, "old"); err != nil || string(b) != "x" {
		t.Errorf("%q %v", b, err)
	}
	if gone, err := s.Remove([]objectID{idOf(names, data)}); err != nil || len(gone) != 1 {
		t.Fatal(gone, err)
	}
	if _, err := s.Open(idOf(names, data)); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

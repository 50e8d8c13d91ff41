package s3lab_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"edged/internal/s3lab"
)

func client(t *testing.T, b *s3lab.Bucket) *minio.Client {
	t.Helper()
	c, err := minio.New(b.Endpoint, &minio.Options{Creds: credentials.NewStaticV4(b.AccessKey, b.SecretKey, ""), Region: b.Region, MaxRetries: 1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func put(c *minio.Client, b *s3lab.Bucket, key string, data []byte) error {
	_, err := c.PutObject(context.Background(), b.Name, key, bytes.NewReader(data), int64(len(data)), minio.PutObjectOptions{})
	return err
}

func TestABucketOutlivesAnOutage(t *testing.T) {
	b := s3lab.Start(t)
	c := client(t, b)
	if err := put(c, b, "a/b", []byte("there")); err != nil {
		t.Fatal(err)
	}
	if file, err := os.ReadFile(filepath.Join(b.Dir, "a", "b")); err != nil || string(file) != "there" {
		t.Errorf("as a file: %q %v", file, err)
	}
	if err := b.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := put(c, b, "c", nil); err == nil {
		t.Error("it answers while it is stopped")
	}
	if err := b.Restart(); err != nil {
		t.Fatal(err)
	}
	o, err := c.GetObject(context.Background(), b.Name, "a/b", minio.GetObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(o); err != nil || string(got) != "there" {
		t.Errorf("after it: %q %v", got, err)
	}
	if other := b.Bucket(t); other.Name == b.Name {
		t.Error("the same bucket twice")
	}
}

func TestTheProxyFailsWhatItIsToldTo(t *testing.T) {
	p := s3lab.Start(t).Proxy(t)
	c := client(t, p.Bucket)
	for _, f := range []s3lab.Fault{s3lab.Full, s3lab.Quota, s3lab.SlowDown, s3lab.Broken, s3lab.Denied} {
		p.Refuse(f, s3lab.Writes)
		if err := put(c, p.Bucket, "x", nil); minio.ToErrorResponse(err).Code != f.Code {
			t.Errorf("%s: %v", f.Code, err)
		}
	}
	p.RefuseTimes(1, s3lab.DoneButCut, s3lab.Writes)
	if err := put(c, p.Bucket, "cut", []byte("done")); err == nil {
		t.Error("the answer came")
	}
	if file, err := os.ReadFile(filepath.Join(p.Dir, "cut")); err != nil || string(file) != "done" {
		t.Errorf("it is not there: %q %v", file, err)
	}
	p.Heal()
	p.Requests()
	if err := put(c, p.Bucket, "y", nil); err != nil {
		t.Error(err)
	}
	if seen := p.Requests(); len(seen) != 1 || !strings.HasPrefix(seen[0], "PUT /"+p.Name+"/y") {
		t.Errorf("seen: %q", seen)
	}
}

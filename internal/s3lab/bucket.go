package s3lab

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Bucket is an empty bucket of a server of its own.
type Bucket struct {
	Endpoint  string // HOST:PORT, without TLS
	Region    string
	Name      string
	AccessKey string
	SecretKey string

	Dir string // the objects of the bucket as files, by their keys

	server *server
}

// Start runs a server for the time of the test.
func Start(t testing.TB) *Bucket {
	t.Helper()
	if _, err := Gateway(); err != nil {
		t.Skipf("no S3 server for this test: %v", err)
	}
	b, err := Run(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// Run starts a server with its files in dir, for programs that are no tests.
func Run(dir string) (*Bucket, error) {
	s, err := newServer(dir)
	if err != nil {
		return nil, err
	}
	b, err := s.newBucket()
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return b, nil
}

func (s *server) newBucket() (*Bucket, error) {
	name, err := s.bucket()
	return &Bucket{Endpoint: s.endpoint, Region: region, Name: name, AccessKey: accessKey, SecretKey: secretKey,
		Dir: filepath.Join(s.dir, "data", name), server: s}, err
}

// Bucket makes one more of the same server.
func (b *Bucket) Bucket(t testing.TB) *Bucket {
	t.Helper()
	other, err := b.server.newBucket()
	if err != nil {
		t.Fatal(err)
	}
	return other
}

// URL is how hubd.yaml names the bucket in `objects`.
func (b *Bucket) URL() string {
	return "s3://" + b.Name + "?endpoint=" + b.Endpoint + "&region=" + b.Region + "&tls=false"
}

// Env are the keys as the environment of a process has them.
func (b *Bucket) Env() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + b.AccessKey, "AWS_SECRET_ACCESS_KEY=" + b.SecretKey}
}

// Credentials writes the keys as a file in the format of the AWS tools and returns its path.
func (b *Bucket) Credentials(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "credentials")
	text := "[default]\naws_access_key_id = " + b.AccessKey + "\naws_secret_access_key = " + b.SecretKey + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Stop kills the server.
func (b *Bucket) Stop() error { return b.server.stop() }

// Restart starts a stopped server at the same address with the same objects, and
// returns when it answers.
func (b *Bucket) Restart() error { return errors.Join(b.server.stop(), b.server.start()) }

// Close ends the server.
func (b *Bucket) Close() error { return errors.Join(b.server.stop(), b.server.log.Close()) }

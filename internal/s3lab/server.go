package s3lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// server is one process of versitygw, and what is needed to start it again.
type server struct {
	dir      string // objects below dir/data
	endpoint string
	cmd      *exec.Cmd // nil while it is stopped
	log      *os.File
	buckets  atomic.Int64
}

// What a server of a test is opened with.
const (
	region    = "us-east-1"
	accessKey = "s3lab-access"
	secretKey = "s3lab-secret-of-a-test"
)

func newServer(dir string) (*server, error) {
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o755); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir, endpoint: fmt.Sprintf("127.0.0.1:%d", port)}
	if s.log, err = os.Create(filepath.Join(dir, "versitygw.log")); err != nil {
		return nil, err
	}
	return s, s.start()
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// ready is how long a server may take to answer after it was started.
const ready = 30 * time.Second

// start returns when the server answers.
func (s *server) start() error {
	program, err := Gateway()
	if err != nil {
		return err
	}
	s.cmd = exec.Command(program, "--quiet", "--keep-alive", "--port", s.endpoint, "--region", region, "--health", "/health",
		"posix", filepath.Join(s.dir, "data"))
	s.cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+accessKey, "ROOT_SECRET_KEY="+secretKey)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	client := http.Client{Timeout: time.Second}
	for end := time.Now().Add(ready); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if resp, err := client.Get("http://" + s.endpoint + "/health"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
	log, _ := os.ReadFile(s.log.Name())
	return errors.Join(fmt.Errorf("versitygw does not answer at %s after %v:\n%s", s.endpoint, ready, log), s.stop())
}

// stop kills the process: what it was doing is left as it is.
func (s *server) stop() error {
	if s.cmd == nil {
		return nil
	}
	err := s.cmd.Process.Kill()
	_ = s.cmd.Wait() // killed, by us
	s.cmd = nil
	return err
}

// bucket makes an empty one.
func (s *server) bucket() (string, error) {
	c, err := minio.New(s.endpoint, &minio.Options{Creds: credentials.NewStaticV4(accessKey, secretKey, ""), Region: region})
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("bucket-%d", s.buckets.Add(1))
	ctx, cancel := context.WithTimeout(context.Background(), ready)
	defer cancel()
	return name, c.MakeBucket(ctx, name, minio.MakeBucketOptions{Region: region})
}

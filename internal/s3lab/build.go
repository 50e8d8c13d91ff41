package s3lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// version is that of the server; its module is verified by the Go checksum database.
const version = "v1.8.0"

// buildTime bounds a build with an empty cache on a slow machine.
const buildTime = 8 * time.Minute

// Gateway returns the path of the server's program, and builds it when it is not in
// the cache. EDGED_VERSITYGW names one that is there already.
var Gateway = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("EDGED_VERSITYGW"); path != "" {
		_, err := os.Stat(path)
		return path, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "edged-test", "versitygw-"+version)
	path := filepath.Join(dir, "versitygw")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return path, build(dir, path)
})

// build makes the program under another name first: tests of other packages look for it.
func build(dir, path string) error {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	if _, err := os.Stat(path); err == nil {
		return nil // somebody else has built it
	}
	tmp, err := os.MkdirTemp(dir, "build")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	ctx, cancel := context.WithTimeout(context.Background(), buildTime)
	defer cancel()
	install := exec.CommandContext(ctx, "go", "install", "github.com/versity/versitygw/cmd/versitygw@"+version)
	install.Dir = tmp // outside any module
	install.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOBIN="+tmp, "GOOS=", "GOARCH=")
	if out, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("build versitygw %s: %w\n%s", version, err, out[max(0, len(out)-2000):])
	}
	return os.Rename(filepath.Join(tmp, "versitygw"), path)
}

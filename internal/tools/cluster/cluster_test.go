package main

import (
	"os"
	"os/exec"
	"testing"

	"edged/internal/pglab"
	"edged/internal/s3lab"
)

// Three real nodes over a real PostgreSQL and a real S3 server lose nothing and archive
// nothing twice while they are killed: `make cluster-test` in short.
func TestAClusterLosesNothingWhileItsNodesAreKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	if _, err := pglab.Programs(); err != nil {
		t.Skip(err)
	}
	if _, err := s3lab.Gateway(); err != nil {
		t.Skipf("no S3 server: %v", err)
	}
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin, "edged/cmd/...")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	dir, err := os.MkdirTemp("", "cluster") // short: a socket's path has 108 bytes at most (unix(7))
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := run(t.Context(), options{bin: bin, dir: dir, kills: 3, appliances: 2, rate: 3, seed: 7, calm: true}); err != nil {
		t.Fatal(err)
	}
}

// Testrun installs what the tests want from Debian when it may, runs every test
// with the race detector and in a shuffled order, and says at the end which
// tests were left out and why. It is what `make test` calls.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// wanted maps a program that tests use to the Debian package that has it.
var wanted = [][2]string{
	{"gcc", "gcc"}, {"storescu", "dcmtk"}, {"Orthanc", "orthanc"}, {"jq", "jq"},
	{"strace", "strace"}, {"mkfs.ext4", "e2fsprogs"}, {"mkfs.xfs", "xfsprogs"}, {"ip", "iproute2"}, {"nft", "nftables"},
	{"swtpm", "swtpm"}, {"openssl", "openssl"}, {"xxd", "xxd"},
	{"avahi-daemon", "avahi-daemon"}, {"avahi-browse", "avahi-utils"}, {"dbus-daemon", "dbus-daemon"}, {"systemd-analyze", "systemd"},
	{"chromium", "chromium"}, {"dpkg-deb", "dpkg"},
}

// below maps files that tests use, and that are not in PATH, to their package.
var below = [][2]string{
	{"/usr/include/stdlib.h", "libc6-dev"}, // the race detector links with cgo
	{"/usr/lib/postgresql/*/bin/postgres", "postgresql"},
	{"/usr/share/orthanc/plugins/libOrthancDicomWeb.so*", "orthanc-dicomweb"},
}

// unwatched is SQLite itself, C that was translated to Go: the race detector and checkptr
// look at Go's memory, SQLite has its own (mmap), locks it with its own mutexes, and takes four
// times as long when each access is asked about. Its driver, which takes and copies
// what is ours, is watched like everything else.
var unwatched = []string{"-gcflags=modernc.org/sqlite/lib=-race=false"}

func main() {
	if missing := lacking(); len(missing) > 0 {
		install(missing)
	}
	args := slices.Concat([]string{"test", "-race", "-shuffle=on", "-count=1", "-timeout=30m", "-json"}, unwatched, []string{"./..."}, os.Args[1:])
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testrun:", err)
		os.Exit(1)
	}
	var r report
	r.read(out)
	err = cmd.Wait()
	r.close(os.Stdout)
	if err != nil || r.failed > 0 {
		os.Exit(1)
	}
}

func lacking() (packages []string) {
	for _, w := range wanted {
		if _, err := exec.LookPath(w[0]); err != nil {
			packages = append(packages, w[1])
		}
	}
	for _, b := range below {
		if found, _ := filepath.Glob(b[0]); len(found) == 0 {
			packages = append(packages, b[1])
		}
	}
	return packages
}

// install tries apt-get once; what it cannot install, tests skip and say so.
func install(packages []string) {
	fmt.Println("testrun: installing", strings.Join(packages, " "))
	if os.Geteuid() != 0 {
		fmt.Println("testrun: not root, so nothing is installed; tests that need it say what they skipped")
		return
	}
	for _, args := range [][]string{{"update", "-q"}, append([]string{"install", "-q", "-y", "--no-install-recommends"}, packages...)} {
		cmd := exec.Command("apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Printf("testrun: apt-get %s: %v\n%s", args[0], err, out)
			return
		}
	}
}

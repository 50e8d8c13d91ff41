package vault

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// childDir makes this test binary a program that opens a vault and says its key.
const childDir = "VAULT_TEST_CHILD"

func TestMain(m *testing.M) {
	dir := os.Getenv(childDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	runtime.LockOSThread() // strace counts the calls of each thread
	key, err := Open(Config{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(hex.EncodeToString(key))
	os.Exit(0)
}

func child(dir string, before ...string) (key, said string, err error) {
	cmd := exec.Command(os.Args[0])
	if len(before) > 0 {
		cmd = exec.Command(before[0], append(before[1:], os.Args[0])...)
	}
	cmd.Env = append(os.Environ(), childDir+"="+dir, "GORACE=atexit_sleep_ms=0")
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	return strings.TrimSpace(out.String()), errOut.String(), err
}

// calls are those that change the disk on the way to a key.
var calls = []string{"mkdirat", "fsync", "renameat", "fchmod", "write"}

// Killed by the kernel at the n-th call of each kind, for every n that there is: who
// got a key before gets the same one ever after, and whoever comes later agrees. And
// when the call fails instead, no key is given out that is not in both copies.
func TestAKillAtEverySystemCallLeavesOneKey(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed")
	}
	if _, said, err := child(filepath.Join(t.TempDir(), "keys"), "strace", "-f", "-qq", "-o", "/dev/null"); err != nil {
		t.Skipf("strace may not trace here: %v %s", err, said)
	}
	for _, how := range []string{"signal=KILL", "error=EIO"} {
		hits := 0
		for _, call := range calls {
			for n := 1; n <= 40; n++ {
				hit := cutOnce(t, how, call, n)
				if !hit {
					break // there are no more of this kind
				}
				hits++
			}
		}
		t.Logf("%s: %d places", how, hits)
		if hits < 15 {
			t.Errorf("%s: only %d places were hit: does strace still see the calls?", how, hits)
		}
	}
}

func cutOnce(t *testing.T, how, call string, n int) (hit bool) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	trace := filepath.Join(t.TempDir(), "trace")
	used, _, err := child(dir, "strace", "-f", "-qq", "-o", trace, "-e", "trace="+call, "-e", fmt.Sprintf("inject=%s:%s:when=%d", call, how, n))
	text, rerr := os.ReadFile(trace)
	if rerr != nil {
		t.Fatal(rerr)
	}
	hit = strings.Contains(string(text), "INJECTED") || strings.Contains(string(text), "killed by SIGKILL")
	if !hit && err != nil {
		t.Fatalf("%s %d: it was not hit, and failed: %v", call, n, err)
	}
	if used != "" {
		both, lerr := bothCopies(dir)
		if lerr != nil || both != used {
			t.Errorf("%s of %s %d: the key was given out, and the copies have %q, %v", how, call, n, both, lerr)
		}
	}
	if hit && how == "error=EIO" && call == "fsync" && used == "" && Exists(dir) {
		t.Errorf("fsync %d of a new key failed, and a copy is left for a second fsync to believe in (P8)", n)
	}
	first, said, err := child(dir)
	if err != nil {
		t.Fatalf("%s of %s %d: the next start: %v %s", how, call, n, err, said)
	}
	second, _, err := child(dir)
	if err != nil || first != second || used != "" && used != first {
		t.Errorf("%s of %s %d: keys %q, %q, %q, %v", how, call, n, used, first, second, err)
	}
	return hit
}

// An fsync that fails on one copy of a key that is in use: the key is not given out,
// the copy is taken away, and the next start writes a new file from the other one. An
// fsync is never tried again on the old file and believed (P8).
func TestACopyThatDidNotSyncIsWrittenAnew(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed")
	}
	anew := 0
	for n := 1; n <= 6; n++ {
		dir := filepath.Join(t.TempDir(), "keys")
		key, said, err := child(dir)
		if err != nil {
			t.Fatal(said)
		}
		trace := filepath.Join(t.TempDir(), "trace")
		used, _, _ := child(dir, "strace", "-f", "-qq", "-o", trace, "-e", "trace=fsync", "-e", fmt.Sprintf("inject=fsync:error=EIO:when=%d", n))
		if text, _ := os.ReadFile(trace); !strings.Contains(string(text), "INJECTED") {
			break
		}
		if used != "" {
			t.Errorf("fsync %d failed, and the key was given out", n)
		}
		for _, p := range paths(dir) {
			if _, err := os.Lstat(p); os.IsNotExist(err) {
				anew++
			}
		}
		again, said, err := child(dir)
		if both, berr := bothCopies(dir); err != nil || again != key || both != key || berr != nil {
			t.Errorf("fsync %d: the next start has %q, both copies %q, want %q: %v %v %s", n, again, both, key, err, berr, said)
		}
	}
	if anew != 4 { // file and directory of each copy; the two directories above have no copy of their own
		t.Errorf("%d copies were taken away, want 4", anew)
	}
}

// bothCopies is the key when both files have it.
func bothCopies(dir string) (string, error) {
	var keys [2]string
	for i, p := range paths(dir) {
		text, err := os.ReadFile(p)
		if err != nil {
			return "", err
		}
		k, err := parse(text)
		if err != nil {
			return "", err
		}
		keys[i] = hex.EncodeToString(k.blob)
	}
	if keys[0] != keys[1] {
		return "", fmt.Errorf("two keys")
	}
	return keys[0], nil
}

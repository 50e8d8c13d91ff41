package vault

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// newTPM starts a software TPM with a state of its own, behind a unix socket.
func newTPM(t *testing.T) (socket string) {
	t.Helper()
	if _, err := exec.LookPath("swtpm"); err != nil {
		t.Skip("swtpm is not installed")
	}
	dir, err := os.MkdirTemp("", "tpm") // a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return startTPM(t, dir)
}

func startTPM(t *testing.T, dir string) (socket string) {
	t.Helper()
	socket = filepath.Join(dir, "tpm.sock")
	cmd := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+dir, "--server", "type=unixio,path="+socket,
		"--ctrl", "type=unixio,path="+filepath.Join(dir, "ctrl.sock"), "--flags", "not-need-init,startup-clear")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if info, err := os.Stat(socket); err == nil && info.Mode()&os.ModeSocket != 0 {
			return socket
		}
		if time.Now().After(deadline) {
			t.Fatalf("swtpm does not listen: %s", &said)
		}
	}
}

// inAnyForm reports whether a file below dir holds the key as it is or in base64.
func inAnyForm(t *testing.T, dir string, key []byte) bool {
	t.Helper()
	plain := (&sealedKey{protect: File, id: keyID(key), blob: key}).text()
	base64 := bytes.Split(bytes.Split(plain, []byte("key "))[2], []byte("\n"))[0]
	found := false
	filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		found = found || bytes.Contains(text, key) || bytes.Contains(text, base64)
		return err
	})
	return found
}

// Sealed means: the same TPM opens it, after a restart too; the bytes are not on
// the disk; another TPM, as a moved disk meets it, does not, and says what to do.
func TestOnlyTheTPMThatSealedItOpensIt(t *testing.T) {
	mine, other := newTPM(t), newTPM(t)
	dir := filepath.Join(t.TempDir(), "keys")
	c := Config{Dir: dir, Protect: TPM, TPM: mine}
	key := mustOpen(t, c)
	if inAnyForm(t, dir, key) {
		t.Error("the key is on the disk")
	}
	for range 5 { // more than a TPM has places: each is given back
		if again := mustOpen(t, c); !bytes.Equal(again, key) {
			t.Fatal("another key")
		}
	}
	before, _ := os.ReadFile(paths(dir)[0])
	c.TPM = other
	for _, needed := range []bool{true, false} {
		c.Needed = needed
		if _, err := Open(c); !errors.Is(err, ErrTPM) || !strings.Contains(err.Error(), "recover-key") {
			t.Errorf("needed %v, another TPM: %v, want ErrTPM", needed, err)
		}
	}
	c.TPM = filepath.Join(t.TempDir(), "none")
	if _, err := Open(c); err == nil || errors.Is(err, ErrNoKey) || !strings.Contains(err.Error(), "is the TPM switched on") {
		t.Errorf("no TPM: %v", err)
	}
	if now, _ := os.ReadFile(paths(dir)[0]); !bytes.Equal(now, before) {
		t.Error("a copy was changed by who could not open it")
	}
	c.TPM = mine
	if again := mustOpen(t, c); !bytes.Equal(again, key) {
		t.Error("another key")
	}
}

// The state of a TPM outlives its power; so does the key.
func TestASealedKeySurvivesARestartOfTheTPM(t *testing.T) {
	if _, err := exec.LookPath("swtpm"); err != nil {
		t.Skip("swtpm is not installed")
	}
	state, err := os.MkdirTemp("", "tpm")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(state)
	dir := filepath.Join(t.TempDir(), "keys")
	var key []byte
	t.Run("seal", func(t *testing.T) { key = mustOpen(t, Config{Dir: dir, Protect: TPM, TPM: startTPM(t, state)}) })
	os.Remove(filepath.Join(state, "tpm.sock"))
	t.Run("unseal", func(t *testing.T) {
		if again := mustOpen(t, Config{Dir: dir, Protect: TPM, TPM: startTPM(t, state), Needed: true}); !bytes.Equal(again, key) {
			t.Error("another key")
		}
	})
}

// Changing the protection keeps the key, cut wherever it is, and leaves both copies
// as configured.
func TestTheProtectionMayBeChangedAndCut(t *testing.T) {
	socket := newTPM(t)
	dir := filepath.Join(t.TempDir(), "keys")
	key := mustOpen(t, Config{Dir: dir})
	for _, to := range []string{TPM, File, TPM} {
		for cut := 1; cut < 4; cut++ {
			if _, err := Open(Config{Dir: dir, Protect: to, TPM: socket, Needed: true, step: cutAt(cut)}); err != nil && !errors.Is(err, errCut) {
				t.Fatal(err)
			}
		}
		if got := mustOpen(t, Config{Dir: dir, Protect: to, TPM: socket, Needed: true}); !bytes.Equal(got, key) {
			t.Fatalf("to %s: another key", to)
		}
		if inAnyForm(t, dir, key) != (to == File) {
			t.Errorf("protected with %s, the key is in a file: %v", to, to != File)
		}
	}
}

// Beside a copy that somebody has put back as a file, the sealed copy of another
// TPM is not taken for a good one: both would end sealed to a TPM that is not here.
func TestACopyOfAnotherTPMIsReplacedNotMultiplied(t *testing.T) {
	old, here := newTPM(t), newTPM(t)
	dir, safe := filepath.Join(t.TempDir(), "keys"), filepath.Join(t.TempDir(), "keys")
	key := mustOpen(t, Config{Dir: dir, Protect: TPM, TPM: old})
	for i := range 2 {
		plain := sealedKey{protect: File, id: keyID(key), blob: key}
		if err := os.WriteFile(paths(dir)[i], plain.text(), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := mustOpen(t, Config{Dir: dir, Protect: TPM, TPM: here, Needed: true}); !bytes.Equal(got, key) {
			t.Fatal("another key")
		}
		for j := range 2 { // each copy alone opens here
			text, err := os.ReadFile(paths(dir)[j])
			if err != nil {
				t.Fatal(err)
			}
			os.MkdirAll(dirs(safe)[j], 0o700)
			os.Remove(paths(safe)[1-j])
			os.WriteFile(paths(safe)[j], text, 0o600)
			if got, err := Load(Config{Dir: safe, TPM: here}); err != nil || !bytes.Equal(got, key) {
				t.Errorf("put back as %d: copy %d does not open here: %v", i+1, j+1, err)
			}
		}
		// and back to the other TPM for the next turn
		os.Remove(paths(dir)[1-i])
		if err := os.WriteFile(paths(dir)[i], plain.text(), 0o600); err != nil {
			t.Fatal(err)
		}
		mustOpen(t, Config{Dir: dir, Protect: TPM, TPM: old})
	}
}

// A thing that listens and never answers, or answers nonsense, is an error in time.
func TestATPMThatAnswersNonsenseIsAnError(t *testing.T) {
	for name, answer := range map[string]string{"nothing": "", "short": "\x80\x01\x00", "zero": "\x80\x01\x00\x00\x00\x00\x00\x00\x00\x00",
		"huge": "\x80\x01\xff\xff\xff\xff\x00\x00\x00\x00", "empty": "\x80\x01\x00\x00\x00\x0a\x00\x00\x00\x00"} {
		socket := liar(t, answer)
		if key, err := Open(Config{Dir: filepath.Join(t.TempDir(), "keys"), Protect: TPM, TPM: socket}); err == nil || key != nil {
			t.Errorf("%s: a key, %v", name, err)
		}
	}
}

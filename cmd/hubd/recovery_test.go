package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edged/spool/vault/recovery"
)

func newRecovery(t *testing.T, dir string) (said string, code int) {
	t.Helper()
	var out, errOut strings.Builder
	code = run(t.Context(), []string{"recovery", "new", "--out", dir}, &out, &errOut)
	return out.String() + errOut.String(), code
}

// What the command makes is a pair, the private half readable by its owner alone.
func TestRecoveryNewMakesAPairAndSaysWhatToDoWithIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "usb")
	said, code := newRecovery(t, dir)
	if code != exitDone || !strings.Contains(said, "keep it offline") || !strings.Contains(said, "recovery_key: "+filepath.Join(dir, recoveryPublic)) {
		t.Fatalf("exit %d: %s", code, said)
	}
	private, err := os.ReadFile(filepath.Join(dir, recoveryPrivate))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(said, strings.Split(string(private), "\n")[1]) {
		t.Error("the private key is printed")
	}
	if info, _ := os.Stat(filepath.Join(dir, recoveryPrivate)); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	c := Config{Recovery: filepath.Join(dir, recoveryPublic)}
	public, err := c.recoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	text, err := recovery.Seal(public, "0123456789abcdef", make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	w, err := recovery.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Open(private); err != nil {
		t.Errorf("the two halves do not belong together: %v", err)
	}
}

func TestARecoveryKeyIsNeverWrittenOver(t *testing.T) {
	for _, half := range []string{recoveryPrivate, recoveryPublic} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, half), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		said, code := newRecovery(t, dir)
		names, _ := os.ReadDir(dir)
		text, _ := os.ReadFile(filepath.Join(dir, half))
		if code != exitFailed || string(text) != "mine" || len(names) != 1 {
			t.Errorf("%s: exit %d, %d files, %q: %s", half, code, len(names), text, said)
		}
	}
}

// The private half on the hub is the one mistake that must not pass.
func TestTheHubRefusesAPrivateOrMissingRecoveryKey(t *testing.T) {
	dir := t.TempDir()
	if said, code := newRecovery(t, dir); code != exitDone {
		t.Fatal(said)
	}
	for file, want := range map[string]string{
		filepath.Join(dir, recoveryPrivate): "this is no recovery public key",
		filepath.Join(dir, "nothing.pem"):   "no such file",
		filepath.Join(dir, recoveryPublic):  "",
	} {
		path := filepath.Join(t.TempDir(), "hubd.yaml")
		if err := os.WriteFile(path, []byte("recovery_key: "+file), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errOut strings.Builder
		code := run(t.Context(), []string{"check", "-c", path}, &out, &errOut)
		switch {
		case want == "" && (code != exitDone || strings.Contains(errOut.String(), "recovery_key")):
			t.Errorf("a good one: exit %d: %s", code, errOut.String())
		case want != "" && (code != exitUsage || !strings.Contains(errOut.String(), ":1: recovery_key: ") || !strings.Contains(errOut.String(), want)):
			t.Errorf("%s: exit %d: %s", file, code, errOut.String())
		}
	}
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edged/hub/ledger"
)

// A command says so where it finds no ledger: it would be a good backup of nothing, and an
// empty trail that is in order. It says so once.
func TestACommandWhereNoHubHasBeenSaysSo(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "hubd.yaml")
	if err := os.WriteFile(config, []byte("data_dir: "+dir+"/data\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{true, false} {
		var out, errOut strings.Builder
		if code := run(t.Context(), []string{"devices", "ls", "-c", config}, &out, &errOut); code != exitDone || strings.Contains(errOut.String(), "there was no ledger in "+dir) != want {
			t.Errorf("%d, told is not %t: %s", code, want, errOut.String())
		}
	}
}

// root is told that a directory is another user's; that user and others are not.
func TestRootIsToldOfADirectoryOfTheHubsUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a directory away")
	}
	dir := t.TempDir()
	c := ledger.Config{Database: "postgres://db/hubd"}
	if got := surprises(dir, c, 0); len(got) != 0 {
		t.Errorf("its own: %q", got)
	}
	if err := os.Chown(dir, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(surprises(dir, c, 0), ""); !strings.Contains(got, "belongs to user 12345") || !strings.Contains(got, "sudo -u") {
		t.Errorf("root hears %q", got)
	}
	if got := surprises(dir, c, 12345); len(got) != 0 {
		t.Errorf("the user hears %q", got)
	}
}

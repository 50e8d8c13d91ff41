package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The demonstration may be shown again in the same folder, as often as one
// likes: the same images are archived once, and it ends as the first time. A
// folder whose two ends do not belong together is told at once.
func TestDemoAgainInTheSameFolder(t *testing.T) {
	t.Parallel()
	bin(t, "hubd")
	bin(t, "modsim")
	dir := filepath.Join(t.TempDir(), "demo")
	show := func() (string, int) {
		return run2(t, bin(t, "edged"), "demo", "--once", "--within", "200s", "--profile", "small", "--dir", dir)
	}
	for _, when := range []string{"first", "second", "third"} {
		said, code := show()
		var o outcome
		if err := json.Unmarshal([]byte(lastLine(said)), &o); err != nil || code != 0 || !o.complete() {
			t.Fatalf("the %s time: exit %d, %v; it said:\n%s", when, code, err, said)
		}
		if n := len(byID(t, filepath.Join(dir, "archive", "*", "*.dcm"))); n != o.Sent {
			t.Errorf("the %s time: %d files in the archive, %d were sent", when, n, o.Sent)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, "hub")); err != nil {
		t.Fatal(err)
	}
	if said, code := show(); code != 1 || !strings.Contains(lastLine(said), "another hub") {
		t.Errorf("with another hub: exit %d, it said:\n%s", code, said)
	}
}

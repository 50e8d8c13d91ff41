package forward

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Several nodes deliver to one directory: who starts sweeps away what its own crash has
// left, and what has been left for a day, but not what another node is writing.
func TestAStartLeavesAloneWhatOtherNodesWrite(t *testing.T) {
	path := t.TempDir()
	NewDir(DirConfig{Name: "a", Path: path, Node: "n-1"})
	for name, age := range map[string]time.Duration{"n-1-0011": 0, "n-0022": 0, "n-2-0033": time.Hour, "n-2-0044": 48 * time.Hour, "0055": 0} {
		file := filepath.Join(path, incoming, name)
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	d := NewDir(DirConfig{Name: "a", Path: path, Node: "n-1"})
	for name, stays := range map[string]bool{"n-1-0011": false, "n-0022": true, "n-2-0033": true, "n-2-0044": false, "0055": false} {
		if _, err := os.Stat(filepath.Join(path, incoming, name)); (err == nil) != stays {
			t.Errorf("%s stays: %v, want %v", name, err == nil, stays)
		}
	}
	if got := d.mine("77"); got != "n-1-77" {
		t.Errorf("what it writes is called %s", got)
	}
}

package forward

import (
	"os"
	"path/filepath"
	"testing"
)

// After the loss of the hub's disk and a restore of its rows: what the directory has
// already, whole, is archived without asking appliances, which may have forgotten it.
// What it has damaged counts for nothing, and is asked for.
func TestWhatTheHubLostAndTheDirectoryHasIsArchived(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, path string){
		"whole": func(*testing.T, string) {},
		"damaged": func(t *testing.T, path string) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text[len(text)-1] ^= 1
			if err := os.WriteFile(path, text, 0o644); err != nil {
				t.Fatal(err)
			}
		},
		"away": func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "vna", "again")
			path := t.TempDir()
			b.receive(small()[0])
			first := newDir(t, path)
			b.run(func() bool { return b.stats().Backlog["vna"].Objects == 0 }, first)
			b.remove(b.first)
			harm(t, filepath.Join(path, b.study[b.first], b.first.String()+".dcm"))
			other := newDir(t, path)
			other.c.Name = "again" // the same directory, after the loss
			lost := int64(0)
			b.run(func() bool {
				s := b.stats()
				lost = s.Backlog["again"].Quarantined
				return s.Backlog["again"].Objects == 0
			}, other)
			troubles, err := b.ledger.Troubles(t.Context(), "d", 0, 9)
			if err != nil {
				t.Fatal(err)
			}
			if whole := name == "whole"; whole != (lost == 0) || whole != (len(troubles) == 0) {
				t.Errorf("lost %d, troubles %+v", lost, troubles)
			}
		})
	}
}

package spool

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// S8: what Encrypted calls encrypted are the files of a spool with a key, all of them,
// and no file of one without.
func TestEncryptedTellsTheFilesApart(t *testing.T) {
	inBothWays(t, func(t *testing.T, key []byte) {
		cfg := Config{Dir: t.TempDir(), BallastBytes: -1, Key: key}
		s := open(t, cfg)
		o, _ := put(t, s, newSample(1), nil)
		if err := s.AtHub(context.Background(), receipt(o)); err != nil {
			t.Fatal(err)
		}
		s.Close()
		seen := map[string]int{}
		for name := range tree(t, cfg.Dir) {
			if !strings.HasSuffix(name, ".obj") && !strings.HasSuffix(name, ".log") {
				continue
			}
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			seen[filepath.Ext(name)]++
			for n := range len(b) {
				if n >= EncryptedHead && Encrypted(b[:n]) != (key != nil) || n < 8 && Encrypted(b[:n]) {
					t.Fatalf("%s, %d bytes of it: encrypted %v", name, n, Encrypted(b[:n]))
				}
			}
		}
		if len(seen) != 2 {
			t.Fatalf("files %v: this proves nothing", seen)
		}
	})
}

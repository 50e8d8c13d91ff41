package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// The demonstration is what a stranger sees first: all of it must be true, also
// when the hub is killed in the middle.
func TestDemoOnce(t *testing.T) {
	for name, c := range map[string]struct {
		args  []string
		least int
	}{
		"small":                    {[]string{"--profile", "small"}, 10},
		"all, with the hub killed": {[]string{"--kill-hub"}, 210},
	} {
		t.Run(name, func(t *testing.T) {
			bin(t, "hubd") // the demonstration finds them beside edged
			bin(t, "modsim")
			dir := filepath.Join(t.TempDir(), "demo")
			said, code := run2(t, bin(t, "edged"), append([]string{"demo", "--once", "--within", "200s", "--dir", dir}, c.args...)...)
			var o outcome
			if err := json.Unmarshal([]byte(lastLine(said)), &o); err != nil || code != 0 {
				t.Fatalf("exit %d, %v; it said:\n%s", code, err, said)
			}
			if !o.complete() || o.Sent < c.least {
				t.Errorf("the last line says %+v, want at least %d, all archived and identical", o, c.least)
			}
			// Not only by its own word.
			archived := byID(t, filepath.Join(dir, "archive", "*", "*.dcm"))
			sent := byID(t, filepath.Join(dir, "sent", "*.dcm"))
			if len(archived) != o.Sent || len(sent) != o.Sent {
				t.Errorf("%d files in the archive, %d sent, it says %d", len(archived), len(sent), o.Sent)
			}
			for id, file := range sent {
				if same, err := sameDataSet(archived[id], file); err != nil || !same {
					t.Errorf("object %s: identical %v, %v", id, same, err)
				}
			}
			log, _ := os.ReadFile(filepath.Join(dir, "hubd.log"))
			t.Logf("%+v, the hub said %d bytes", o, len(log))
		})
	}
}

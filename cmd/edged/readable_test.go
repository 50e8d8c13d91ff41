package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

// mustSay runs edged in this process.
func mustSay(t *testing.T, code int, want string, args ...string) {
	t.Helper()
	var said bytes.Buffer
	if got := run(args, &said, &said); got != code || !strings.Contains(said.String(), want) {
		t.Errorf("edged %s: exit %d, want %d and %q, says %s", strings.Join(args, " "), got, code, want, said.String())
	}
}

func bucket(t *testing.T, path, name string) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	ok(t, err)
	ok(t, db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte(name))
		return errors.Join(err, b.Put([]byte("k"), []byte("v")))
	}))
	ok(t, db.Close())
}

// "Worthless" is said of a disk on which nothing of an image can be read: each kind
// of file that was never encrypted is found, also beside the spool and where the spool
// is a link to another disk, and what tells nothing is not.
func TestWhatIsReadableBesideTheSpoolIsFound(t *testing.T) {
	t.Parallel()
	c := &Config{DataDir: filepath.Join(t.TempDir(), "link")}
	disk := t.TempDir()
	ok(t, os.Symlink(t.TempDir(), c.DataDir))
	ok(t, os.Symlink(disk, c.spoolDir()))
	readable := map[string]string{
		"old export/a.dcm": strings.Repeat("\x00", 128) + "DICM and more",
		"copy/00/1.obj":    "EDGEDOBJ and more",
		"copy/1.jnl":       "EDGEDJNL\x00\x00\x00\x01 and more",
		"copy/2020-01.log": `{"seq":1,"prev":"00","event":{"who":"x"}}` + "\n",
		"spool/left over":  "who knows",
	}
	others := map[string]string{
		"copy/2.obj": "EDGEDENC and more", "copy/2.jnl": "EDGEDJNL\x00\x00\x00\x02", "copy/2020-02.log": `{"seq":8,"prev":"00","sealed":"AAAA"}`,
		"short": "DICM", "empty": "", "id": strings.Repeat("0", 32), "retired": "2026-01-01T00:00:00Z\n", "spool/1.obj": "EDGEDENC",
	}
	for _, files := range []map[string]string{readable, others} {
		for name, text := range files {
			name = filepath.Join(c.DataDir, name)
			ok(t, os.MkdirAll(filepath.Dir(name), 0o700))
			ok(t, os.WriteFile(name, []byte(text), 0o600))
		}
	}
	bucket(t, filepath.Join(c.DataDir, "copy/plain.db"), "objects 1")
	bucket(t, filepath.Join(c.DataDir, "copy/sealed.db"), "objects 2")
	readable["copy/plain.db"] = ""
	found, err := c.plainFiles()
	ok(t, err)
	for name := range readable {
		if !slices.Contains(found, filepath.Join(c.DataDir, name)) {
			t.Errorf("%s is not found", name)
		}
	}
	ok(t, os.MkdirAll(filepath.Join(c.spoolDir(), "objects/00"), 0o700))
	image := filepath.Join(c.spoolDir(), "objects/00/1.obj")
	ok(t, os.WriteFile(image, []byte("EDGEDOBJ"), 0o600))
	if again, err := c.plainFiles(); err != nil || again[0] != image {
		t.Errorf("an image is not told first: %q, %v", again, err)
	}
	if len(found) != len(readable) {
		t.Errorf("found %q", found)
	}
}

// What could not be looked at is not called worthless, nor what anybody can read.
func TestOnlyAnEmptySearchIsCalledWorthless(t *testing.T) {
	var said bytes.Buffer
	if err := tellErased(&said, nil, errors.New("input/output error")); err == nil || said.Len() > 0 || !strings.Contains(err.Error(), "destroy the disk") {
		t.Errorf("%v, says %s", err, said.String())
	}
	if err := tellErased(&said, []string{"a.dcm"}, nil); err == nil || said.Len() > 0 || !strings.Contains(err.Error(), "a.dcm") {
		t.Errorf("%v, says %s", err, said.String())
	}
	if err := tellErased(&said, nil, nil); err != nil || !strings.Contains(said.String(), "worthless now") {
		t.Errorf("%v, says %s", err, said.String())
	}
}

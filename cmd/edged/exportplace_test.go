package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"edged/agent/status"
	"edged/spool"
)

// Plain images must not come to lie on the appliance's own disk: not by a name below
// data_dir, nor by a link that leads there, made already or not.
func TestNoExportIntoTheApplianceItself(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data, elsewhere := filepath.Join(dir, "data"), filepath.Join(dir, "elsewhere")
	c := Config{DataDir: data}
	if err := c.mayExportTo(filepath.Join(data, "out")); err != nil {
		t.Errorf("before there is a data_dir: %v", err) // openInside refuses
	}
	for _, d := range []string{data + "/spool", data + "/made", elsewhere, elsewhere + "/disk"} {
		ok(t, os.MkdirAll(d, 0o700))
	}
	for name, to := range map[string]string{"link": data, "deep": data + "/made", "nowhere": data + "/later", "out": elsewhere, "name": dir} {
		ok(t, os.Symlink(to, filepath.Join(dir, name)))
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, to := range []string{"data", "data/out", "data/made/a/b", "link", "link/out", "deep/out/more", "name/data/out", "nowhere", "nowhere/out", "elsewhere/../data/x"} {
		var usage usageError
		if err := c.mayExportTo(at(to)); !errors.As(err, &usage) {
			t.Errorf("%s is taken: %v", to, err)
		}
	}
	for _, to := range []string{"elsewhere", "elsewhere/new/new", "out/new", "data2", "name/elsewhere", "."} {
		if err := c.mayExportTo(at(to)); err != nil {
			t.Errorf("%s: %v", to, err)
		}
	}
	ok(t, os.Remove(data+"/spool"))
	ok(t, os.Symlink(elsewhere+"/disk", data+"/spool"))
	if err := c.mayExportTo(at("elsewhere/disk/out")); err == nil {
		t.Error("into the disk that the spool is on by a link")
	}
}

// The commands ask before they open anything.
func TestExportAndDiscardRefuseTheApplianceItself(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data, config := filepath.Join(dir, "data"), filepath.Join(dir, "edged.yaml")
	ok(t, os.MkdirAll(data+"/spool", 0o700))
	ok(t, os.Symlink(data, filepath.Join(dir, "link")))
	ok(t, os.WriteFile(config, []byte("data_dir: "+data+"\nspool: {allow_unsafe_filesystem: true}\n"), 0o600))
	for _, to := range []string{filepath.Join(data, "out"), filepath.Join(dir, "link", "out")} {
		for _, args := range [][]string{{"export", to}, {"export", "--receipts", to}, {"discard", "--reason", "x", "--export", to, "abcd"}} {
			mustSay(t, 2, "is inside data_dir", append([]string{"spool", args[0], "-c", config}, args[1:]...)...)
		}
		if _, err := os.Lstat(filepath.Join(data, "out")); err == nil {
			t.Errorf("%s was made", to)
		}
	}
}

// plainSpool is a configuration of a spool with one image in it, and the image's ID.
func plainSpool(t *testing.T) (config string, id spool.ID) {
	t.Helper()
	data := t.TempDir()
	config = filepath.Join(t.TempDir(), "edged.yaml")
	ok(t, os.WriteFile(config, []byte("data_dir: "+data+"\nspool: {allow_unsafe_filesystem: true, reserve_bytes: 0B, encryption: false}\n"), 0o600))
	s, err := spool.Open(t.Context(), spool.Config{Dir: filepath.Join(data, spoolDir), AllowUnsafeFilesystem: true, ReserveBytes: -1})
	ok(t, err)
	w, err := s.Create(spool.New{Group: "g"})
	ok(t, err)
	o, _, err := w.Commit(t.Context())
	ok(t, err)
	ok(t, s.Close())
	return config, o.ID
}

// Too few digits are a slip: `show 0` must not pick an object, nor say that there is none.
func TestFewDigitsNameNoObject(t *testing.T) {
	t.Parallel()
	config, _ := plainSpool(t)
	out := filepath.Join(t.TempDir(), "out")
	for _, args := range [][]string{{"show", "0"}, {"export", out, "0"}, {"export", out, "abc"}, {"verify", "abc"}, {"release", "12"}} {
		mustSay(t, 2, "give at least 4 digits", append([]string{"spool", args[0], "-c", config}, args[1:]...)...)
	}
	mustSay(t, 1, "is not in the spool", "spool", "show", "-c", config, "seq:77")
}

// Where nothing was released, nothing is said of what was.
func TestReleaseSaysNothingOfWhatItDidNot(t *testing.T) {
	t.Parallel()
	config, id := plainSpool(t)
	var said bytes.Buffer
	code := run([]string{"spool", "release", "-c", config, id.String()}, &said, &said)
	if code != 1 || !strings.Contains(said.String(), "there is nothing to release") || strings.Contains(said.String(), "released on this appliance") {
		t.Errorf("exit %d, says %s", code, said.String())
	}
}

// The terminal tells what is in quarantine now, not what ever was, and what people
// have discarded.
func TestTheTerminalTellsQuarantineNowAndDiscards(t *testing.T) {
	st := status.Status{State: status.OK}
	st.Counters.Quarantined, st.Spool.Quarantined, st.Counters.Discarded = 5, 1, 4
	var said bytes.Buffer
	ok(t, printStatus(&said, st, time.Now(), "en"))
	if text := said.String(); !regexp.MustCompile(`(?m)^Set aside +1 · `).MatchString(text) || !regexp.MustCompile(`(?m)^Deleted here by a person +4$`).MatchString(text) || strings.Contains(text, " 5") {
		t.Errorf("it says %s", text)
	}
}

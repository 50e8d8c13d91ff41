package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"edged/internal/config"
	"edged/uplink"
	"edged/uplink/uplinktest"
)

var examples = []string{"hubd-laptop.yaml", "hubd-server.yaml", "hubd-cluster.yaml"}

// installed is an example beside the files that it names.
func installed(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../configs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key, _ := selfSigned(t)
	for file, content := range map[string][]byte{
		name:           []byte(strings.ReplaceAll(string(text), "/etc/edged/", dir+"/")),
		"index.secret": []byte(strings.Repeat("s", minSecret) + "\n"), "vna.secret": []byte("secret\n"),
		"bucket.keys": []byte("aws_access_key_id = a\naws_secret_access_key = b\n"),
		"console.crt": cert, "console.key": key, "index-ca.crt": cert,
	} {
		if err := os.WriteFile(filepath.Join(dir, file), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, name)
}

// at finds a key by the names that YAML has for it.
func at(v reflect.Value, key string) any {
	for name := range strings.SplitSeq(key, ".") {
		found := false
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("yaml") == name {
				v, found = v.Field(i), true
				break
			}
		}
		if !found {
			return nil
		}
	}
	return v.Interface()
}

// Each example is a configuration that hubd takes, says nothing that is so anyway, and
// says of each key why.
func TestExamplesSayOnlyWhatDiffersAndWhy(t *testing.T) {
	for _, name := range examples {
		t.Run(name, func(t *testing.T) {
			file := installed(t, name)
			c, std := Default(), Default()
			written, err := config.LoadWritten(file, &c, "")
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range written {
				got, is := at(reflect.ValueOf(c), key), at(reflect.ValueOf(std), key)
				if got == nil || fmt.Sprint(got) == fmt.Sprint(is) {
					t.Errorf("%s: %v is the default", key, got)
				}
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			before := ""
			for line := range strings.Lines(string(text)) {
				if line != "\n" && !strings.ContainsRune("# ", rune(line[0])) && !strings.HasPrefix(before, "#") && !strings.HasPrefix(line, "destinations:") && !strings.HasPrefix(line, "events:") {
					t.Errorf("%q: no word why", line)
				}
				before = line
			}
			var out, errOut strings.Builder
			if code := run(t.Context(), []string{"check", "-c", file}, &out, &errOut); code != exitDone {
				t.Errorf("exit %d: %s", code, errOut.String())
			}
		})
	}
}

// The laptop's example really runs: everything that it tries works, an appliance
// enrols, and what it sends is in the folder beside the file.
func TestTheLaptopsExampleRuns(t *testing.T) {
	s := &site{T: t, config: installed(t, "hubd-laptop.yaml"), listen: freeAddress(t)}
	s.dir = filepath.Dir(s.config)
	t.Setenv("HUBD_LISTEN", s.listen)
	t.Setenv("HUBD_CONSOLE_LISTEN", "127.0.0.1:0")
	t.Chdir(s.dir)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	os.Args[0] = program // it may be a relative path
	if out, code := s.try(); code != exitDone {
		t.Fatalf("exit %d: %s", code, out)
	}
	p := s.start()
	source := uplinktest.NewSource()
	it := source.Add(1, 50_000, 1)
	s.uplink(s.enrol(), source, func(*uplink.Uplink) bool { return source.Count(uplinktest.Archived) == 1 })
	s.identical(filepath.Join(s.dir, "hubd-archive", it.Study, it.ID.String()+".dcm"), it.Data)
	if st := s.status(p); st.State != "ok" {
		t.Errorf("%s %q", st.State, st.Warnings)
	}
}

// The unit may write to each directory that the server's example names.
func TestTheServersDirectoriesAreInTheUnitsSandbox(t *testing.T) {
	c := Default()
	if err := config.Load(installed(t, "hubd-server.yaml"), &c, ""); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../configs/hubd-paths.conf")
	if err != nil {
		t.Fatal(err)
	}
	_, paths, _ := strings.Cut(string(text), "\nReadWritePaths=")
	var out strings.Builder
	c.tellSandbox(&out, "")
	if _, wanted, _ := strings.Cut(out.String(), "it must have "); wanted == "" || fmt.Sprint(strings.Fields(wanted)) != fmt.Sprint(strings.Fields(paths)) {
		t.Errorf("wanted %q, has %q", wanted, paths)
	}
}

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A secret that everybody on the machine can read is one no more: each key that names
// one is warned of, by its name. What the group reads is meant so.
func TestSecretsThatAllCanReadAreWarnedOf(t *testing.T) {
	dir := t.TempDir()
	var c Config
	file := func(name string) string { return filepath.Join(dir, name) }
	c.CADir, c.Console.TLS.Key = dir, file("console")
	c.Events.Sinks = []Sink{{Name: "a"}, {Name: "b", SecretFile: file("sink")}}
	c.Destinations = []Destination{{Auth: Auth{PasswordFile: file("password"), SecretFile: file("oauth"), Key: file("client")}, TLS: TLS{Key: file("dicom")}}}
	names := map[string]string{"console": "console.tls.key", "ca.pem": "ca_dir", "sink": "events.sinks[1].secret_file", "password": "destinations[0].auth.password_file",
		"oauth": "destinations[0].auth.secret_file", "client": "destinations[0].auth.key", "dicom": "destinations[0].tls.key"}
	if got := c.secretWarnings(); len(got) != 0 {
		t.Errorf("files that are not there: %q", got)
	}
	for name := range names {
		if err := os.WriteFile(file(name), nil, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.secretWarnings(); len(got) != 0 {
		t.Errorf("files of a group: %q", got)
	}
	for name, key := range names {
		if err := os.Chmod(file(name), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(c.warnings(), "\n"); !strings.Contains(got, key+": "+file(name)+" can be read by everybody") {
			t.Errorf("%s is not warned of: %s", key, got)
		}
		if err := os.Chmod(file(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A password of the database in a configuration that everybody can read is warned of by
// check and at the start, with the mode and what to do; one that is elsewhere is not.
func TestADatabasePasswordThatAllCanReadIsWarnedOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hubd.yaml")
	warned := func(database string, mode os.FileMode) string {
		t.Helper()
		if err := errors.Join(os.WriteFile(path, []byte("database: "+database+"\nnode: n1\n"), 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		c, err := load(path)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, w := range c.warnings() {
			if strings.HasPrefix(w, "database:") {
				got = append(got, w)
			}
		}
		return strings.Join(got, "\n")
	}
	for _, with := range []string{"postgres://hubd:xyzzy@db:5432/hubd", "postgres://hubd:xyzzy@db1:5432,db2:5432/hubd?sslmode=require", "postgresql://db/hubd?user=hubd&password=xyzzy"} {
		got := warned(with, 0o644)
		for _, want := range []string{path, "mode 0644", "chmod o= " + path, ".pgpass"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in %q", with, want, got)
			}
		}
		if strings.Contains(got, "xyzzy") {
			t.Errorf("the password is told: %s", got)
		}
		if got := warned(with, 0o640); got != "" {
			t.Errorf("readable by its group: %q", got)
		}
	}
	for _, without := range []string{"postgres://hubd@db:5432/hubd", "postgres://db/hubd"} {
		if got := warned(without, 0o644); got != "" {
			t.Errorf("%s: %q", without, got)
		}
	}
	t.Setenv("HUBD_DATABASE", "postgres://hubd:other@db:5432/hubd")
	if got := warned("postgres://hubd@db:5432/hubd", 0o644); got != "" {
		t.Errorf("a password from the environment: %q", got)
	}
	t.Setenv("HUBD_DATABASE", "postgres://hubd:xyzzy@db:5432/hubd")
	var out, errOut strings.Builder
	if code := run(t.Context(), []string{"check", "-c", path}, &out, &errOut); code != exitDone || strings.Contains(errOut.String(), "password stands") {
		t.Errorf("%d %s", code, errOut.String())
	}
	t.Setenv("HUBD_DATABASE", "")
	warned("postgres://hubd:xyzzy@db:5432/hubd", 0o604)
	os.Unsetenv("HUBD_DATABASE")
	errOut.Reset()
	if code := run(t.Context(), []string{"check", "-c", path}, &out, &errOut); code != exitDone || !strings.Contains(errOut.String(), "mode 0604") {
		t.Errorf("check says nothing: %d %s", code, errOut.String())
	}
}

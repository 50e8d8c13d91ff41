package main

import (
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

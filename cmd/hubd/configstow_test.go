package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDestinationErrorsSayWhatIsWanted(t *testing.T) {
	stow := func(rest string) string { return "destinations: [{name: a, type: stow, " + rest + "}]" }
	cstore := func(rest string) string {
		return "destinations: [{name: a, type: cstore, address: 'h:104', ae_title: A, confirm: success, " + rest + "}]"
	}
	for text, want := range map[string]string{
		stow("required: true"):                                                                    "destinations[0].url: want https://HOST/PATH",
		stow("url: 'https://u:p@h/x'"):                                                            "destinations[0].url: want https://HOST/PATH",
		stow("url: 'https://h/x', confirm: commitment"):                                           "destinations[0].confirm: a stow confirms by what its answer lists",
		stow("url: 'https://h/x', associations: 65"):                                              "destinations[0].associations: 65: want 1 to 64",
		stow("url: 'https://h/x', request_objects: 17"):                                           "destinations[0].request_objects: 17: want 1 to 16",
		stow("url: 'https://h/x', request_objects: 0"):                                            "destinations[0].request_objects: 0: want 1 to 16",
		stow("url: 'https://h/x', request_bytes: 512KiB"):                                         "destinations[0].request_bytes: 512KiB: want 1MiB to 4GiB",
		cstore("request_bytes: 2MiB"):                                                             "destinations[0].request_objects: request_objects and request_bytes are for a stow",
		stow("url: 'https://h/x', path: /x"):                                                      "destinations[0].path: is not for a stow",
		stow("url: 'https://h/x', auth: {user: u}"):                                               "destinations[0].auth: a password wants user",
		stow("url: 'https://h/x', auth: {token_url: 'https://i/t'}"):                              "destinations[0].auth: OAuth2 client credentials want",
		stow("url: 'https://h/x', auth: {cert: c}"):                                               "destinations[0].auth: a client certificate wants",
		stow("url: 'https://h/x', auth: {user: u, password_file: f, cert: c, key: k}"):            "destinations[0].auth: want one of",
		stow("url: 'http://h/x', auth: {user: u, password_file: f}"):                              "destinations[0].url: with auth it must be https",
		stow("url: 'https://h/x', auth: {token_url: 'http://i/t', client_id: c, secret_file: f}"): "destinations[0].auth.token_url: want https",
		stow("url: 'https://h/x', for: {modalities: [ct]}"):                                       `destinations[0].for.modalities: "ct" is no modality`,
		stow("url: 'https://h/x', for: {facilities: [a/b]}"):                                      `destinations[0].for.facilities: "a/b" is no facility code`,
		stow("url: 'https://h/x', for: {ae_titles: [' A']}"):                                      `destinations[0].for.ae_titles: " A" is no AE title`,
		cstore("tls: {cert: c, key: k}"):                                                          "destinations[0].tls.ca: is missing",
		cstore("tls: {ca: c, cert: c}"):                                                           "destinations[0].tls: a client certificate wants",
		"destinations: [{name: a, type: dir, path: x, tls: {ca: c}}]":                             "destinations[0].tls: is for a cstore",
		"destinations: [{name: a, type: dir, path: x, url: 'https://h/x'}]":                       "destinations[0].url: url and auth are for a stow",
	} {
		path := filepath.Join(t.TempDir(), "hubd.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errOut strings.Builder
		code := run(t.Context(), []string{"check", "-c", path}, &out, &errOut)
		if code != exitUsage || !strings.Contains(errOut.String(), want) || strings.Count(errOut.String(), "\n") != 1 {
			t.Errorf("%q: exit %d\n got %s\nwant %s", text, code, errOut.String(), want)
		}
	}
}

func TestDestinationsAreWarnedOf(t *testing.T) {
	const postgres = "database: postgres://h/x\nnode: n\n"
	for text, want := range map[string]string{
		"destinations: [{name: a, type: cstore, address: 'vna:104', ae_title: A, confirm: success}]":               "a cstore without tls",
		"destinations: [{name: a, type: cstore, address: 'vna:104', ae_title: A, confirm: success, tls: {ca: c}}]": "",
		"destinations: [{name: a, type: cstore, address: '127.0.0.1:104', ae_title: A, confirm: success}]":         "",
		"destinations: [{name: a, type: cstore, address: 'localhost:104', ae_title: A, confirm: success}]":         "",
		postgres + "destinations: [{name: a, type: dir, path: /x}]":                                                "a is a dir, and database is for several nodes",
		postgres + "events: {sinks: [{name: s, type: file, path: /x}]}":                                            "s is a file, and database is for several nodes",
		"events: {sinks: [{name: s, type: file, path: /x}]}\ndestinations: [{name: a, type: dir, path: /x}]":       "",
		"destinations: [{name: a, type: stow, url: 'http://archive/x'}]":                                           "unencrypted",
		"destinations: [{name: a, type: dir, path: x, for: {modalities: [CT]}}]":                                   "counts it as unrouted",
		"destinations: [{name: a, type: stow, url: 'http://127.0.0.1/x'}]":                                         "",
		"destinations: [{name: a, type: dir, path: x, for: {modalities: [CT]}}, {name: b, type: dir, path: y}]":    "",
	} {
		c := Default()
		path := filepath.Join(t.TempDir(), "hubd.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := load(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(c.destinationWarnings(), "\n"); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q", text, got)
		}
	}
}

// A file that is wrong is said at the start, in the words of the key, and without its contents.
func TestAHubWithAWrongSecretFileDoesNotStart(t *testing.T) {
	dir := t.TempDir()
	empty, good := filepath.Join(dir, "empty"), filepath.Join(dir, "good")
	for path, text := range map[string]string{empty: "\n", good: "secret\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := Destination{Name: "a", Type: "stow", URL: "https://h/x", Associations: 2}
	for name, a := range map[string]Auth{
		"missing": {User: "u", PasswordFile: filepath.Join(dir, "none")}, "empty": {User: "u", PasswordFile: empty},
		"no secret": {TokenURL: "https://i/t", ClientID: "c", SecretFile: empty}, "no certificate": {Cert: good, Key: good}, "no ca": {CA: good},
	} {
		d.Auth = a
		if _, err := d.makeStow(); err == nil || strings.Contains(err.Error(), "secret\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	d.Auth = Auth{User: "u", PasswordFile: good}
	if _, err := d.makeStow(); err != nil {
		t.Error(err)
	}
	if s, err := secret(good); s != "secret" || err != nil {
		t.Errorf("%q %v", s, err)
	}
}

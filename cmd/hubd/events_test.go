package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is wrong with a sink is said with its key, and what is allowed; nothing that
// names a person goes over a network in the clear.
func TestSinksAreJudged(t *testing.T) {
	dir := t.TempDir()
	long, short := filepath.Join(dir, "long"), filepath.Join(dir, "short")
	for name, text := range map[string]string{long: strings.Repeat("x", 32) + "\n", short: strings.Repeat("x", 31) + "\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	http := func(url, secret string) string {
		return "{name: a, type: http, url: \"" + url + "\", secret_file: \"" + secret + "\"}"
	}
	for sink, want := range map[string]string{
		"{name: a, type: file, path: /srv/events}":                         "",
		http("https://fse.example.org/studies", long):                      "",
		http("http://127.0.0.1:8080/", long):                               "",
		http("http://localhost/", long):                                    "",
		http("http://fse.example.org/studies", long):                       "sinks[0].url",
		http("https://user:word@fse.example.org/", long):                   "sinks[0].url",
		http("ftp://fse.example.org/", long):                               "sinks[0].url",
		http("", long):                                                     "sinks[0].url",
		http("https://fse.example.org/", short):                            "sinks[0].secret_file",
		http("https://fse.example.org/", ""):                               "sinks[0].secret_file",
		http("https://fse.example.org/", dir+"/none"):                      "sinks[0].secret_file",
		"{name: A, type: file, path: /srv/events}":                         "sinks[0].name",
		"{name: a, path: /srv/events}":                                     "sinks[0].type",
		"{name: a, type: file}":                                            "sinks[0].path",
		"{name: a, type: file, path: /a, url: \"https://b.c/\"}":           "sinks[0].url",
		"{name: a, type: file, path: /a, timeout: 1ms}":                    "sinks[0].timeout",
		"{name: a, type: file, path: /a}, {name: a, type: file, path: /b}": "sinks[1].name",
	} {
		file := filepath.Join(dir, "hubd.yaml")
		if err := os.WriteFile(file, []byte("data_dir: "+dir+"\nevents: {sinks: ["+sink+"]}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := load(file)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", sink, err, want)
		}
	}
}

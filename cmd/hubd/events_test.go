package main

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is wrong with a sink is said with its key, and what is allowed; nothing that
// names a person goes over a network in the clear.
func TestSinksAreJudged(t *testing.T) {
	dir := t.TempDir()
	long, short, ca := filepath.Join(dir, "long"), filepath.Join(dir, "short"), filepath.Join(dir, "ca")
	cert, _, _ := selfSigned(t)
	for name, text := range map[string]string{long: strings.Repeat("x", 32) + "\n", short: strings.Repeat("x", 31) + "\n", ca: string(cert)} {
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
		http("https://fse.example.org/", long+"\", ca: \""+ca):             "",
		http("https://fse.example.org/", long+"\", ca: \""+long):           "sinks[0].ca",
		http("https://fse.example.org/", long+"\", ca: \""+dir+"/none"):    "sinks[0].ca",
		http("http://127.0.0.1/", long+"\", ca: \""+ca):                    "sinks[0].ca",
		"{name: a, type: file, path: /a, ca: " + ca + "}":                  "sinks[0].url",
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

// Whoever has the secret of a sink can pass as the hub there: two sinks with one are
// warned of. So is a sink for which something waits for long, with what it said last.
func TestSinksAreWarnedOf(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a, b, c := write("a", strings.Repeat("x", 32)+"\n"), write("b", strings.Repeat("x", 32)), write("c", strings.Repeat("y", 32))
	for other, want := range map[string]bool{a: true, b: true, c: false} {
		e := Events{Sinks: []Sink{{Name: "index", Type: "http", SecretFile: a}, {Name: "shelf", Type: "file"}, {Name: "region", Type: "http", SecretFile: other}}}
		if got := strings.Contains(strings.Join(e.warnings(true), "\n"), "index and region have the same secret"); got != want {
			t.Errorf("%s: %v", filepath.Base(other), e.warnings(true))
		}
	}
	for want, k := range map[string]SinkStatus{
		"":                              {Name: "index", Waiting: 3, OldestSeconds: 60, LastWords: "not reached"},
		"last heard: answered 401 Unau": {Name: "index", Waiting: 3, OldestSeconds: 3600, LastWords: "answered 401 Unauthorized"},
		"has refused 2 study events":    {Name: "index", Failed: 2},
	} {
		if got := strings.Join(k.warnings(), "\n"); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%+v: %q", k, got)
		}
	}
}

// A receiver is tried with the CA that is configured for it; one that has another
// certificate is not believed.
func TestASinkIsTriedWithItsCA(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	right, wrong := filepath.Join(t.TempDir(), "right"), filepath.Join(t.TempDir(), "wrong")
	other, _, _ := selfSigned(t)
	for file, text := range map[string][]byte{right: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), wrong: other} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for ca, want := range map[string]bool{right: true, wrong: false, "": false, wrong + "-none": false} {
		says, err := Sink{Name: "index", Type: "http", URL: server.URL, CA: ca}.tryHTTP(t.Context())
		if (err == nil) != want {
			t.Errorf("%s: %q, %v", filepath.Base(ca), says, err)
		}
	}
}

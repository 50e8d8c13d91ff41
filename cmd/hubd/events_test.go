package main

import (
	"context"
	"database/sql"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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

// What headers say names persons: it stays as long as receipts.fold_after says, and not
// for some time of its own.
func TestHeadersStayAsLongAsReceiptsAreRows(t *testing.T) {
	for fold, want := range map[time.Duration]int{48 * time.Hour: 0, 96 * time.Hour: 1} {
		d := newDesk(t, func(c *Config) { c.Receipts.FoldAfter = fold })
		db, err := sql.Open("sqlite", "file:"+filepath.Join(d.h.cfg.DataDir, "ledger.db")+"?_pragma=busy_timeout(10000)")
		d.must(err)
		defer db.Close()
		for study, age := range map[string]time.Duration{"1.2.3": 72 * time.Hour, "1.2.4": 31 * 24 * time.Hour * 4} {
			at := time.Now().Add(-age).UnixMilli()
			for _, q := range []string{
				`INSERT INTO studies (study, revision, open_at) VALUES (?1, 1, ?2)`,
				`INSERT INTO events (study, revision, at, last, objects, built) VALUES (?1, 1, ?2, 0, 1, 1)`,
				`INSERT INTO headers (study, digest, body) VALUES (?1, x'00', '{}')`,
			} {
				_, err := db.Exec(q, study, at)
				d.must(err)
			}
		}
		count := func(study string) (n int) {
			d.must(db.QueryRow(`SELECT count(*) FROM headers WHERE study = ?`, study).Scan(&n))
			return n
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.h.events.Run(ctx) }()
		for deadline := time.Now().Add(time.Minute); count("1.2.4")+count("1.2.3") > want && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
		d.must(<-ended)
		if old, young := count("1.2.4"), count("1.2.3"); old != 0 || young != want {
			t.Errorf("fold_after %v: %d of 124 days, %d of three days, want %d", fold, old, young, want)
		}
	}
}

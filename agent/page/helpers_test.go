package page

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"edged/agent/account"
)

func newPage(t *testing.T, source Source) *Page {
	t.Helper()
	p, err := New(Config{Source: source, Location: rome, Version: "0.1.0", now: func() time.Time { return morning }})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// deskPage has all pages, over made-up desks; a change of who looks is in as.
func deskPage(t *testing.T, source Source) *Page {
	t.Helper()
	p, err := New(allDesks(Config{Source: source, Accounts: madeUpBook(t), Location: rome, Version: "0.1.0", now: func() time.Time { return morning }}))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// madeUpBook has an account of each role, and somebody with a long name.
func madeUpBook(t *testing.T) *account.Book {
	t.Helper()
	b := account.New(account.Config{Path: filepath.Join(t.TempDir(), "edge", "accounts.json"), KiB: 64, Now: func() time.Time { return morning }, Log: slog.New(slog.DiscardHandler)})
	for name, role := range map[string]account.Role{"a.admin": account.Administrator, "m.rossi": account.Technician, "maximilian.hochgruber-oberkofler": account.Technician} {
		if err := b.Add(t.Context(), account.Actor{Name: "test"}, name, secretWord, role); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// allDesks gives c a made-up desk of each area.
func allDesks(c Config) Config {
	c.LineDesk = &madeUpLine{}
	c.Devices = madeUpDevices{}
	c.Studies = madeUpStudies{}
	c.Audit, c.Days = &secretDesk{}, &secretDesk{}
	c.Tests = madeUpTests{}
	c.Alarms = madeUpAlarms{}
	c.System = madeUpSystem{}
	c.Fix, c.Sentence = twoWrong{}, sayPlainly
	return c
}

// ask sends one GET to a page over source, with headers given in pairs.
func ask(t *testing.T, source Source, path string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "GET", path, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	newPage(t, source).ServeHTTP(w, r)
	return w.Result()
}

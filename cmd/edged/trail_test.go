package main

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"edged/agent/account"
	"edged/internal/audit"
	"edged/spool/vault"
)

// rowsOf are the rows of an appliance's audit log, whose chain must be whole.
func rowsOf(t *testing.T, a *appliance) (rows []audit.Event) {
	t.Helper()
	key, err := a.cfg.spoolKey()
	ok(t, err)
	rep, err := audit.Read(filepath.Join(a.cfg.DataDir, auditDir), key, func(e audit.Event) error { rows = append(rows, e); return nil })
	if err != nil || rep.Broken != 0 {
		t.Fatalf("%v, %v", err, rep)
	}
	return rows
}

// What somebody does on the page has its row before it takes effect, with who and from
// where, and a row with how it ended.
func TestWhatIsDoneOnThePageIsRecordedFirst(t *testing.T) {
	h := newHouse(t, func(*Config) {})
	by := account.Actor{Name: "m.rossi", Address: netip.MustParseAddr("10.1.2.3")}
	before := 0
	ok(t, h.audited(by, "device admit", "ECO_NEW", "new", func() error { before = len(rowsOf(t, h.appliance)); return nil }))
	if err := h.audited(by, "device admit", "ECO_2", "", func() error { return errors.New("no room") }); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("a failure is told as %v", err)
	}
	rows := rowsOf(t, h.appliance)
	if before != 1 || len(rows) != 4 {
		t.Fatalf("%d rows before the act, %v", before, rows)
	}
	for i, want := range []string{audit.Intended, audit.Done, audit.Intended, "failed: no room"} {
		if r := rows[i]; r.Outcome != want || r.Who != "m.rossi from 10.1.2.3 (page)" || r.Action != "device admit" {
			t.Errorf("row %d: %+v, want %s", i, r, want)
		}
	}
	if rows[1].Of != rows[0].Seq || rows[0].Object != "ECO_NEW" || rows[0].Reason != "new" {
		t.Errorf("%+v", rows[:2])
	}
}

// Without the key nothing can be recorded, so nothing is done; and as long as the key
// is not made no row is written plain.
func TestWithoutTheKeyNothingIsDoneOnThePage(t *testing.T) {
	act := func() error { t.Error("it was done"); return nil }
	cfg := defaultConfig()
	cfg.DataDir = t.TempDir()
	young, err := newAppliance(cfg, slog.New(slog.DiscardHandler))
	ok(t, err)
	if err := young.audited(account.Actor{}, "x", "", "", act); !errors.Is(err, errNoKeyYet) {
		t.Errorf("before the first start: %v", err)
	}

	h := newHouse(t, func(*Config) {})
	h.take(t, readable("CT"))
	ok(t, vault.Erase(h.cfg.keysDir()))
	if err := h.audited(account.Actor{}, "x", "", "", act); !errors.Is(err, vault.ErrNoKey) || !strings.Contains(err.Error(), "nothing was done") {
		t.Errorf("with a lost key: %v", err)
	}
}

// While nothing can be recorded nobody logs in, and is told so; the state is shown all
// the same.
func TestWithoutTheKeyNobodyLogsIn(t *testing.T) {
	h := newHouse(t, func(*Config) {})
	h.take(t, readable("CT"))
	rows := accountRows{h.trail, onPage}
	book := account.New(account.Config{Path: filepath.Join(h.cfg.DataDir, accountsFile), KiB: 64, Audit: rows})
	ok(t, book.Add(t.Context(), account.Actor{Name: "test"}, "m.rossi", "Fiume lento 77", account.Technician))
	h.auditing.log = nil // as after a start
	ok(t, vault.Erase(h.cfg.keysDir()))
	for password, code := range map[string]int{"Fiume lento 77": http.StatusServiceUnavailable, "not this one 1": http.StatusForbidden} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/login", strings.NewReader("name=m.rossi&password="+url.QueryEscape(password)))
		r.RemoteAddr, r.Host = "127.0.0.1:5", "127.0.0.1:8080"
		r.Header.Set("Origin", "http://127.0.0.1:8080")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		h.page.ServeHTTP(w, r)
		if w.Code != code || len(w.Result().Cookies()) != 0 || code == http.StatusServiceUnavailable && !strings.Contains(w.Body.String(), "nessuno può accedere") {
			t.Errorf("%s: %d, %s", password, w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	h.page.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
	if w.Code != http.StatusOK {
		t.Errorf("the state: %d", w.Code)
	}
}

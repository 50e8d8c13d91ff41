package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"edged/hub/ledger"
)

// What the hub lost and an administrator has seen in the archive is archived by a form of
// the page of trouble; the trail has who said so, from where, and the words. Nobody else
// sees the form, and without words nothing happens.
func TestWhatWasLostAndSeenIsConfirmedOnThePage(t *testing.T) {
	d := newDesk(t)
	d.busy()
	id := d.troubleID("lost")
	form := `action="/trouble/` + id + `/confirm-lost"`
	if text := d.logIn("operator").do("GET", "/trouble?state=lost", nil).Body.String(); strings.Contains(text, form) || !strings.Contains(text, "lost") {
		t.Error("an operator sees the form")
	}
	b := d.logIn("admin")
	if text := b.do("GET", "/trouble?state=lost", nil).Body.String(); !strings.Contains(text, form) {
		t.Fatalf("no form: %s", text)
	}
	csrf := b.csrf("/trouble?state=lost")
	if w := b.do("POST", "/trouble/"+id+"/confirm-lost", url.Values{"csrf": {csrf}, "destination": {"vna"}, "seen": {" "}}); w.Code != http.StatusBadRequest {
		t.Errorf("without words: %d", w.Code)
	}
	if got := d.troubleID("lost"); got != id {
		t.Errorf("it happened: %s", got)
	}
	w := b.do("POST", "/trouble/"+id+"/confirm-lost", url.Values{"csrf": {csrf}, "destination": {"vna"}, "seen": {"N. N. in the viewer, today"}, "back": {"/trouble?state=lost"}})
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "1 object.") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	rows, err := d.h.ledger.TroublePage(d.Context(), ledger.TroubleFilter{State: "lost"}, 0, 1)
	d.must(err)
	e, _, err := d.h.ledger.AuditPage(d.Context(), ledger.AuditFilter{Action: "confirm lost"}, 0, 10)
	d.must(err)
	if len(rows) != 0 || len(e) != 1 || !strings.HasPrefix(e[0].Actor, "token:admin-") || e[0].Origin == "" || e[0].Subject != id || e[0].Detail != "vna: N. N. in the viewer, today" {
		t.Errorf("%+v %+v", rows, e)
	}
}

// Without a token, and with a viewer's, the status says what is wrong in our own words: what
// an archive, a receiver of events or a driver said may name a patient, or a machine.
func TestTheStatusHasOurOwnWordsForWhoMayNotReadOthers(t *testing.T) {
	d := newDesk(t)
	d.busy()
	said := "A900 ROSSI^MARIO 1.2.98.7"
	s, err := d.h.status(d.Context())
	d.must(err)
	s.Destinations[0].Error, s.Destinations[0].OldestSeconds = said, 7200
	s.Destinations[0].CommitmentError = said
	s.Destinations[1].LastWords, s.Destinations[1].OldestSeconds = said, 7200
	s.Sinks[0].LastWords, s.Sinks[0].Waiting, s.Sinks[0].OldestSeconds = said, 1, 7200
	s.bucket = said
	s.warn()
	if n := strings.Count(strings.Join(s.Warnings, "\n"), said); n != 5 {
		t.Fatalf("%d warnings have the words: %q", n, s.Warnings)
	}
	show := func(path, token string) string {
		c := d.h.desk
		c.mu.Lock()
		c.cached, c.at = s, c.at.AddDate(9, 0, 0)
		c.mu.Unlock()
		return d.ask("GET", path, token, "").Body.String()
	}
	d.get("/api/v1/status", "") // the first figures
	for _, path := range []string{"/", "/api/v1/status", "/api/v1/destinations", "/metrics"} {
		for _, role := range []string{"", "viewer"} {
			token := ""
			if role != "" {
				token = d.token(role)
			}
			if got := show(path, token); strings.Contains(got, "ROSSI") || strings.Contains(got, "1.2.98") || strings.Contains(got, "A900") {
				t.Errorf("%s shows %q what others said: %s", path, role, got)
			}
		}
	}
	got := show("/api/v1/status", "")
	for _, want := range []string{ownDestination, ownCommitment, "the bucket of the objects: " + ownBucket, "destination copy: an object waits for it for 2h0m0s", "sink pacs: a study event waits for it for 2h0m0s", `"state": "attention"`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q: %s", want, got)
		}
	}
	if got := show("/api/v1/status", d.token("operator")); strings.Count(got, "ROSSI") != 9 {
		t.Errorf("an operator does not read it all: %s", got)
	}
}

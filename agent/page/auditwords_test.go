package page

import "testing"

// What the daemon writes in the trail is told in the reader's language; what it does not
// know stands as it is, and a log-in that failed is not called done.
func TestTheTrailIsToldInTheLanguageOfThePage(t *testing.T) {
	it, de := catalogues["it"], catalogues["de"]
	for _, c := range []struct{ got, want string }{
		{auditWho("anna from 127.0.0.1 (page)", it), "anna da 127.0.0.1 (pagina)"},
		{auditWho("somebody from an unknown address (page)", de), "jemand von einer unbekannten Adresse (Seite)"},
		{auditWho("root (login maria) (command)", it), "root (login maria) (comando)"},
		{auditWho("root (login maria)", it), "root (accesso come maria)"},
		{auditWho("edged", it), "edged"},
		{auditObject(AuditRow{Object: "account anna"}, it), "utente anna"},
		{auditObject(AuditRow{Action: "self-test", Object: TestReceive}, it), it.Say("selftest." + TestReceive)},
		{auditObject(AuditRow{Object: "uplink"}, it), "Linea"},
		{auditObject(AuditRow{Object: `"X" at "10.0.0.1"`}, it), `"X" at "10.0.0.1"`},
		{auditReason("technician", de), de.Say("page.role.technician")},
		{auditReason("until 2026-11-22T10:00:00Z, 4 more like it since the last row", it), "fino a 2026-11-22T10:00:00Z, altri 4 come questo dalla riga precedente"},
		{auditReason("for 30m0s", it), "30 minuti"},
		{auditReason("for the archive", it), "for the archive"},
		{outcomeWord(AuditRow{Action: "log-in failed", Outcome: "done"}, it), "fallito"},
		{outcomeWord(AuditRow{Action: "log-in", Outcome: "done"}, it), "fatta"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

package page

import (
	"strings"
	"testing"
	"time"
)

// What the daemon writes in the trail is told in the reader's language; what it does not
// know stands as it is, and a log-in that failed is not called done.
func TestTheTrailIsToldInTheLanguageOfThePage(t *testing.T) {
	it, de := catalogues["it"], catalogues["de"]
	inIT, inDE := sighted{facts: facts{Now: morning}, W: it}, sighted{facts: facts{Now: morning}, W: de}
	for _, c := range []struct{ got, want string }{
		{auditWho("anna from 127.0.0.1 (page)", it), "anna da 127.0.0.1 (pagina)"},
		{auditWho("somebody from an unknown address (page)", de), "jemand von einer unbekannten Adresse (Seite)"},
		{auditWho("root (login maria) (command)", it), "root (login maria) (comando)"},
		{auditWho("root (login maria)", it), "root (accesso come maria)"},
		{auditWho("edged", it), "edged"},
		{auditObject(AuditRow{Object: "account anna"}, it), "utente anna"},
		{auditObject(AuditRow{Action: "self-test", Object: TestReceive}, it), it.Say("selftest." + TestReceive)},
		{auditObject(AuditRow{Object: "uplink"}, it), "Linea"},
		{auditObject(AuditRow{Action: "device ignore", Object: `"X\"y" at "10.0.0.1"`}, it), `X"y da 10.0.0.1`},
		{auditObject(AuditRow{Action: "device admit", Object: "ECO_NEW at 10.1.2.34"}, it), "ECO_NEW da 10.1.2.34"},
		{auditObject(AuditRow{Action: "alarm acknowledge", Object: "silent CT1"}, it), "apparecchio silenzioso · CT1"},
		{auditObject(AuditRow{Action: "alarm acknowledge", Object: "time "}, de), "Zeit nicht abgeglichen"},
		{auditObject(AuditRow{Action: "study resend", Object: "study:abc123"}, it), "esame abc123"},
		{auditObject(AuditRow{Action: "data seen to", Object: "study abc123"}, de), "Untersuchung abc123"},
		{auditObject(AuditRow{Action: "spool release", Object: "seq:77 00ff"}, it), "immagine n. 77"},
		{auditObject(AuditRow{Action: "retire", Object: "12 objects, all archived"}, it), "12 immagini, tutte archiviate"},
		{auditObject(AuditRow{Action: "spool recover-key", Object: "key of the spool"}, it), "chiave del disco"},
		{auditObject(AuditRow{Action: "x", Object: "something new at all"}, it), "something new at all"},
		{auditReason("priority routine, services store move", inIT), "Precedenza: normale, Inviare immagini, Richiamare esami (C-MOVE)"},
		{auditReason("17 bytes of an unfinished row were removed", inIT), "Tolti 17 byte di una riga rimasta a metà"},
		{auditReason("until sunset", inIT), "until sunset"},
		{outcomeWord(AuditRow{Action: "line test", Outcome: "failed: no route"}, it), "fallito"},
		{actionWord("spool export", it), "Immagini copiate fuori"},
		{auditReason("technician", inDE), de.Say("page.role.technician")},
		{auditReason("until 2026-11-22T10:00:00Z, 4 more like it since the last row", inIT), "fino a 22/11/2026 11:00:00, altri 4 come questo dalla riga precedente"},
		{auditReason("for 30m0s", inIT), "30 minuti"},
		{auditReason("log-in from 10.0.0.77", inDE), "angemeldet von 10.0.0.77"},
		{auditReason("for the archive", inIT), "for the archive"},
		{outcomeWord(AuditRow{Action: "log-in failed", Outcome: "done"}, it), "fallito"},
		{outcomeWord(AuditRow{Action: "log-in", Outcome: "done"}, it), "fatta"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

// What the page says otherwise than it was recorded is there as it was recorded, too; every
// alarm has a name to be told by.
func TestTheTrailIsAlsoThereAsItWasRecorded(t *testing.T) {
	s := sighted{facts: facts{Now: morning}, W: catalogues["it"]}
	v := auditOf(AuditPage{Rows: []AuditRow{
		{Seq: 1, At: before(time.Hour), Action: "account locked", Object: "account anna", Reason: "until 2026-11-22T10:00:00Z", Outcome: "done"},
		{Seq: 2, At: morning, Action: "log-in", Outcome: "done"},
		{Seq: 3, Who: "anna from 10.0.0.5 (page)", Action: "line test", Object: "uplink", Outcome: "failed: no route"},
	}}, AuditQuery{Limit: auditAPage}, 1, s)
	for i, want := range []string{"2026-11-21T06:42:07Z · account locked · account anna · until 2026-11-22T10:00:00Z", "2026-11-21T07:42:07Z · log-in", "anna from 10.0.0.5 (page) · line test · uplink · failed: no route"} {
		if got := v.Rows[i].Raw; got != want {
			t.Errorf("row %d: %q, want %q", i+1, got, want)
		}
	}
	for id := range catalogues["it"].texts {
		if code, is := strings.CutPrefix(id, "alarm."); is && strings.HasSuffix(code, ".step1") && !s.W.has("audit.alarm."+strings.TrimSuffix(code, ".step1")) {
			t.Errorf("alarm %s has no name", code)
		}
	}
}

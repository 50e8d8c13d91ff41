package page

import (
	"strings"
	"testing"
	"time"

	"edged/agent/status"
)

// terminalOf is all rows of a language, a line each.
func terminalOf(s status.Status, now time.Time, lang string) string {
	var b strings.Builder
	for _, f := range Terminal(s, now, lang) {
		b.WriteString(f.What + " | " + f.Says + "\n")
	}
	return b.String()
}

// The terminal says what the page says, in its three languages: state, counts, line,
// space and what lasts, and no text is missing where everything is to be told.
func TestTheTerminalSpeaksThreeLanguages(t *testing.T) {
	now := time.Date(2026, 11, 21, 8, 42, 0, 0, time.UTC)
	left := 9.5
	s := status.Status{State: status.Stopped, At: now, StartedAt: now.Add(-24 * time.Hour), AETitle: "EDGED", Version: "1.2",
		Reasons:  []status.Reason{{Code: status.LinkDown, Count: 3}, {Code: status.Lost, Count: 1}},
		Counters: status.Counters{Received: 12480, Refused: 3, Discarded: 2}, Findings: status.Findings{Unreadable: 1, Conflicts: 2},
		Spool: status.Spool{Objects: 3, Bytes: 42e6, FreeBytes: 9e9, DaysLeft: &left, Quarantined: 1, Unfinished: 1, Damage: status.Damage{NoOtherCopy: 1},
			Scrub: status.Scrub{Objects: 7, Damaged: 1, PassedAt: now.Add(-time.Hour)}},
		Uplink:   status.Uplink{Hub: "hub:8443", LastError: "no route", BacklogObjects: 3, BacklogBytes: 42e6, Since: now.Add(-2 * time.Hour)},
		DICOM:    status.DICOM{Associations: 1, NotReady: "no disk", Commitments: status.Commitments{Requests: 2, Unreached: 1}},
		Warnings: []status.Warning{status.KeepHub, status.AcceptUnknown}, LastReceivedAt: now.Add(-time.Minute)}
	for lang, want := range map[string][]string{
		"it": {"✖ FERMO | Le immagini", "Immagini ricevute | 12.480", "Ultima immagine ricevuta | 08:41", "no route", "Cancellate qui da una persona | 2", "non pronto a ricevere · no disk · Nome DICOM: EDGED · 1 collegamento aperto", "1.2 · avviato: ieri 08:42"},
		"en": {"✖ STOPPED | Images", "Images received | 12,480", "Last image received | 08:41", "no route", "Deleted here by a person | 2", "not ready to receive · no disk · DICOM name: EDGED · 1 open association", "1.2 · running since yesterday 08:42"},
		"de": {"✖ GESTOPPT | ", "Letztes Bild empfangen | 08:41", "no route", "Hier von einer Person gelöscht | 2", "nicht empfangsbereit · no disk · DICOM-Name: EDGED · 1 offene Verbindung"},
	} {
		said := terminalOf(s, now, lang)
		for _, text := range append(want, "hub:8443", "42\u00a0MB") {
			if !strings.Contains(said, text) {
				t.Errorf("%s: no %q in\n%s", lang, text, said)
			}
		}
		if strings.ContainsAny(said, "⟦{}") || strings.Count(said, "\n |") != 4 {
			t.Errorf("%s: a text is missing, or a row has no name of its own:\n%s", lang, said)
		}
	}
}

// What reached this appliance of its hub's errors and names is no control sequence.
func TestTheTerminalIsNotSteered(t *testing.T) {
	s := status.Status{State: status.OK, AETitle: "EDGED", Uplink: status.Uplink{Hub: "hub:1", LastError: "\x1b[2J"}, DICOM: status.DICOM{NotReady: "\x1b[2J"}}
	if said := terminalOf(s, time.Now(), "en") + (Repository{Server: "\x1b[2J", Trouble: "\x1b[2J"}).Said(time.Now(), "en").Says; strings.Contains(said, "\x1b") {
		t.Errorf("%q", said)
	}
}

func TestTheTerminalsLanguageIsThatOfItsEnvironment(t *testing.T) {
	for want, c := range map[string][][]string{
		"it": {{"", "", "it_IT.UTF-8"}, {"it_CH", "de_DE", "en_GB"}, {"", "it", "de"}},
		"de": {{"", "", "de_AT.UTF-8"}},
		"en": {{"", "", ""}, {"", "", "C.UTF-8"}, {"C", "", "it_IT"}, {"", "", "fr_FR"}, {"", "", "i"}, {}},
	} {
		for _, environment := range c {
			if got := LanguageOf(environment...); got != want {
				t.Errorf("%q: %q, want %q", environment, got, want)
			}
		}
	}
}

package page

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"edged/agent/status"
)

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// Every state in every language says its word, and no text is missing anywhere.
func TestEveryStateIsSaidInEveryLanguage(t *testing.T) {
	for name, source := range scenes() {
		for _, l := range languages {
			body := text(t, ask(t, source, "/?lang="+l.code))
			word := catalogues[l.code].Say("state." + string(source.status.State))
			if !strings.Contains(body, `<h2 id="word">`+word+`</h2>`) {
				t.Errorf("%s in %s does not say %q", name, l.code, word)
			}
			if !strings.Contains(body, `<html lang="`+l.code+`"`) {
				t.Errorf("%s in %s is not marked as such", name, l.code)
			}
			if i := strings.Index(body, "⟦"); i >= 0 {
				t.Errorf("%s in %s lacks a text: %s", name, l.code, body[i:min(i+60, len(body))])
			}
			if i := strings.IndexAny(body, "{}"); i >= 0 {
				t.Errorf("%s in %s has an unfilled placeholder: %s", name, l.code, body[max(0, i-40):min(i+40, len(body))])
			}
		}
	}
}

func TestThePageSaysWhatMatters(t *testing.T) {
	cases := []struct {
		scene string
		says  []string // the state
		line  []string // the page of the line
	}{
		{"ok", []string{"331\u00a0MB di 442\u00a0MB", "circa 9 secondi per quanto è già qui", "limite 600\u00a0Mbit/s fino alle 18:00", "Le immagini arrivano e partono.", "1.248.036", "Collegato", "412\u00a0Mbit/s", "618 di 842", "in arrivo", "completo", "pieno fra circa 41 giorni al ritmo di oggi", "Archiviato", "TC 1"}, []string{"QUIC, 4 connessioni", "porta di più su questa linea: 812\u00a0Mbit/s contro 130\u00a0Mbit/s", "100\u00a0Mbit/s", "hub3.example:8443", "escluso per ora", "edged linetest", "edged pause --for 30m", "01:42"}},
		{"catching_up", []string{"sto inviando 7 esami in attesa. Ancora circa 20 minuti.", "In viaggio adesso", "ancora circa 2 minuti", "ancora circa 6 minuti", "aspetta il suo turno", "e altri 3 esami da inviare"}, []string{"TLS su TCP, 1 connessione", "con UDP nessuna risposta, con TCP sì", "UDP</bdi></dt><dd>nessuna risposta"}},
		{"paused", []string{"Qualcuno ha messo in pausa l’invio fino alle 09:30: poi riprende da solo.", "in pausa"}, []string{"edged resume", "Ultima prova della linea", "812\u00a0Mbit/s", "21 ms andata e ritorno · 0,02 % di pacchetti persi · QUIC · ieri 18:42"}},
		{"attention", []string{"2 immagini sono state messe da parte", "ECO_NEW", "Non è nell’elenco", "Ha chiamato «EDGE1», qui il nome è «EDGED».", "prima della conferma"}, nil},
		{"stopped", []string{"al sicuro qui ma non partono", "1.532 immagini", "Non ripetere gli esami.", "no route to host"}, nil},
		{"full", []string{"Il disco è pieno", "inviali di nuovo quando questa pagina torna regolare"}, nil},
		{"held", []string{"12 immagini sono arrivate al centro regionale ma non entrano in archivio", "Il centro regionale ne ha una copia buona."}, []string{"Intestazione non leggibile", "3 immagini"}},
		{"lost", []string{"2 immagini sono danneggiate o perse su questo disco e non ne risulta un’altra copia: inviale di nuovo", "1 immagine su questo disco è danneggiata. Il centro regionale ne ha una copia buona.", "842 di 900 ricevute", "di nuovo completo", "Non c’è una chiave di recupero"}, []string{"rimasti a metà", "1 file"}},
		{"starting", []string{"Lette finora: 12.000 su 48.211."}, nil},
		{"certificate", []string{"Il certificato di questo server scade tra 12 giorni"}, nil},
		{"unenrolled", []string{"Manca un certificato valido del centro regionale: 5 immagini"}, nil},
		{"empty", []string{"vengono ricevute e restano qui. Non parte nulla", "non è ancora impostato", "Ancora nessun esame.", "ancora nessuna", "va bene solo per prove"}, nil},
	}
	for _, c := range cases {
		for path, says := range map[string][]string{"/": c.says, "/line": c.line} {
			body := text(t, ask(t, scenes()[c.scene], path))
			for _, want := range says {
				if !strings.Contains(body, want) {
					t.Errorf("%s: %s does not say %q", c.scene, path, want)
				}
			}
		}
	}
}

// What a sentence says already is not said again as a warning.
func TestNothingIsSaidTwice(t *testing.T) {
	for _, name := range []string{"empty", "unenrolled"} {
		s := scenes()[name].status
		for _, w := range s.Warnings {
			said := slices.Contains(Say(s, "en").Warnings, catalogues["en"].Say("warning."+string(w)))
			if reason, double := saidBy[w]; said == double {
				t.Errorf("%s: warning %s is shown: %t, though %q says it", name, w, said, reason)
			}
		}
	}
}

// A page drawn from old values is grey from its first moment, and also when the
// source never says how old its values are.
func TestOldValuesAreNeverGreen(t *testing.T) {
	for age, old := range map[time.Duration]bool{0: false, 24 * time.Second: false, 25 * time.Second: true, time.Hour: true} {
		d := ordinary()
		d.status.At = before(age)
		if got := strings.Contains(text(t, ask(t, d, "/")), `class="beat-a old"`); got != old {
			t.Errorf("values %v old: grey is %t", age, got)
		}
	}
	d := ordinary()
	d.status.At = time.Time{}
	if !strings.Contains(text(t, ask(t, d, "/")), `class="beat-a old"`) {
		t.Error("values of unknown age are not grey")
	}
	d.status.State = "splendid"
	if !strings.Contains(text(t, ask(t, d, "/")), "is-attention") {
		t.Error("an unknown state is not shown as one to look at")
	}
}

// A time is the facility's, whatever zone the machine and the values are in.
func TestTimesAreOfTheFacility(t *testing.T) {
	d := ordinary()
	d.status.LastReceivedAt = d.status.LastReceivedAt.UTC()
	p, err := New(Config{Source: d, Location: mustLocation("America/New_York"), now: func() time.Time { return morning.UTC() }})
	if err != nil {
		t.Fatal(err)
	}
	for want, handler := range map[string]http.Handler{"<dd>08:42</dd>": newPage(t, d), "<dd>02:42</dd>": p} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s", want)
		}
	}
}

// The word of a study never says more than the counts.
func TestAStudyIsNotArchivedBeforeItsLastInstance(t *testing.T) {
	d := ordinary()
	d.studies = []status.Study{{State: status.Archived, Instances: 10, FirstReceived: morning, Hops: status.Hops{Archived: 9, Received: 1}}}
	body := text(t, ask(t, d, "/?lang=en"))
	if strings.Contains(body, `class="hop is-archived"`) || !strings.Contains(body, "9 of 10") {
		t.Error("nine of ten are shown as a whole")
	}
	d.studies = []status.Study{{State: status.Archived, Instances: 10, FirstReceived: morning}}
	if strings.Contains(text(t, ask(t, d, "/")), `class="hop is-archived"`) {
		t.Error("a study without counts is believed to be archived")
	}
}

func TestHostileTextFromDevicesIsHarmless(t *testing.T) {
	evil := []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, "</title><b>", "javascript:alert(1)",
		"\u202Egnp.exe", "a\u2066b", "\x00\x1b[31m\r\nX", "\xff\xfe", "{{.}}", strings.Repeat("A", 64<<10), "e" + strings.Repeat("\u0301", 1000),
	}
	for _, text1 := range evil {
		body := text(t, ask(t, hostile(text1), "/?lang=en"))
		for _, forbidden := range []string{"<script>alert", "<img", "onmouseover='", "<b>", "\u202E", "\u2066", "\x00", "\x1b", "\xff"} {
			if strings.Contains(body, forbidden) {
				t.Errorf("%.40q puts %q into the page", text1, forbidden)
			}
		}
		if len(body) > 64<<10 {
			t.Errorf("%.40q makes a page of %d bytes", text1, len(body))
		}
	}
}

// hostile puts a text wherever text from outside can stand.
func hostile(s string) *demo {
	d := ordinary()
	d.status.Facility.Name, d.status.AETitle, d.status.Version, d.status.Uplink.LastError = s, s, s, s
	d.status.Reasons = []status.Reason{{Code: status.ReasonCode(s)}, {Code: status.ReasonCode(s), Count: 2}}
	d.status.Warnings = []status.Warning{status.Warning(s)}
	for i := range d.studies {
		d.studies[i].Modality, d.studies[i].Device, d.studies[i].State, d.studies[i].Key = s, s, status.Hop(s), s
	}
	for i, code := range []status.RefusalCode{status.WrongCalled, status.RefusalCode(s), status.UnknownCalling} {
		d.devices[i] = status.Device{AETitle: s, Address: s, Name: s, Known: i == 0, Refused: 1, LastSeen: morning,
			LastRefusal:    &status.Refusal{Code: code, Detail: s, At: morning},
			Implementation: &status.Implementation{ClassUID: s, Version: s},
			Negotiation:    &status.Negotiation{At: morning, Called: s, TLS: s, Contexts: []status.Context{{AbstractSyntax: s, Result: status.ContextResult(s), TransferSyntax: s}, {Name: s, SyntaxName: s}}}}
	}
	return d
}

// What a device asked for, and what it was answered, stands below it, whole
// sentences above and names where the standard has some.
func TestWhatADeviceAskedForIsShownInPlainWords(t *testing.T) {
	d := ordinary()
	d.devices[0] = status.Device{AETitle: "MR1", Known: true, LastSeen: morning, Implementation: &status.Implementation{ClassUID: "1.2.3", Version: "MR_9"},
		Negotiation: &status.Negotiation{At: morning, Called: "EDGED", Accepted: true, TLS: "TLS 1.2", Contexts: make([]status.Context, 30)}}
	contexts := d.devices[0].Negotiation.Contexts
	contexts[0] = status.Context{AbstractSyntax: "1.2.840.10008.5.1.4.1.1.4", Name: "MR Image Storage", Result: status.ContextAccepted, TransferSyntax: "1.2.840.10008.1.2.1", SyntaxName: "Explicit VR Little Endian"}
	contexts[1] = status.Context{AbstractSyntax: "1.2.3.4.5", Result: status.ContextAbstractSyntax}
	for i := 2; i < 28; i++ {
		contexts[i] = status.Context{Name: fmt.Sprint("Storage ", i), Result: status.ContextRefused}
	}
	contexts[28], contexts[29] = contexts[1], status.Context{Name: "Nothing of it Storage", Result: status.ContextUnanswered}
	body := text(t, ask(t, d, "/?lang=en"))
	for _, want := range []string{"What it asked for", "Connection of 08:42 to “EDGED”", "Program: MR_9 1.2.3", "Encryption: TLS 1.2", "MR Image Storage", "accepted: <bdi>Explicit VR Little Endian</bdi>",
		"1.2.3.4.5", "service not offered to this device", "and 4 more"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Count(body, "1.2.3.4.5") != 1 || strings.Contains(body, "Nothing of it") {
		t.Error("the same is said twice, or of a connection that was refused what nobody looked at")
	}
}

// Somebody who calls himself CT1 must not put the name of a stranger, or his
// own, beside the images of the real one.
func TestAStrangerLendsNobodyAName(t *testing.T) {
	names := deviceNames([]status.Device{{AETitle: "CT1", Name: "false", Known: false}, {AETitle: "CT2", Name: "TC 2", Known: true}})
	if len(names) != 1 || names["CT2"] != "TC 2" {
		t.Errorf("%v", names)
	}
}

// What needs somebody is on top: strangers, then known devices in trouble.
func TestDevicesThatNeedSomebodyComeFirst(t *testing.T) {
	d := scenes()["attention"]
	shown, _ := devicesOf(facts{Status: d.status, Devices: d.devices, Now: morning}, catalogues["it"])
	var order []string
	for _, device := range shown {
		order = append(order, device.Name+" "+device.Kind)
	}
	want := "ECO_NEW unknown,Risonanza 2 trouble,TC 1 known,Sala raggi 2 known,Risonanza 1 known,Mammografo known,Ecografo known"
	if got := strings.Join(order, ","); got != want {
		t.Errorf("%s", got)
	}
}

// A refusal that a device has left behind it, or one of last week, is history.
func TestTroubleEnds(t *testing.T) {
	refused := func(at, seen time.Duration) string {
		return kindOf(status.Device{Known: true, LastSeen: before(seen), LastRefusal: &status.Refusal{Code: status.TooMany, At: before(at)}}, morning)
	}
	if a, b, c := refused(time.Hour, time.Hour), refused(time.Hour, time.Minute), refused(25*time.Hour, 25*time.Hour); a != "trouble" || b != "known" || c != "known" {
		t.Errorf("just refused %s, seen well since %s, refused yesterday %s", a, b, c)
	}
}

func TestThePageIsBounded(t *testing.T) {
	d := ordinary()
	for i := range 5000 {
		d.devices = append(d.devices, status.Device{AETitle: fmt.Sprintf("X%d", i), Refused: 1, LastSeen: before(time.Duration(i))})
		d.studies = append(d.studies, d.studies[0])
	}
	body := text(t, ask(t, d, "/?lang=en"))
	if len(body) > 64<<10 || !strings.Contains(body, "and 4,993 more") {
		t.Errorf("%d bytes", len(body))
	}
	if n := strings.Count(text(t, ask(t, d, "/api/v1/studies?limit=500")), `"key"`); n != 500 {
		t.Errorf("%d studies", n)
	}
	for _, limit := range []string{"0", "501", "-1", "x", "99999999999999999999"} {
		if code := ask(t, d, "/api/v1/studies?limit="+limit).StatusCode; code != http.StatusBadRequest {
			t.Errorf("limit=%s answers %d", limit, code)
		}
	}
}

// Nothing in the page needs what the policy forbids.
func TestThePolicyIsStrictAndKept(t *testing.T) {
	for _, path := range []string{"/", "/metrics", "/api/v1/status", "/assets/page.js", "/nothing"} {
		h := ask(t, ordinary(), path).Header
		if csp := h.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: %q", path, csp)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s may be sniffed", path)
		}
	}
	for name, source := range scenes() {
		body := text(t, ask(t, source, "/"))
		for _, forbidden := range []string{" style=", "<style", " on", "javascript:", "http://", "https://"} {
			if strings.Contains(markup(body), forbidden) {
				t.Errorf("%s has %q", name, forbidden)
			}
		}
	}
}

// markup keeps only what stands between < and >.
func markup(body string) string {
	var b strings.Builder
	for _, part := range strings.Split(body, "<")[1:] {
		tag, _, _ := strings.Cut(part, ">")
		b.WriteString("<" + tag + ">")
	}
	return b.String()
}

func TestItReadsWithoutJavaScript(t *testing.T) {
	body := text(t, ask(t, ordinary(), "/"))
	if !strings.Contains(body, `<noscript><meta http-equiv="refresh" content="15"></noscript>`) {
		t.Error("without script the page does not reload itself")
	}
	css, err := assetFiles.ReadFile("assets/style.css")
	if err != nil || !strings.Contains(string(css), ".beat-a .is-stale.state, .beat-a .lost { animation: stale-a 1ms 25s forwards; }") {
		t.Errorf("the style sheet does not turn the page grey by itself: %v", err)
	}
}

func TestAssetsAreServedSmallAndByNameOnly(t *testing.T) {
	total := 0
	for name, kind := range served {
		answer := ask(t, ordinary(), "/assets/"+name)
		body := text(t, answer)
		if total += len(body); answer.StatusCode != 200 || answer.Header.Get("Content-Type") != kind || body == "" {
			t.Errorf("%s: %d %q", name, answer.StatusCode, answer.Header.Get("Content-Type"))
		}
		again := ask(t, ordinary(), "/assets/"+name, "If-None-Match", answer.Header.Get("ETag"))
		if again.StatusCode != http.StatusNotModified {
			t.Errorf("%s is sent again: %d", name, again.StatusCode)
		}
	}
	if total > 1<<20 {
		t.Errorf("assets weigh %d bytes", total)
	}
	err := fs.WalkDir(assetFiles, "assets", func(path string, entry fs.DirEntry, err error) error {
		if name := strings.TrimPrefix(path, "assets/"); err == nil && !entry.IsDir() && served[name] == "" {
			t.Errorf("%s is in the binary and has no address", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/assets/", "/assets/..%2fopenapi.json", "/assets/nothing", "/api/v1/", "/index.html"} {
		if code := ask(t, ordinary(), path).StatusCode; code != http.StatusNotFound {
			t.Errorf("%s answers %d", path, code)
		}
	}
}

func TestNothingHereChangesAnything(t *testing.T) {
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
		for _, r := range newPage(t, ordinary()).routes() {
			path := strings.NewReplacer("{$}", "", "{name}", "page.js").Replace(r.pattern)
			w := httptest.NewRecorder()
			newPage(t, ordinary()).ServeHTTP(w, httptest.NewRequest(method, path, nil))
			if w.Code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s answers %d", method, path, w.Code)
			}
		}
	}
}

func TestReadyzIsTheSourcesWord(t *testing.T) {
	if r := ask(t, ordinary(), "/readyz"); r.StatusCode != 200 {
		t.Errorf("ready answers %d", r.StatusCode)
	}
	if r := ask(t, scenes()["stale"], "/readyz"); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a status of a minute ago answers %d", r.StatusCode)
	}
	full := scenes()["full"]
	full.status.DICOM.NotReady = "the disk is full\r\nX-Evil: 1"
	r := ask(t, full, "/readyz")
	if body := text(t, r); r.StatusCode != http.StatusServiceUnavailable || strings.Count(body, "\n") != 1 || !strings.HasPrefix(body, "the disk is full") {
		t.Errorf("not ready answers %d %q", r.StatusCode, body)
	}
	if r := ask(t, full, "/healthz"); r.StatusCode != 200 {
		t.Errorf("a full disk is not death: %d", r.StatusCode)
	}
}

func TestListsAreNeverNull(t *testing.T) {
	for _, path := range []string{"/api/v1/status", "/api/v1/studies", "/api/v1/devices"} {
		body := strings.Replace(text(t, ask(t, &demo{}, path)), `"days_left": null`, "", 1) // a number, not known
		body = strings.Replace(body, `"udp_open": null`, "", 1)                             // nor this
		if strings.Contains(body, "null") {
			t.Errorf("%s: %s", path, body)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	cases := []struct {
		cfg  Config
		says string
	}{
		{Config{}, "Source is required"},
		{Config{Source: ordinary(), Anonymous: "all"}, "page.anonymous"},
		{Config{Source: ordinary(), Language: "fr"}, "language"},
		{Config{Source: ordinary(), MaxStreams: -1}, "MaxStreams"},
	}
	for _, c := range cases {
		if _, err := New(c.cfg); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v", c.says, err)
		}
	}
}

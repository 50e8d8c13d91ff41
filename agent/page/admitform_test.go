package page

import (
	"net/url"
	"strings"
	"testing"

	"edged/agent/status"
)

// A form that was refused is there again: what was typed, and what of it is wrong. Nobody
// else's form is filled by it.
func TestARefusedAdmissionKeepsWhatWasTyped(t *testing.T) {
	w := catalogues["it"]
	f := facts{Now: morning, Devices: []status.Device{{AETitle: "ECO_NEW", Address: "10.0.0.7", LastSeen: morning}, {AETitle: "ECO_NEW", Address: "10.0.0.8", LastSeen: morning},
		{AETitle: "eco new è", Address: "10.0.0.9", LastSeen: morning}, {AETitle: "NEVER", Known: true}}}
	v := devicesViewOf(f, madeUpDevices{}, w)
	typed := Admission{Title: "ECO_NEW", Address: "10.0.0.777", Name: "Eco 2", Priority: "urgent", Services: []string{"query"}}
	q := url.Values{"wrong": {wrongIn(typed)}, "title": {"ECO_NEW"}, "from": {"10.0.0.7"}, "address": {typed.Address}, "name": {typed.Name}, "priority": {typed.Priority}, "service": typed.Services}
	v.again(q, []string{"store", "query"}, w)
	refused := 0
	for _, k := range v.Pending {
		switch {
		case k.From == "10.0.0.7":
			refused++
			if k.Field != "address" || !strings.Contains(k.Wrong, "indirizzo") || k.Typed.Address != typed.Address || k.Typed.Name != "Eco 2" || k.Services[0].On || !k.Services[1].On {
				t.Errorf("the form is %+v", k)
			}
		case k.Wrong != "" || k.Typed.Address != k.From || !k.Services[0].On:
			t.Errorf("another form is %+v", k)
		}
		if strings.Contains(k.AETitle, "è") != (k.Cannot != "") {
			t.Errorf("%s: %q", k.AETitle, k.Cannot)
		}
	}
	if refused != 1 || len(v.Devices) != 1 || !v.Devices[0].Never {
		t.Errorf("%d refused, %+v", refused, v.Devices)
	}
}

// What is wrong is found out by its field.
func TestWhatIsWrongWithAnAdmission(t *testing.T) {
	good := Admission{Title: "CT1", Address: "10.0.0.7", Services: []string{"store"}}
	for want, change := range map[string]func(*Admission){
		"address": func(a *Admission) { a.Address = "10.0.0" }, "name": func(a *Admission) { a.Name = strings.Repeat("x", 65) },
		"service": func(a *Admission) { a.Services = nil }, "listed": func(a *Admission) { a.Address = "10.0.0.0/24" },
	} {
		a := good
		change(&a)
		if got := wrongIn(a); got != want || admissionWrong[got] == "" {
			t.Errorf("%+v: %q, want %q", a, got, want)
		}
	}
}

// Nobody chooses the names under which this appliance tests itself, nor reads them.
func TestSelfTestsAreNoDevices(t *testing.T) {
	if c := deviceChoices([]string{"CT1", "SELF-2HCMLCCES4T", "SELF-MADE"}, "", nil); len(c) != 2 {
		t.Errorf("to choose from: %+v", c)
	}
	v := studyOf(status.Study{Device: "SELF-2HCMLCCES4T", Test: true}, nil, facts{Now: morning}, catalogues["it"])
	if v.Device != "Questo server (prova)" {
		t.Errorf("it is called %q", v.Device)
	}
}

// A line is told in the reader's own numbers.
func TestTheLineTestInWords(t *testing.T) {
	for lang, want := range map[string]string{"it": "La linea porta 3,6\u00a0Gbit/s.|Andata e ritorno: meno di 1 ms.", "en": "3.6\u00a0Gbit/s", "de": "Die Leitung trägt 3,6\u00a0Gbit/s.|Hin und zurück: weniger als 1 ms."} {
		w := catalogues[lang]
		said := stepOf(TestStep{ID: "line", State: StepOK, Bits: 3_600_000_000}, w).Says + "|" + stepOf(TestStep{ID: "rtt", State: StepOK}, w).Says
		if !strings.Contains(said, want) {
			t.Errorf("%s: %q", lang, said)
		}
	}
}

package codicefiscale

import (
	"slices"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

// chain is the ministry's test number and what omocodia makes of it, one digit after the
// other from the right.
var chain = []string{"RSSMRA72H26F941L", "RSSMRA72H26F94MD", "RSSMRA72H26F9QMP", "RSSMRA72H26FVQME", "RSSMRA72H2SFVQMB",
	"RSSMRA72HNSFVQMM", "RSSMRA7NHNSFVQMX", "RSSMRATNHNSFVQMU"}

// A number with omocodia is as good as any other, and says the same about its owner.
func TestOmocodiaIsNoFault(t *testing.T) {
	for _, s := range chain {
		if p := Accepted(s); p != "" {
			t.Errorf("%s is not accepted: %s", s, p)
		}
		if p := Strict(s); p != "" {
			t.Errorf("%s: %s", s, p)
		}
		if b := Base(s); b != chain[0] {
			t.Errorf("%s is of %s", s, b)
		}
		day, female, ok := Birth(s, now)
		if !ok || female || day.Format(time.DateOnly) != "1972-06-26" {
			t.Errorf("%s: %s %v %v", s, day, female, ok)
		}
	}
}

// One character that is another one is found, at each place but for one: the check
// character cannot tell an even place's letter from the digit of the same number.
func TestAWrongCharacterIsFound(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	for i := range Length {
		for _, c := range []byte(alphabet) {
			b := []byte(chain[0])
			if b[i] == c {
				continue
			}
			b[i] = c
			if s := string(b); Strict(s) == "" {
				t.Errorf("%s passes for %s", s, chain[0])
			}
		}
	}
}

func TestWhatTheGatewayTakes(t *testing.T) {
	for s, want := range map[string]Problem{
		"":                         Empty,
		"   ":                      Empty,
		" rssmra72h26f941l ":       "",
		"RSSMRA72H26F941LX":        "", // the gateway cuts the seventeenth
		"ENI1234567890123":         "",
		"STP1234567890123":         "",
		"STP123456789012X":         BadShape,
		"01234567897":              "", // provisional
		"01234567890":              BadCheck,
		"0123456789A":              BadShape,
		"RSSMRA72H26F941":          BadLength,
		"RSSMRA72H26F941M":         BadCheck,
		"R5SMRA72H26F941L":         BadShape,
		"RSSMRA72H26F94\x00L":      BadShape,
		strings.Repeat("R", 1<<20): BadLength,
	} {
		if got := Accepted(s); got != want {
			t.Errorf("%.40q: %q, want %q", s, got, want)
		}
	}
}

func TestShapeOfTheDecree(t *testing.T) {
	with := func(s string) string { return s + string(CheckCharacter(s)) }
	for s, want := range map[string]Problem{
		"ENI1234567890123":      BadShape,
		"01234567897":           BadLength,
		with("RSSMRA72F26F941"): BadMonth,
		with("RSSMRA72H00F941"): BadDay,
		with("RSSMRA72H32F941"): BadDay,
		with("RSSMRA72H40F941"): BadDay,
		with("RSSMRA72H66F941"): "",
		with("RSSMRA72H72F941"): BadDay,
		"RSSMRA72H26F941A":      BadCheck,
	} {
		if got := Strict(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

// What contradicts is told with both values; what is not known is not compared.
func TestContradictionsHaveTwoValues(t *testing.T) {
	day := func(s string) time.Time { d, _ := time.Parse(time.DateOnly, s); return d }
	mario := Person{Family: "Rossi", Given: "Mario", Birth: day("1972-06-26"), Sex: "M"}
	change := func(f func(*Person)) Person { p := mario; f(&p); return p }
	for _, c := range []struct {
		p    Person
		want []Contradiction
	}{
		{mario, nil},
		{Person{}, nil},
		{change(func(p *Person) { p.Sex = "O" }), nil},
		{change(func(p *Person) { p.Birth = day("1972-07-26") }), []Contradiction{{OfBirth, "1972-06-26", "1972-07-26"}}},
		{change(func(p *Person) { p.Sex = "F" }), []Contradiction{{OfSex, "M", "F"}}},
		{change(func(p *Person) { p.Family = "Bianchi" }), []Contradiction{{OfFamily, "RSS", "BNC"}}},
		{change(func(p *Person) { p.Given = "Gianfranco" }), []Contradiction{{OfGiven, "MRA", "GFR"}}},
		{change(func(p *Person) { p.Given = "Мария" }), nil},
	} {
		if got := Compare(chain[7], c.p, now); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %+v, want %+v", c.p, got, c.want)
		}
	}
}

func TestNamesAsANumberHasThem(t *testing.T) {
	for name, want := range map[string][2]string{
		"Rossi": {"RSS", "RSS"}, "Fo": {"FOX", "FOX"}, "D'Angelò": {"DNG", "DGL"}, "Müller": {"MLL", "MLR"}, "De Rosa": {"DRS", "DRS"},
		"Aiello": {"LLA", "LLA"}, "Io": {"IOX", "IOX"}, "Gianfranco": {"GNF", "GFR"}, "": {"", ""}, "山田": {"", ""},
	} {
		if got := [2]string{ofFamily(name), ofGiven(name)}; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// The 29th of February says which century; nobody is born tomorrow.
func TestTheCenturyIsThatOfThePossibleDay(t *testing.T) {
	for s, want := range map[string]string{
		"RSSMRA00B29F941": "2000-02-29", "RSSMRA26S23F941": "1926-11-23", "RSSMRA26S22F941": "2026-11-22", "RSSMRA72D31F941": "",
	} {
		day, _, ok := Birth(s+string(CheckCharacter(s)), now)
		if got := day.Format(time.DateOnly); ok != (want != "") || ok && got != want {
			t.Errorf("%s: %s %v", s, got, ok)
		}
	}
}

func FuzzEverythingTakesAnyText(f *testing.F) {
	for _, s := range chain {
		f.Add(s, "Rossi", "Mario")
	}
	f.Fuzz(func(t *testing.T, s, family, given string) {
		if Strict(s) == "" && (Accepted(s) != "" || Strict(Base(s)) != "") {
			t.Errorf("%q", s)
		}
		Compare(s, Person{Family: family, Given: given, Sex: "F", Birth: now}, now)
		Birth(s, now)
	})
}

package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

type sample struct {
	DataDir string   `yaml:"data_dir"`
	Log     logging  `yaml:"log"`
	Max     ByteSize `yaml:"max"`
	Rate    BitRate  `yaml:"rate"`
	Keep    time.Duration
	Count   int      `yaml:"count"`
	On      bool     `yaml:"on"`
	Hubs    []string `yaml:"hubs"`
	Dests   []dest   `yaml:"dests"`
	hidden  int
	Skip    int `yaml:"-"`
}

type logging struct {
	Level string `yaml:"level" allowed:"debug|info"`
}

type dest struct {
	Name     string `yaml:"name"`
	Required bool   `yaml:"required"`
}

func (d *dest) SetDefaults() { d.Required = true }

func (s *sample) Validate() error {
	var errs Errors
	if s.DataDir == "" {
		errs = append(errs, Bad("data_dir", "is empty"))
	}
	for i := range s.Dests {
		if s.Dests[i].Name == "" {
			errs = append(errs, Bad("dests["+string(rune('0'+i))+"].name", "is missing"))
		}
	}
	if len(errs) > 0 {
		return errs
	}
	return nil
}

func defaults() sample {
	return sample{DataDir: "/var", Log: logging{"info"}, Keep: time.Hour, Hubs: []string{"a"}, hidden: 7}
}

func TestWhatIsNotWrittenKeepsItsDefault(t *testing.T) {
	got := defaults()
	text := "max: 2GiB\nrate: 800Mbit/s\nkeep: 7d\nlog:\nhubs: [x:1, 'y']\ndests:\n  - name: a\n  - {name: b, required: false}\n"
	if err := Decode("f.yaml", []byte(text), &got); err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.Max, want.Rate, want.Keep, want.Hubs = 2<<30, 800e6, 168*time.Hour, []string{"x:1", "y"}
	want.Dests = []dest{{"a", true}, {"b", false}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestErrorsNameFileLineKeyAndWhatIsAllowed(t *testing.T) {
	for text, want := range map[string]string{
		"data_dri: x":                   `f.yaml:1: data_dri: unknown key; did you mean data_dir?`,
		"\n\nfoo: 1":                    `f.yaml:3: foo: unknown key; allowed here: data_dir, log, max, rate, keep, count, on, hubs, dests`,
		"log:\n  level: loud":           `f.yaml:2: log.level: "loud" is not one of debug, info`,
		"log: 7":                        `f.yaml:1: log: want keys below it (level), not "7"`,
		"max: 12":                       `f.yaml:1: max: "12" is not a size from 0 with its unit, as 512KiB, 2GiB or 10GB`,
		"max: -1GiB":                    `f.yaml:1: max: "-1GiB" is not a size from 0 with its unit, as 512KiB, 2GiB or 10GB`,
		"rate: 8Mb":                     `f.yaml:1: rate: "8Mb" is not a rate from 0 with its unit, as 20Mbit/s or 1Gbit/s`,
		"keep: 7":                       `f.yaml:1: keep: "7" is not a time with its unit, as 90s, 72h or 7d`,
		"count: many":                   `f.yaml:1: count: "many" is not a whole number`,
		"on: yes":                       `f.yaml:1: on: "yes" is not true or false`,
		"hubs: a":                       `f.yaml:1: hubs: want a list, as in [a, b], not "a"`,
		"data_dir: [a]":                 `f.yaml:1: data_dir: want a word, not a list`,
		"on: true\non: false":           `f.yaml:2: on: given twice, first on line 1: keep one of them`,
		"dests:\n- name: a\n- nam: b":   `f.yaml:3: dests[1].nam: unknown key; did you mean name?`,
		"dests:\n- name: a\n- name: ''": `f.yaml:3: dests[1].name: is missing`,
		"dests:\n- required: true":      `f.yaml:2: dests[0].name: is missing`,
		"data_dir: ''":                  `f.yaml:1: data_dir: is empty`,
		"data_dir: &a x":                `f.yaml:1: data_dir: anchors and aliases (& and *) are not used here: write the value out`,
		"hidden: 1":                     `f.yaml:1: hidden: unknown key; allowed here: data_dir, log, max, rate, keep, count, on, hubs, dests`,
		"foo: 1\nbar: 2":                `f.yaml:1: foo: unknown key; allowed here: data_dir, log, max, rate, keep, count, on, hubs, dests (and 1 more)`,
		"on: true\n---\non: false":      `f.yaml:2: a second YAML document: one file is one configuration, without ---`,
		"- a":                           `f.yaml:1: want keys below it (data_dir, log, max, rate, keep, count, on, hubs, dests), not a list`,
		"<<: {on: true}":                `f.yaml:1: <<: unknown key; allowed here: data_dir, log, max, rate, keep, count, on, hubs, dests`,
	} {
		s := defaults()
		err := Decode("f.yaml", []byte(text), &s)
		if err == nil || err.Error() != want {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: more than one line", text)
		}
	}
}

func TestBrokenYAMLIsOneLine(t *testing.T) {
	s := defaults()
	err := Decode("f.yaml", []byte("a: [\nb: }"), &s)
	if err == nil || !strings.HasPrefix(err.Error(), "f.yaml: not YAML: ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

func TestEnvironmentLiesOverTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte("data_dir: /file\ncount: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SAMPLE_DATA_DIR", "/env")
	t.Setenv("SAMPLE_LOG_LEVEL", "debug")
	t.Setenv("SAMPLE_HUBS", "a:1,b:2")
	t.Setenv("SAMPLE_DESTS", "[{name: x}]")
	t.Setenv("SAMPLE_OTHER", "not ours")
	s := defaults()
	if err := Load(path, &s, "SAMPLE", "SAMPLE_OTHER"); err != nil {
		t.Fatal(err)
	}
	want := sample{DataDir: "/env", Log: logging{"debug"}, Keep: time.Hour, Count: 1, Hubs: []string{"a:1", "b:2"}, Dests: []dest{{"x", true}}, hidden: 7}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got %+v\nwant %+v", s, want)
	}
}

func TestEnvironmentIsStrict(t *testing.T) {
	for kv, want := range map[string]string{
		"SAMPLE_DATADIR=x":        `environment: SAMPLE_DATADIR: names no key of the configuration: unset it, or did you mean SAMPLE_DATA_DIR?`,
		"SAMPLE_LOG_LEVEL=x":      `environment: SAMPLE_LOG_LEVEL: "x" is not one of debug, info`,
		"SAMPLE_COUNT=x":          `environment: SAMPLE_COUNT: "x" is not a whole number`,
		"SAMPLE_DESTS=x":          `environment: SAMPLE_DESTS: want a list, as in [a, b], not "x"`,
		"SAMPLE_DESTS=[{nam: x}]": `environment: SAMPLE_DESTS: unknown key; did you mean name?`,
		"SAMPLE_DATA_DIR=":        `environment SAMPLE_DATA_DIR: data_dir: is empty`,
	} {
		s := defaults()
		err := decodeAll("", nil, &s, "SAMPLE", []string{kv, "PATH=/bin"}, nil)
		if err == nil || err.Error() != want {
			t.Errorf("%q:\n got %v\nwant %s", kv, err, want)
		}
	}
}

func TestMissingFileSaysSo(t *testing.T) {
	s := defaults()
	if err := Load(filepath.Join(t.TempDir(), "none.yaml"), &s, ""); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestUnitsRoundTrip(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "1B": 1, "512KiB": 512 << 10, "2GiB": 2 << 30, "10GB": 10e9, "1.5MiB": 3 << 19, "7TiB": 7 << 40} {
		var s ByteSize
		if err := s.UnmarshalText([]byte(text)); err != nil || int64(s) != want {
			t.Errorf("%s: got %d, %v", text, s, err)
		}
		var again ByteSize
		if err := again.UnmarshalText([]byte(s.String())); err != nil || again != s {
			t.Errorf("%s: %s is not read back", text, s)
		}
	}
	var r BitRate
	if err := r.UnmarshalText([]byte("20Mbit/s")); err != nil || r.BytesPerSecond() != 2_500_000 || r.String() != "20Mbit/s" {
		t.Errorf("got %v, %v", r, err)
	}
}

func TestExampleIsCheckedAgainstTheCode(t *testing.T) {
	good := "data_dir: /var\nlog: {level: info}\nmax: 0\nrate: 0\nkeep: 1h\ncount: 0\non: false\nhubs: [a]\ndests: []  # {name: a, required: true}\n"
	for text, want := range map[string]string{
		good: "",
		strings.Replace(good, "count: 0\n", "", 1):       "count: missing from the example",
		strings.Replace(good, "keep: 1h", "keep: 2h", 1): `keep: the example says "2h0m0s", the code's default is "1h0m0s"`,
		strings.Replace(good, "required", "x", 1):        "dests[].required: missing from the example's comments",
	} {
		path := filepath.Join(t.TempDir(), "e.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		def := defaults()
		err := CheckExample(path, &def)
		if (err == nil) != (want == "") || err != nil && !strings.HasSuffix(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("data_dir: x\nlog: {level: info}\ndests: [{name: a}]\n"))
	f.Add([]byte("a: &a [*a]\n<<: *a\n"))
	f.Add([]byte("max: 1e400GiB\nkeep: 99999d\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := defaults()
		if err := Decode("f", data, &s); err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("more than one line: %q", err)
		}
	})
}

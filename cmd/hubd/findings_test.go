package main

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"edged/internal/quality"
)

// What an appliance says in codes is said to operators in words, behind the code; what is
// none stays as it came.
func TestFindingsAreSaidInWords(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"":                            "",
		"another patient":             "another patient",
		"a\x1b[2Jb\nc":                "a [2Jb c",
		"object.cut":                  "object.cut: The image arrived cut off: its end is missing. Send it again from the device.",
		"study.patients":              "study.patients: The same study belongs to two different patients. Check whose it is, correct it in the RIS and send again.",
		"pixels.short 524288 1000":    "pixels.short: The image is incomplete: it should have 524288 bytes, it has 1000 bytes. Send it again from the device.",
		"pixels.frames 12 7":          "pixels.frames: The image is incomplete: it declares 12 frames and has 7 at most. Send it again from the device.",
		"pixels.short":                "pixels.short: The image is incomplete: it should have –, it has –. Send it again from the device.",
		"pixels.short 1 Rossi":        "pixels.short 1 Rossi",
		"object.cut; of.tomorrow 1 2": "object.cut; of.tomorrow 1 2",
		"object.cut; pixels.open":     "object.cut: The image arrived cut off: its end is missing. Send it again from the device. pixels.open: The compressed image stops before its end. Send it again from the device.",
	} {
		if got := foundWords(said); got != want {
			t.Errorf("%q\n got %q\nwant %q", said, got, want)
		}
	}
	for _, e := range quality.Table() {
		if got := foundWords(string(e.Code)); !strings.HasPrefix(got, string(e.Code)+": ") || strings.ContainsAny(got, "{}") {
			t.Errorf("%s: %q", e.Code, got)
		}
	}
}

// What an appliance says of a study is kept as far as it is codes and numbers, also of a later
// version; nothing else gets in, and not without bound.
func TestOfWhatIsFoundInAStudyCodesAndNumbersAreKept(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"":                                   "",
		"fiscal.check 2":                     "fiscal.check 2",
		"fiscal.check 2; study.births 0":     "fiscal.check 2; study.births 0",
		"of.tomorrow 7":                      "of.tomorrow 7",
		"fiscal.check RSSMRA72H26F941L; x 1": "x 1",
		"Rossi 1; fiscal.check -1; 2":        "",
		"fiscal.check":                       "",
		"a\x1b[2J 1; fiscal.check 3 4":       "",
		strings.Repeat("a", 41) + " 1":       "",
	} {
		if got := foundCodes(said); got != want {
			t.Errorf("%q: %q, want %q", said, got, want)
		}
	}
	if n := len(foundThings(strings.Repeat("x 1; ", 1000))); n != maxStudyCodes {
		t.Errorf("%d codes", n)
	}
	if got, want := foundThings("fiscal.check 2; of.tomorrow 7"), []FoundThing{{"fiscal.check", "fiscal_code", 2}, {"of.tomorrow", "", 7}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

// hubd findings ls, the API and the console list the same.
func TestFindingsOfStudiesAreListed(t *testing.T) {
	d := newDesk(t)
	d.busy()
	all := d.get("/api/v1/findings", d.token("viewer"))["items"].([]any)
	if len(all) != 2 {
		t.Fatalf("%v", all)
	}
	one := d.get("/api/v1/findings?code=fiscal.check&appliance=box1", d.token("operator"))["items"].([]any)[0].(map[string]any)
	if one["study_instance_uid"] != "1.2.98" || one["facility"] != "ASL1" || len(one["findings"].([]any)) != 3 {
		t.Errorf("%v", one)
	}
	b := d.logIn("viewer")
	text := b.do("GET", "/findings?code=fiscal.check", nil).Body.String()
	for _, want := range []string{"fiscal.check</span> in 2", "<span class=\"mono\">study.births</span></div>", "<option selected>fiscal.check</option>", "ASL1"} {
		if !strings.Contains(text, want) {
			t.Errorf("the console does not have %s", want)
		}
	}
	if text := b.do("GET", "/findings", nil).Body.String(); !strings.Contains(text, "&lt;script&gt;alert(2)") || strings.Contains(text, "<script>alert") {
		t.Error("a UID is not shown as text")
	}
	first := d.get("/api/v1/findings?limit=1", d.token("admin"))
	if second := d.get("/api/v1/findings?limit=1&cursor="+first["next"].(string), d.token("admin")); len(second["items"].([]any)) != 1 || second["items"].([]any)[0].(map[string]any)["study_instance_uid"] == first["items"].([]any)[0].(map[string]any)["study_instance_uid"] {
		t.Errorf("behind %v comes %v", first, second)
	}
}

func TestFindingsLsRefusesAnUnknownCode(t *testing.T) {
	var out, errOut bytes.Buffer
	if code := run(t.Context(), []string{"findings", "ls", "--code", "fiscal.chek"}, &out, &errOut); code != exitUsage || !strings.Contains(errOut.String(), "docs/findings.md") {
		t.Errorf("%d %s", code, &errOut)
	}
}

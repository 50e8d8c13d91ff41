package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

func sheet(t *testing.T, css string, u used) string {
	t.Helper()
	rules, err := parse(css)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	write(&out, cut(rules, u))
	return out.String()
}

// What the page cannot show goes, what it can stays, whatever stands between braces.
func TestASheetIsCutToWhatIsUsed(t *testing.T) {
	u := used{classes: map[string]bool{"a": true, "b-1": true}, patterns: regexp.MustCompile(`^x-\d$`), elements: map[string]bool{"p": true, "svg": true}, variables: map[string]bool{"--mine": true}}
	cases := []struct{ name, in, want string }{
		{"a class", `.a{c:d}.z{c:d}`, ".a{c:d}\n"},
		{"one of several selectors", `.a,.z,p.b-1{c:d}`, ".a,p.b-1{c:d}\n"},
		{"a class inside another selector", `.a .z{c:d}.a>p:hover{c:d}`, ".a>p:hover{c:d}\n"},
		{"a pattern", `.x-3{c:d}.x-33{c:d}`, ".x-3{c:d}\n"},
		{"an element", `p+svg::before{c:d}video{c:d}p>video{c:d}`, "p+svg::before{c:d}\n"},
		{"what is negated need not be there", `p:not(.z):not([a="}"]){c:d}`, "p:not(.z):not([a=\"}\"]){c:d}\n"},
		{"inside of media", `@media(min-width:1px){.z{c:d}.a{c:d}}@media print{.z{c:d}}`, "@media(min-width:1px){\n.a{c:d}\n}\n"},
		{"comments and strings hide braces", `/*}*/.a{content:"}/*;";c:d}`, ".a{content:\"}/*;\";c:d}\n"},
		{"what would be loaded", `.a{background:url("data:x;,y");c:d}.b-1{src:url(//x)}`, ".a{c:d}\n"},
		{"fonts and imports", `@import "x";@charset "utf-8";@font-face{src:url(x)}.a{c:d}`, ".a{c:d}\n"},
		{"variables that nothing needs", `.a{--one:1;--two:var(--one);--mine:2}`, ".a{--mine:2}\n"},
		{"variables that need each other", `.a{--one:1;--two:var(--one);c:var(--two)}`, ".a{--one:1;--two:var(--one);c:var(--two)}\n"},
		{"animations", `@keyframes k{from{c:d;e:f}}@keyframes l{from{c:d}}.a{animation:k 1s}`, "@keyframes k{from{c:d;e:f}}\n.a{animation:k 1s}\n"},
		{"what data- attributes switch", `[data-bs-theme=x] .a{c:d}`, ""},
	}
	for _, c := range cases {
		if got := sheet(t, c.in, u); got != c.want {
			t.Errorf("%s: %q becomes %q, want %q", c.name, c.in, got, c.want)
		}
	}
}

func TestASheetThatIsCutOffIsRefused(t *testing.T) {
	for _, css := range []string{`.a{c:d`, `.a{content:"}`, `/* .a{c:d}`, `.a`} {
		if _, err := parse(css); err == nil {
			t.Errorf("%q is believed", css)
		}
	}
}

func TestClassesAreFoundInTemplates(t *testing.T) {
	got := strings.Join(classesOf(`<p class="a {{if eq .X "y"}}b-1{{else}}c{{end}} is-{{.S}}"><i class="d">`), " ")
	for _, want := range []string{"a", "b-1", "c", "d"} {
		if !strings.Contains(" "+got+" ", " "+want+" ") {
			t.Errorf("%q is not among %q", want, got)
		}
	}
}

// What is committed is what the templates of today need, and no rule more.
func TestWhatIsCommittedIsCut(t *testing.T) {
	const page = "../../../agent/page"
	raw, err := os.ReadFile(page + "/assets/bootstrap-italia.css")
	if err != nil {
		t.Fatal(err)
	}
	u, err := usedBy(page)
	if err != nil {
		t.Fatal(err)
	}
	again, err := styles(string(raw), u)
	if err != nil || again != string(raw) {
		t.Errorf("%d bytes are %d when cut again (%v): run make assets", len(raw), len(again), err)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{`.a,.b:not(.c){c:d}`, `@media x{.a{c:"}"}}`, `/*`, `\`, `"`, "@charset;"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, css string) {
		if len(css) < 4096 {
			_, _ = parse(css) // it ends, and does not panic
		}
	})
}

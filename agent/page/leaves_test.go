package page

import (
	"errors"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"edged/agent/account"
)

// nobody, and the two who log in.
var viewers = []viewer{{}, {Name: "m.rossi", Role: account.Technician, Token: "t"}, {Name: "a.admin", Role: account.Administrator, Token: "t", Address: netip.MustParseAddr("192.0.2.9")}}

// sampled are values for what stands between braces in the paths of pages.
var sampled = map[string]string{"{ae}": "CT1", "{key}": ordinary().studies[0].Key, "{id}": "1", "{day}": "2026-11-21", "{date}": "2026-11-21"}

var inBraces = regexp.MustCompile(`\{[a-z$]+\}`)

// walk draws every page that there is, in each language, for everybody who may see it.
func walk(t *testing.T, see func(name string, l leaf, who viewer, lang, body string)) {
	t.Helper()
	p := deskPage(t, scenes()["attention"])
	for _, l := range append([]leaf{p.stateLeaf()}, p.leaves()...) {
		if l.build == nil {
			continue // no page, but a drawing or a file
		}
		for _, lang := range languages {
			for _, who := range viewers {
				if body, ok := drawn(t, p, l, who, lang.code); ok {
					see(l.path+" "+lang.code+" "+who.Name, l, who, lang.code, body)
				}
			}
		}
	}
}

func drawn(t *testing.T, p *Page, l leaf, who viewer, lang string) (body string, ok bool) {
	t.Helper()
	if !who.May(l.role) {
		return "", false
	}
	path := inBraces.ReplaceAllStringFunc(l.path, func(name string) string { return sampled[name] })
	r := httptest.NewRequest("GET", path+"?lang="+lang, nil)
	for name, value := range sampled {
		r.SetPathValue(strings.Trim(name, "{}"), value)
	}
	rq := p.request(r)
	rq.Viewer = who
	data, err := l.build(rq)
	if errors.Is(err, errNotFound) {
		t.Logf("%s: the made-up desk has no %s", l.path, path)
		return "", false
	}
	if err != nil {
		t.Errorf("%s: %v", l.path, err)
		return "", false
	}
	w := httptest.NewRecorder()
	p.draw(w, rq, l, data)
	if w.Code != 200 {
		t.Errorf("%s answers %d: %s", l.path, w.Code, w.Body)
	}
	return w.Body.String(), w.Code == 200
}

// No page lacks a text or shows a placeholder, in whatever language, to whomever.
func TestEveryPageIsCompleteInEveryLanguage(t *testing.T) {
	walk(t, func(name string, _ leaf, _ viewer, lang, body string) {
		if i := strings.Index(body, "⟦"); i >= 0 {
			t.Errorf("%s lacks a text: %s", name, body[i:min(i+60, len(body))])
		}
		if found := placeholder.FindString(body); found != "" {
			t.Errorf("%s shows %s", name, found)
		}
		if !strings.Contains(body, `<html lang="`+lang+`"`) {
			t.Errorf("%s is not marked as %s", name, lang)
		}
	})
}

var (
	heading = regexp.MustCompile(`<h([1-6])[ >]`)
	anID    = regexp.MustCompile(`\sid="([^"]*)"`)
	pointer = regexp.MustCompile(`\s(?:aria-labelledby|aria-describedby|for)="([^"]*)"`)
	field   = regexp.MustCompile(`<(?:input|select|textarea)\b[^>]*>`)
)

// What who uses no eyes or no mouse needs: one heading of the page and none left out below
// it, no id twice, no reference to what is not there, a label on each field.
func TestEveryPageIsInOrder(t *testing.T) {
	walk(t, func(name string, l leaf, _ viewer, _, body string) {
		last := 0
		for i, m := range heading.FindAllStringSubmatch(body, -1) {
			level := int(m[1][0] - '0')
			if i == 0 != (level == 1) || level > last+1 {
				t.Errorf("%s: heading %d of the page is h%d after h%d", name, i+1, level, last)
			}
			last = level
		}
		ids := map[string]int{}
		for _, m := range anID.FindAllStringSubmatch(body, -1) {
			if ids[m[1]]++; ids[m[1]] > 1 {
				t.Errorf("%s has two of id %q", name, m[1])
			}
		}
		for _, m := range pointer.FindAllStringSubmatch(body, -1) {
			for _, id := range strings.Fields(m[1]) {
				if ids[id] == 0 {
					t.Errorf("%s points at %q, which is not there", name, id)
				}
			}
		}
		for _, id := range l.fresh {
			if ids[id] != 1 {
				t.Errorf("%s: what is to be exchanged, %q, is there %d times", name, id, ids[id])
			}
		}
		for _, f := range field.FindAllString(body, -1) {
			hidden := strings.Contains(f, `type="hidden"`)
			if id := anID.FindStringSubmatch(f); !hidden && !strings.Contains(f, "aria-label") && (id == nil || !strings.Contains(body, `for="`+id[1]+`"`)) && !within(body, f, "label") {
				t.Errorf("%s: no label for %s", name, f)
			}
		}
	})
}

// within is whether what stands in an element that is still open there.
func within(body, what, element string) bool {
	before := body[:strings.Index(body, what)]
	return strings.Count(before, "<"+element) > strings.Count(before, "</"+element+">")
}

// Nothing on any page needs what the policy forbids, and each script has its nonce.
func TestEveryPageKeepsThePolicy(t *testing.T) {
	walk(t, func(name string, l leaf, _ viewer, _, body string) {
		m := markup(body)
		for _, forbidden := range []string{" style=", "<style", " onclick", " onchange", " onsubmit", " onload", "javascript:", "http://", "https://", `src="//`, `href="//`} {
			if strings.Contains(m, forbidden) {
				t.Errorf("%s has %q", name, forbidden)
			}
		}
		if a, b := strings.Count(m, "<script"), strings.Count(m, ` nonce="`); a != b {
			t.Errorf("%s has %d scripts and %d nonces", name, a, b)
		}
		if live := len(l.fresh) > 0 && !l.print; live != strings.Contains(body, `http-equiv="refresh"`) || live != strings.Contains(body, "hx-sse:connect") {
			t.Errorf("%s: it changes is %t", name, live)
		}
		if n := strings.Count(body, `id="stale"`); n > 1 || n == 1 != (len(l.fresh) > 0 && !l.print) {
			t.Errorf("%s: %d panels say that it stands still", name, n)
		}
	})
}

// A form that changes something carries the token; one that asks is a GET, or asks what no
// address may say: who has not logged in has no token for that.
func TestEveryFormCarriesItsToken(t *testing.T) {
	walk(t, func(name string, _ leaf, who viewer, _, body string) {
		for _, form := range strings.Split(body, "<form")[1:] {
			form, _, _ = strings.Cut(form, "</form>")
			post := strings.Contains(form, `method="post"`)
			without := strings.Contains(form, `action="/login"`) || strings.Contains(form, `action="/studies"`) && !who.In()
			if post && !without && !strings.Contains(form, `name="csrf"`) {
				t.Errorf("%s: a form without a token: %.80s", name, form)
			}
		}
	})
}

var (
	classAttr = regexp.MustCompile(`\bclass="((?:[^"{]|\{[^{]|\{\{[^}]*\}\})*)"`)
	action    = regexp.MustCompile(`\{\{[^}]*\}\}`)
	className = regexp.MustCompile(`(?:^|\s)([a-zA-Z][\w-]*)(?:\s|$)`)
	inSheet   = regexp.MustCompile(`\.([a-zA-Z][\w-]*)`)
)

// A class of Bootstrap Italia in a template has its rules: else they were cut away. Other
// names without a rule are for tests and eyes.
func TestNoRuleIsCutAwayThatATemplateNeeds(t *testing.T) {
	have := map[string]bool{}
	for _, name := range []string{"bootstrap-italia.css", "style.css", "areas.css"} {
		raw, err := assetFiles.ReadFile("assets/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range inSheet.FindAllStringSubmatch(string(raw), -1) {
			have[m[1]] = true
		}
	}
	raw, err := os.ReadFile("testdata/bootstrap-italia.classes")
	if err != nil {
		t.Fatal(err)
	}
	italia := strings.Fields(string(raw))
	names, _ := filepath.Glob("templates/*.html")
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range classAttr.FindAllStringSubmatch(string(raw), -1) {
			for _, class := range strings.Fields(action.ReplaceAllString(m[1], " ")) {
				whole := className.MatchString(class) && !strings.HasSuffix(class, "-")
				if whole && !have[class] && slices.Contains(italia, class) && class != "note" { // of them only beside others
					t.Errorf("%s: no rule for class %q: make assets", name, class)
				}
			}
		}
	}
}

var (
	loads   = regexp.MustCompile(`(?i)url\(\s*['"]?([^'")]*)|@import`)
	network = regexp.MustCompile(`(?i)["'(]\s*(https?:)?//[a-z]`)
)

// Nothing that a browser gets from here makes it ask anywhere else.
func TestNothingIsLoadedFromTheNetwork(t *testing.T) {
	for name := range served {
		raw, err := assetFiles.ReadFile("assets/" + name)
		if err != nil {
			t.Fatal(err)
		}
		css, js := strings.HasSuffix(name, ".css"), strings.HasSuffix(name, ".js")
		if css {
			for _, m := range loads.FindAllStringSubmatch(string(raw), -1) {
				if !strings.HasPrefix(m[1], "/assets/") || served[strings.TrimPrefix(m[1], "/assets/")] == "" {
					t.Errorf("%s loads %q", name, m[0])
				}
			}
		}
		if found := network.Find(raw); (css || js) && found != nil {
			t.Errorf("%s names %q", name, found)
		}
	}
}

// A page of another build, or of somebody who may not look any more, loads itself anew;
// its parts are not exchanged.
func TestAnOpenPageOfAnotherBuildLoadsItselfAnew(t *testing.T) {
	for header, want := range map[string]string{"": "", build: "", "b0": "true"} {
		r := ask(t, ordinary(), "/", freshHeader, header)
		if got := r.Header.Get("HX-Refresh"); got != want {
			t.Errorf("%q: HX-Refresh is %q", header, got)
		}
	}
	p := deskPage(t, ordinary())
	secret := leaf{path: "/line", menu: "menu.line", file: "line.html", role: account.Technician, build: p.buildLine}
	r := httptest.NewRequest("GET", "/line", nil)
	r.Header.Set(freshHeader, build)
	w := httptest.NewRecorder()
	p.serveLeaf(secret)(w, r)
	if w.Header().Get("HX-Refresh") != "true" || strings.Contains(w.Body.String(), "<html") {
		t.Errorf("who may not look is shown %d %q", w.Code, w.Body)
	}
}

var said = regexp.MustCompile(`\b(Say|Count)\(?\s*"([a-z][\w.]*\.[\w.]+)"(\s*\+)?`)

// Every text that a template or the code asks for by its whole name is there.
func TestNoWordIsMissing(t *testing.T) {
	it := catalogues["it"]
	var files []string
	for _, pattern := range []string{"*.go", "templates/*.html"} {
		names, _ := filepath.Glob(pattern)
		files = append(files, names...)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range said.FindAllStringSubmatch(string(raw), -1) {
			id, counted := m[2], m[1] == "Count"
			switch {
			case m[3] != "": // the code completes it
			case counted && (!it.has(id+".one") || !it.has(id+".other")):
				t.Errorf("%s counts by %q, which has no .one and .other", name, id)
			case !counted && !it.has(id):
				t.Errorf("%s says %q, which is nowhere", name, id)
			}
		}
	}
}

// Who has not logged in sees no person, or where that is chosen initials and year; a name
// only who has.
func TestTheStateNamesNobodyToWhoOnlyLooks(t *testing.T) {
	for _, c := range []struct {
		anonymous string
		who       viewer
		sees      string
		not       []string
	}{
		{AnonymousState, viewers[0], "Radiografia", []string{"P.M.", "PROVA", "1972"}},
		{AnonymousMasked, viewers[0], "P.M. 1972", []string{"PROVA", "MARIA"}},
		{AnonymousState, viewers[1], "PROVA MARIA", nil},
	} {
		p, err := New(allDesks(Config{Source: ordinary(), Anonymous: c.anonymous, Location: rome}))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := drawn(t, p, p.stateLeaf(), c.who, "it")
		if !strings.Contains(body, c.sees) {
			t.Errorf("%s %q: no %s", c.anonymous, c.who.Name, c.sees)
		}
		for _, not := range c.not {
			if strings.Contains(body, not) {
				t.Errorf("%s %q sees %s", c.anonymous, c.who.Name, not)
			}
		}
	}
}

package main

import (
	"context"
	"encoding/csv"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// owned lists what a hostile text has done to the page that is open.
const owned = `(() => {
	const bad = [], controls = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff]/, towers = /\p{M}{6,}/u, rtl = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]/;
	if (window.owned) bad.push("a script ran");
	for (const e of document.querySelectorAll("[data-canary], [onmouseover], [onerror], [onload], script:not([src]), iframe, object, embed")) bad.push("an element came in: " + e.outerHTML.slice(0, 120));
	for (const a of document.querySelectorAll("a[href], form[action]")) if (/^\s*(javascript|data|vbscript):/i.test(a.getAttribute("href") ?? a.getAttribute("action"))) bad.push("a link runs: " + a.outerHTML.slice(0, 120));
	if (controls.test(document.title) || document.title.length > 300) bad.push("the title: " + JSON.stringify(document.title.slice(0, 100)));
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (let n; n = walk.nextNode();) {
		const text = n.data, at = n.parentElement;
		if (controls.test(text)) bad.push("controls in " + JSON.stringify(text.slice(0, 80)) + " of " + at.outerHTML.slice(0, 60));
		if (towers.test(text)) bad.push("a tower of accents in " + at.outerHTML.slice(0, 60));
		if (text.length > 2000) bad.push(text.length + " characters in one place: " + at.outerHTML.slice(0, 60));
		if (rtl.test(text) || /PROVA/.test(text)) {
			let e = at, alone = false;
			for (; e && e !== document.body; e = e.parentElement) if (/isolate|plaintext/.test(getComputedStyle(e).unicodeBidi) && (e.tagName === "BDI" || e.dir === "auto")) { alone = true; break; }
			if (!alone && rtl.test(text)) bad.push("right-to-left text is not isolated: " + at.outerHTML.slice(0, 120));
			if (!alone && /PROVA/.test(text) && !at.closest("h1, title, option, header, footer, textarea") && !/Ospedale|PROVA\^EDGED/.test(text)) window.loose = (window.loose ?? 0) + 1, window.looseAt = at.outerHTML.slice(0, 120);
		}
	}
	for (const e of document.querySelectorAll("[title],[aria-label],[placeholder],[value],[alt]")) for (const k of ["title", "aria-label", "placeholder", "value", "alt"]) if (!(k === "value" && e.type === "hidden") && controls.test(e.getAttribute(k) ?? "")) bad.push("controls in the attribute " + k + ": " + e.outerHTML.slice(0, 120));
	const root = document.documentElement;
	if (root.scrollWidth > innerWidth + 1) {
		const wide = [...document.body.querySelectorAll("*")].filter(e => e.getBoundingClientRect().right > innerWidth + 1).slice(-2);
		bad.push("the page is " + root.scrollWidth + " wide in a window of " + innerWidth + ": " + wide.map(e => e.outerHTML.slice(0, 100)).join(" / "));
	}
	for (const s of root.innerHTML.matchAll(/.{30}(49PROVA|\$\{49\}).{20}/g)) bad.push("a template was run: " + s[0]);
	return bad;
})()`

// hostile stores names that are attacks, for real, and then visits every page as
// everybody who may see it: they are text, in their own place, and no more.
func hostile(ctx context.Context, p *play) error {
	if _, err := p.stage.command(ctx, "pause", "--for", "15m"); err != nil { // what is not archived is told by name on more pages
		return err
	}
	defer p.stage.command(ctx, "resume") // a pause that is over is none
	taken, err := p.storeHostile(ctx)
	if err != nil {
		return err
	}
	if taken < len(hostileTexts)*3/2 {
		p.wrong("of %d hostile objects %d were taken: the rest is not shown to anybody", 2*len(hostileTexts)-1, taken)
	}
	p.note("%d hostile objects are stored", taken)
	if err := p.callHostile(ctx); err != nil {
		return err
	}
	if err := p.recordHostile(ctx); err != nil {
		return err
	}
	time.Sleep(4 * time.Second) // the studies end by being quiet
	p.examples = everyOne
	err = crawlAll(ctx, p)
	p.examples = examples
	if err != nil {
		return err
	}
	met := map[string]int{}
	for _, in := range []bool{false, true} {
		t, err := p.viewer(ctx, "it", in)
		if err != nil {
			return err
		}
		err = p.visit(ctx, t, p.pages, in, func(t *tab, f found) error {
			if t.is(attack + ".test(document.body.innerText)") {
				met[p.routeFor(f.path)]++
			}
			return p.harmless(t, f)
		})
		t.close()
		if err != nil {
			return err
		}
	}
	p.note("hostile text stands on %v", met)
	for _, path := range shownHostile {
		if met[path] == 0 {
			p.wrong("%s shows nothing of the hostile texts: nothing was tried there", path)
		}
	}
	return p.tables(ctx)
}

// everyOne of a pattern is looked at while the texts are hostile.
const everyOne = 200

// attack is a part of a hostile text that a page shows.
const attack = `/owned=1|HYPERLINK|data-canary|PROVALUNGO|PROVA LUNGO|TXET|cmd\||onload|src=x|مريض/`

// shownHostile are pages that show texts of others.
var shownHostile = []string{"/studies", "/studies/{key}", "/studies/{key}/receipt", "/days", "/days/{date}/print", "/fix", "/devices", "/audit"}

// recordHostile brings hostile names into the audit trail: a stranger that is ignored,
// and a name to log in with.
func (p *play) recordHostile(ctx context.Context) error {
	cookie := p.cookie(ctx)
	_, _, body, err := p.get(ctx, "/devices", cookie)
	if err != nil {
		return err
	}
	token := formToken(body)
	forms := map[string]url.Values{
		"/devices/ignore": {"csrf": {token}, "title": {"<img src=x>"}, "address": {"127.0.0.1"}},
		"/accounts/add":   {"csrf": {token}, "name": {"<img src=x onerror=window.owned=1>"}, "role": {"technician"}, "password": {"una-parola-lunga-assai"}},
	}
	for path, form := range forms {
		if _, err := p.post(ctx, path, form, p.stage.base(), "same-origin", cookie); err != nil {
			return err
		}
	}
	_, _, body, err = p.get(ctx, "/login", "")
	if err != nil {
		return err
	}
	for _, name := range []string{"<img src=x onerror=window.owned=1>", "\u202eowned=1"} {
		form := url.Values{"csrf": {formToken(body)}, "name": {name}, "password": {"una-parola-lunga-assai"}}
		if _, err := p.post(ctx, "/login", form, p.stage.base(), "same-origin", ""); err != nil {
			return err
		}
	}
	return nil
}

func (p *play) harmless(t *tab, f found) error {
	var bad []string
	if err := t.eval(owned, &bad); err != nil {
		return err
	}
	for _, b := range bad {
		p.wrong("%s (logged in %v): %s", f.path, f.in, b)
	}
	if loose := t.text("window.looseAt ?? ''"); loose != "" {
		p.wrong("%s: text of others without <bdi>: %s", f.path, loose)
	}
	noise, strange := t.heard()
	for _, n := range append(noise, strange...) {
		p.wrong("%s: %s", f.path, n)
	}
	return nil
}

var download = regexp.MustCompile(`href="([^"#]*(?:\.csv|csv=|format=csv|/csv)[^"#]*)"`)

// tables reads the CSV files that pages offer: no cell is a formula.
func (p *play) tables(ctx context.Context) error {
	cookie := p.header()
	for _, f := range p.pages {
		_, _, body, err := p.get(ctx, f.path, cookie)
		if err != nil {
			return err
		}
		for _, m := range download.FindAllStringSubmatch(body, -1) {
			to, ok := p.inside(f.path, strings.ReplaceAll(m[1], "&amp;", "&"))
			if !ok {
				continue
			}
			code, _, text, err := p.get(ctx, to, cookie)
			if err != nil {
				return err
			}
			if code != http.StatusOK {
				p.wrong("%s answers %d", to, code)
				continue
			}
			p.formulas(to, text)
		}
	}
	return nil
}

func (p *play) formulas(path, text string) {
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\ufeff")))
	r.FieldsPerRecord = -1
	if head, _, _ := strings.Cut(text, "\n"); strings.Count(head, ";") > strings.Count(head, ",") {
		r.Comma = ';'
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			p.wrong("%s is no CSV: %v", path, err)
			return
		}
		for _, cell := range row {
			if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r") && len(cell) > 1 && !regexp.MustCompile(`^[+-]?[\d.,]+$`).MatchString(cell) {
				p.wrong("%s has a cell that a spreadsheet runs: %.60q", path, cell)
			}
		}
	}
}

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"edged/internal/tools/lab"
)

// raw is what a page must not show: words without a translation, and places in them
// that nothing was put in.
var raw = regexp.MustCompile(`⟦|⟧|\{\{?\.?[a-zA-Z]+\}?\}|<no value>|%!|\bNaN\b|\bundefined\b|0001-01-01|01/01/0001`)

// languages reads every page in each language, asked for by the browser and chosen on
// the page.
func languages(ctx context.Context, p *play) error {
	texts := map[string]map[string]string{}
	err := p.everywhere(ctx, func(t *tab, f found, language string) error {
		if got := t.text("document.documentElement.lang"); got != language {
			p.wrong("%s asked for in %s has lang=%q", f.path, language, got)
		}
		whole := t.text("document.title") + "\n" + t.text("document.body.innerText") + t.text(`[...document.querySelectorAll("[title],[aria-label],[placeholder],[alt]")].map(e => [e.title, e.getAttribute("aria-label"), e.placeholder, e.alt].join(" ")).join("\n")`)
		if bad := raw.FindString(whole); bad != "" {
			at := strings.Index(whole, bad)
			p.wrong("%s in %s shows %q: …%s…", f.path, language, bad, strings.ReplaceAll(whole[max(0, at-40):min(len(whole), at+60)], "\n", " "))
		}
		key := f.pattern + fmt.Sprint(f.in)
		if texts[key] == nil {
			texts[key] = map[string]string{}
		}
		texts[key][language] = t.text("document.querySelector('main').innerText.replace(/[^\\p{L}]+/gu, ' ')")
		noise, _ := t.heard()
		for _, n := range noise {
			p.wrong("%s in %s: %s", f.path, language, n)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for key, in := range texts { // "System" is German and English: a page is more than its title
		if in["de"] == in["it"] || in["de"] == in["en"] {
			p.wrong("%s is the same in two languages: %.200s", key, in["de"])
		}
	}
	return p.chosen(ctx)
}

// chosen takes each language by its link, against the browser's, and sees it kept.
func (p *play) chosen(ctx context.Context) error {
	t, err := p.browser.look(p.stage.base(), "en")
	if err != nil {
		return err
	}
	defer t.close()
	for _, language := range []string{"de", "it", "en"} {
		for _, path := range p.menu() {
			if err := t.open(path); err != nil {
				return err
			}
			link := fmt.Sprintf(`a[hreflang=%q], a[href*="lang=%s"]`, language, language)
			if !t.is("document.querySelector(" + quote(link) + ")") {
				p.wrong("%s has no choice of %s", path, language)
				continue
			}
			if err := t.do(chromedp.Click(link, chromedp.ByQuery), chromedp.WaitReady("h1", chromedp.ByQuery)); err != nil {
				return err
			}
			if err := t.until(ctx, 10*time.Second, "the language to be "+language, "document.documentElement.lang === "+quote(language)+" && document.readyState === 'complete'"); err != nil {
				p.wrong("%s: %v", path, err)
			}
			if at, _, _ := strings.Cut(t.path(), "?"); at != path {
				p.wrong("choosing %s on %s leads to %s", language, path, at)
			}
		}
	}
	return nil
}

// paint measures how soon something is seen, what is loaded for it, and from where.
func paint(ctx context.Context, p *play) error {
	return p.each(ctx, "it", func(t *tab, f found) error {
		times, bytes, err := t.paints(f.path)
		for again := 0; err == nil && times[0] > 200 && again < 3; again++ { // others may be using the machine
			var more []float64
			more, _, err = t.paints(f.path)
			times = slices.Sorted(slices.Values(append(times, more...)))
		}
		if err != nil {
			return err
		}
		p.note("%s paints after %.0f ms (%.0f at best), %.0f KB", f.path, times[2], times[0], bytes/1e3)
		if times[0] > 200 {
			p.wrong("%s: first paint after %.0f ms at best", f.path, times[0])
		}
		if bytes > 1e6 {
			p.wrong("%s loads %.0f bytes", f.path, bytes)
		}
		if _, strange := t.heard(); len(strange) > 0 {
			p.wrong("%s asks another host: %s", f.path, strings.Join(strange, " "))
		}
		return nil
	})
}

// paints opens a page six times and gives the first paints in milliseconds, the best
// first, and what was loaded the first time.
func (t *tab) paints(path string) (times []float64, bytes float64, err error) {
	for i := range 6 {
		if err := t.do(network.SetCacheDisabled(i == 0)); err != nil { // the first time all is loaded
			return nil, 0, err
		}
		if err := t.open(path); err != nil {
			return nil, 0, err
		}
		var got struct{ Paint, Bytes float64 }
		err := t.eval(`new Promise(tell => new PerformanceObserver((list, o) => { const e = list.getEntriesByName("first-contentful-paint")[0]; if (!e) return; o.disconnect();
			setTimeout(() => tell({paint: e.startTime, bytes: [...performance.getEntriesByType("resource"), ...performance.getEntriesByType("navigation")].reduce((n, r) => n + r.decodedBodySize, 0)}), 50); }).observe({type: "paint", buffered: true}))`, &got)
		if err != nil {
			return nil, 0, err
		}
		times, bytes = append(times, got.Paint), max(bytes, got.Bytes)
	}
	slices.Sort(times)
	return times, bytes, nil
}

var pdfPage = regexp.MustCompile(`/Type\s*/Page\b`)

// printed puts every page on paper: what is a sheet is one A4 page, without menu. It
// comes before the hostile names, of which one alone is longer than that.
func printed(ctx context.Context, p *play) error {
	if err := crawlAll(ctx, p); err != nil {
		return err
	}
	sheets := 0
	err := p.each(ctx, "it", func(t *tab, f found) error {
		var pdf []byte
		err := t.do(chromedp.ActionFunc(func(ctx context.Context) (err error) {
			pdf, _, err = page.PrintToPDF().WithPaperWidth(8.27).WithPaperHeight(11.69).WithPrintBackground(true).WithPreferCSSPageSize(true).Do(ctx)
			return err
		}))
		if err != nil {
			return err
		}
		n := len(pdfPage.FindAll(pdf, -1))
		sheet := t.is(`!document.querySelector("nav.menu, header nav")`) && f.path != "/login"
		p.note("%s prints on %d page(s)%s", f.path, n, map[bool]string{true: ", a sheet"}[sheet])
		if sheet {
			sheets++
			if n > p.atMost(f) {
				p.wrong("the sheet %s prints on %d pages", f.path, n)
			}
		}
		return p.onPaper(ctx, t, f, sheet, pdf)
	})
	if err == nil && sheets == 0 {
		p.wrong("there is no sheet to print")
	}
	return err
}

// atMost is how many pages a sheet may have: two where it is in two languages; a day has
// as many devices as it has.
func (p *play) atMost(f found) int {
	switch {
	case p.routeFor(f.path) == "/days/{date}/print":
		return 10
	case strings.Contains(f.path, "bilingual"):
		return 2
	}
	return 1
}

// onPaper looks at what is left for the printer, and at the text of the PDF where
// there is a program for it.
func (p *play) onPaper(ctx context.Context, t *tab, f found, sheet bool, pdf []byte) error {
	if err := t.do(emulation.SetEmulatedMedia().WithMedia("print")); err != nil {
		return err
	}
	defer t.do(emulation.SetEmulatedMedia())
	text := t.text("document.body.innerText")
	unwanted := "nav"
	if sheet {
		unwanted = "nav, button, input[type=submit]"
	}
	if t.is(`[...document.querySelectorAll("` + unwanted + `")].some(e => e.checkVisibility({visibilityProperty: true}))`) {
		p.wrong("%s: menu or buttons are printed", f.path)
	}
	if sheet && strings.HasSuffix(f.path, "/sheet") {
		for _, word := range []string{"EDGED", "127.0.0.1", strings.TrimPrefix(p.stage.edged.Address, "127.0.0.1:"), "Ospedale di Prova"} {
			if !strings.Contains(text, word) {
				p.wrong("the set-up sheet %s lacks %q", f.path, word)
			}
		}
		if !t.is(`document.querySelector("svg, img[src*=qr]")`) {
			p.wrong("the set-up sheet %s has no QR code", f.path)
		}
	}
	path, err := exec.LookPath("pdftotext")
	if err != nil || !sheet {
		return nil
	}
	file := filepath.Join(p.stage.lab.Dir, "sheet.pdf")
	if err := os.WriteFile(file, pdf, 0o600); err != nil {
		return err
	}
	said, err := lab.Call(ctx, nil, path, file, "-")
	if err == nil && !strings.Contains(said, "Prova") {
		p.wrong("the PDF of %s does not name the facility", f.path)
	}
	return err
}

// withoutScript reads every page in a browser that runs no scripts, and uses a form.
func withoutScript(ctx context.Context, p *play) error {
	return p.each(ctx, "it", func(t *tab, f found) error {
		with := t.text("document.querySelector('main').innerText.length")
		if err := t.do(emulation.SetScriptExecutionDisabled(true)); err != nil {
			return err
		}
		defer t.do(emulation.SetScriptExecutionDisabled(false))
		if err := t.open(f.path); err != nil {
			return err
		}
		without := t.text("document.querySelector('main').innerText.length")
		var a, b int
		fmt.Sscan(with, &a)
		fmt.Sscan(without, &b)
		if b < 20 || b < a*7/10 {
			p.wrong("%s has %s characters with scripts, %s without", f.path, with, without)
		}
		if t.is(`[...document.querySelectorAll("main button")].some(e => !e.form && e.checkVisibility() && !e.closest("details"))`) {
			p.wrong("%s has a button that does nothing without scripts: %s", f.path, t.text(`[...document.querySelectorAll("main button")].find(e => !e.form).outerHTML.slice(0, 140)`))
		}
		return nil
	})
}

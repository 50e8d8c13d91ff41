package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// reach says how many have to be reached by the Tab key. Of radio buttons with one name
// one is. The list is made anew each time: a page that changes has others.
const reach = `(() => {
	window.toReach = () => { const groups = new Set(); return [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]")].filter(e =>
		e.tabIndex >= 0 && !e.disabled && e.checkVisibility({visibilityProperty: true}) && !e.closest("[inert]")).filter(e => e.type !== "radio" || !groups.has(e.name) && groups.add(e.name)); };
	window.look = e => { const s = getComputedStyle(e); return [s.outlineStyle, s.outlineWidth, s.outlineColor, s.boxShadow, s.backgroundColor, s.borderColor, s.textDecoration, s.color].join("|"); };
	window.plain = new WeakMap(toReach().map(e => [e, look(e)]));
	document.activeElement?.blur();
	return toReach().length;
})()`

// focused says what has the focus, and whether that can be seen.
const focused = `(() => {
	const e = document.activeElement;
	if (!e || e === document.body) return {mark: "", seen: true, what: "body"};
	const i = toReach().findIndex(o => o === e || e.type === "radio" && o.type === "radio" && o.name === e.name), r = e.getBoundingClientRect();
	const outlined = s => s.outlineStyle !== "none" && parseFloat(s.outlineWidth) > 0;
	const style = getComputedStyle(e), label = e.labels?.[0] && getComputedStyle(e.labels[0]);
	const changed = !window.plain.has(e) || window.plain.get(e) !== window.look(e);
	if (e.type === "date" && !e.matches(":focus") && e.matches(":focus-within")) return {mark: String(i), what: "", seen: true}; // the browser's own button for the calendar, with its own ring
	return {mark: i < 0 ? "?" : String(i), what: e.outerHTML.slice(0, 120), seen: (outlined(style) || style.boxShadow !== "none" || label && outlined(label)) && changed && r.width > 1 && r.height > 1 && r.bottom > 0 && r.right > 0 && r.top < innerHeight && r.left < innerWidth};
})()`

// maxTabs bounds how often the key is pressed on one page.
const maxTabs = 400

// keyboard goes through every page with the Tab key alone: all that can be used is
// reached, where one is can be seen, and nothing holds one back.
func keyboard(ctx context.Context, p *play) error {
	return p.each(ctx, "it", func(t *tab, f found) error {
		still := emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}}) // what scrolls slowly is there at once
		if err := t.do(still); err != nil {
			return err
		}
		var n int
		if err := t.eval(reach, &n); err != nil {
			return err
		}
		reached := map[string]bool{}
		for range min(n+4, maxTabs) {
			if err := t.press(kb.Tab); err != nil {
				return err
			}
			var at struct {
				Mark, What string
				Seen       bool
			}
			if err := t.eval(focused, &at); err != nil {
				return err
			}
			if !at.Seen {
				p.wrong("%s: the focus cannot be seen on %s", f.path, at.What)
			}
			reached[at.Mark] = true
		}
		var missed []string
		for i := range min(n, maxTabs) {
			if !reached[fmt.Sprint(i)] {
				missed = append(missed, t.text(fmt.Sprintf("window.toReach()[%d]?.outerHTML.slice(0, 120)", i)))
			}
		}
		if len(missed) > 0 {
			p.wrong("%s: %d of %d are not reached by Tab: %.400s", f.path, len(missed), n, strings.Join(missed, " "))
		}
		return nil
	})
}

func (t *tab) press(key string) error {
	return t.do(chromedp.ActionFunc(func(ctx context.Context) error {
		for _, k := range kb.Encode([]rune(key)[0]) {
			if err := k.Do(ctx); err != nil {
				return err
			}
		}
		return nil
	}))
}

// cropped lists texts that stand outside of what holds them, and the page where it is wider
// than the window.
const cropped = `(() => {
	const bad = [], root = document.documentElement;
	if (root.scrollWidth > innerWidth + 1) {
		const wide = [...document.body.querySelectorAll("*")].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".visually-hidden, .unseen, svg, [hidden]")).slice(-3);
		bad.push("the page is " + root.scrollWidth + " wide in a window of " + innerWidth + ": " + wide.map(e => e.outerHTML.slice(0, 100)).join(" / "));
	}
	const clips = o => o === "hidden" || o === "clip", walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (let n; n = walk.nextNode();) {
		const at = n.parentElement;
		if (!n.data.trim() || !at.checkVisibility({visibilityProperty: true}) || at.closest(".visually-hidden, .visually-hidden-focusable, .unseen, .skip, svg, option, script, style")) continue;
		const range = document.createRange();
		range.selectNodeContents(n);
		const r = range.getBoundingClientRect();
		for (let e = at; e && e !== document.body; e = e.parentElement) {
			const s = getComputedStyle(e), c = e.getBoundingClientRect();
			if (c.width <= 1 && c.height <= 1) break; // for screen readers
			if (clips(s.overflowX) && (r.right > c.right + 2 || r.left < c.left - 2) || clips(s.overflowY) && (r.bottom > c.bottom + 4 || r.top < c.top - 4)) { bad.push("cut: " + JSON.stringify(n.data.trim().slice(0, 60)) + " in " + e.outerHTML.slice(0, 80)); break; }
		}
	}
	return bad;
})()`

// zoom reads every page at 200 % (WCAG 1.4.4) and in a window of 320 (WCAG 1.4.10).
func zoom(ctx context.Context, p *play) error {
	for _, size := range []struct {
		width, height int64
		scale         float64
	}{{640, 450, 2}, {320, 256, 1}} {
		for _, language := range []string{"it", "de"} { // German has the longest words
			err := p.each(ctx, language, func(t *tab, f found) error {
				if err := t.do(emulation.SetDeviceMetricsOverride(size.width, size.height, size.scale, false)); err != nil {
					return err
				}
				var bad []string
				if err := t.eval(cropped, &bad); err != nil {
					return err
				}
				for _, b := range bad {
					p.wrong("%s, %d wide, %s: %s", f.path, size.width, language, b)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// wordless lists what shows a state and says nothing.
const wordless = `[...document.querySelectorAll("main [class*=is-], main [class*=device-], main .tag, main .badge, main .alert, main .dots li, main [class*=status], main [class*=link-], main svg [class*=is-], main meter, main progress")]
	.filter(e => e.checkVisibility({visibilityProperty: true}) && !(e.textContent.trim() || e.getAttribute("aria-label") || e.getAttribute("aria-labelledby") || e.title || e.closest("[aria-hidden=true]") || e.closest("svg")?.getAttribute("aria-label") || e.closest("svg")?.querySelector("title")))
	.map(e => e.outerHTML.slice(0, 140))`

// colour looks at every page without colour: each state has a word of its own.
func colour(ctx context.Context, p *play) error {
	return p.each(ctx, "it", func(t *tab, f found) error {
		if err := t.do(emulation.SetEmulatedVisionDeficiency(emulation.SetEmulatedVisionDeficiencyTypeAchromatopsia)); err != nil {
			return err
		}
		var bad []string
		if err := t.eval(wordless, &bad); err != nil {
			return err
		}
		for _, b := range bad {
			p.wrong("%s: a state without a word: %s", f.path, b)
		}
		return nil
	})
}

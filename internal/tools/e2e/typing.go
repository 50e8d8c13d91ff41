package main

import (
	"context"
	"fmt"
	"time"

	"github.com/chromedp/chromedp"
)

// field is where somebody fills in something.
type field struct {
	path, field, text string
	in                bool
}

// typing fills in fields while the page exchanges what is around them: what was typed
// stays, and so does the focus.
func typing(ctx context.Context, p *play) error {
	if err := p.stage.send(ctx, 6, "us", "--calling", "ECOTWO", "--retry", "1s"); err == nil { // for a form that is inside what is exchanged
		p.wrong("a device that nobody knows was taken")
	}
	for i, f := range []field{
		{"/", "#find", "PROVA12", true}, {"/studies", "#q", "PROVA12", true}, {"/tests", "#which-device", "SIMMR", true}, {"/devices", "#pending details[open] input[name=name]", "Ecografo 9", true},
	} {
		if err := p.typeInto(ctx, f, 20+i); err != nil {
			p.wrong("%s: %v", f.path, err)
		}
	}
	return nil
}

// typeInto types half, waits for the page to exchange its parts, and types the rest; then
// leaves the field and waits once more.
func (p *play) typeInto(ctx context.Context, f field, seed int) error {
	t, err := p.viewer(ctx, "it", f.in)
	if err != nil {
		return err
	}
	defer t.close()
	if err := t.open(f.path); err != nil {
		return err
	}
	t.text(`document.querySelector("#pending details[id^=admit]")?.setAttribute("open", "")`)
	at := `document.querySelector(` + quote(f.field) + `)`
	if !t.is(at) {
		return fmt.Errorf("there is no field %s, it answers %d: %.300s", f.field, t.answered(), t.text("document.documentElement.outerHTML"))
	}
	t.text(stay)
	half := len(f.text) / 2
	if f.field == "#which-device" { // one chooses there
		t.text(at + `.focus()`)
		t.text(at + `.value = ` + quote(f.text))
	} else if err := t.do(chromedp.SendKeys(f.field, f.text[:half], chromedp.ByQuery)); err != nil {
		return err
	}
	if err := p.exchanged(ctx, t, seed); err != nil {
		return err
	}
	if !t.is(`document.activeElement === ` + at) {
		p.wrong("%s: the focus is lost when the page is exchanged", f.path)
	}
	if f.field != "#which-device" {
		for _, key := range f.text[half:] {
			if err := t.press(string(key)); err != nil {
				return err
			}
		}
	}
	t.text(at + `.blur()`)
	if err := p.exchanged(ctx, t, seed); err != nil {
		return err
	}
	if got := t.text(at + `.value`); got != f.text {
		p.wrong("%s: %q was typed, and %q is there after the page was exchanged", f.path, f.text, got)
	}
	p.stayed(t, f.path)
	return nil
}

// exchanged has something happen, and waits until the page has asked for itself twice. A
// page that does not ask has nothing to lose.
func (p *play) exchanged(ctx context.Context, t *tab, seed int) error {
	if !t.is(`document.getElementById("again")`) {
		return nil
	}
	for range 2 { // what was asked for before somebody typed may come first
		before := t.text(`document.getElementById("updated").innerText`)
		if err := p.stage.send(ctx, seed, "us"); err != nil {
			return err
		}
		if err := t.until(ctx, time.Minute, "the page to be exchanged", `document.getElementById("updated").innerText !== `+quote(before)); err != nil {
			return err
		}
	}
	return nil
}

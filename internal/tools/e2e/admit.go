package main

import (
	"context"
	"fmt"
	"time"
)

// stranger is a device that nobody has told the appliance about.
const stranger = "ECONEW"

// admit shows the way of a new device: it is refused and comes up on the page, an
// administrator admits it there, and its next association is accepted.
func admit(ctx context.Context, p *play) error {
	watch, err := p.browser.opened(p.stage.base(), "it", "/")
	if err != nil {
		return err
	}
	defer watch.close()
	watch.text(stay)
	if err := p.stage.send(ctx, 5, "us", "--calling", stranger, "--retry", "1s"); err == nil {
		p.wrong("a device that nobody knows was taken")
	}
	if err := watch.until(ctx, 30*time.Second, "the stranger to show up", `document.getElementById("devices").innerText.includes(`+quote(stranger)+`)`); err != nil {
		p.wrong("%v", err)
	}
	p.stayed(watch, "the page")
	t, err := p.viewer(ctx, "it", true)
	if err != nil {
		return err
	}
	defer t.close()
	if err := t.open("/devices"); err != nil {
		return err
	}
	form := `[...document.querySelectorAll('form[action*="admit"]')].find(f => f.closest("li, tr").textContent.includes(` + quote(stranger) + `))`
	if !t.is(form) {
		return fmt.Errorf("/devices has no form that admits %s: %.400s", stranger, t.text("document.querySelector('main')?.innerText"))
	}
	if err := t.submitThe(form); err != nil {
		return fmt.Errorf("admitting %s: %w: %s", stranger, err, t.text(form+"?.outerHTML"))
	}
	if t.answered() >= 400 {
		return fmt.Errorf("admitting answers %d: %.200s", t.answered(), t.text("document.body.innerText"))
	}
	if err := p.stage.send(ctx, 5, "us", "--calling", stranger, "--retry", "10s"); err != nil {
		p.wrong("after being admitted: %v", err)
	}
	if err := watch.until(ctx, time.Minute, "the state to name no stranger any more", `!/sconosciut/i.test(document.getElementById("state").innerText + document.getElementById("devices").innerText)`); err != nil {
		p.wrong("admitted: %v: %.300s", err, watch.text(`document.getElementById("state").innerText`))
	}
	return nil
}

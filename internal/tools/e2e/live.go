package main

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"time"

	"edged/internal/tools/lab"
)

// stay marks the window: what is still there afterwards was not loaded anew.
const stay = `window.mark = "here"`

// stayed tells where the mark is gone.
func (p *play) stayed(t *tab, what string) {
	if t.text("window.mark") != "here" {
		p.wrong("%s was loaded anew", what)
	}
}

// way is where each study has come to, on the state and in the list.
const way = `[...document.querySelectorAll("#studies .hop, #found tbody tr td:last-child")]`

// stream shows that studies of real C-STOREs come up on the pages that are open, and go
// on to archived there, by themselves.
func stream(ctx context.Context, p *play) error {
	state, err := p.browser.look(p.stage.base(), "it")
	if err != nil {
		return err
	}
	defer state.close()
	list, err := p.browser.look(p.stage.base(), "it")
	if err != nil {
		return err
	}
	defer list.close()
	watched := map[string]*tab{"/": state}
	if p.exists(ctx, "/studies") {
		watched["/studies"] = list
	} else {
		p.wrong("there is no page /studies")
	}
	for path, t := range watched {
		if err := t.open(path); err != nil {
			return err
		}
		t.text(stay)
		t.text(`window.heard = new Set(), new MutationObserver(() => ` + way + `.forEach(e => window.heard.add(e.textContent.trim().replace(/\s*[·\d].*/s, "")))).observe(document.body, {subtree: true, childList: true, characterData: true})`)
	}
	if err := p.stage.send(ctx, 1, "small"); err != nil {
		return err
	}
	if err := p.storescu(ctx); err != nil {
		return err
	}
	for path, t := range watched {
		for what, condition := range map[string]string{
			"a study to show up":                   way + `.length > 0`,
			"all of them to be whole and archived": way + `.length > 4 && ` + way + `.every(e => e.textContent.includes("Archiviato") && !e.textContent.includes("finora"))`,
		} {
			if err := t.until(ctx, 90*time.Second, what, condition); err != nil {
				p.wrong("%s: %v: %.600s", path, err, t.text(way+`.map(e => e.innerText.replace(/\s+/g, " ")).join(" / ")`))
			}
		}
		p.stayed(t, path)
		p.shot(t, path, "state-it")
		p.note("%s said on the way: %s", path, t.text("[...window.heard].join()"))
	}
	return nil
}

// storescu sends as somebody else's program does, if it is installed.
func (p *play) storescu(ctx context.Context) error {
	path, err := exec.LookPath("storescu")
	if err != nil {
		fmt.Println("  left out: DCMTK's storescu is not installed")
		return nil
	}
	dir := p.stage.path("files")
	if _, err := lab.Call(ctx, nil, p.stage.lab.Program("modsim"), "make", "--seed", "7", "--profile", "small", "--out", dir); err != nil {
		return err
	}
	_, at, err := net.SplitHostPort(p.stage.edged.Address)
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "CT_*", "S001_*.dcm"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("modsim made no CT without compression: %v", err)
	}
	_, err = lab.Call(ctx, nil, path, append([]string{"-aet", "SIMCT", "-aec", "EDGED", "127.0.0.1", at}, files...)...)
	return err
}

// pauseAndResume shows that a pause holds, that what comes meanwhile is safe here, and
// that it leaves afterwards; all on a page that is not loaded anew. It is done by the
// command here; logIn does it by the page.
func pauseAndResume(ctx context.Context, p *play) error {
	t, err := p.browser.opened(p.stage.base(), "it", "/")
	if err != nil {
		return err
	}
	defer t.close()
	t.text(stay)
	if _, err := p.stage.command(ctx, "pause", "--for", "10m"); err != nil {
		return err
	}
	return p.held(ctx, t, 2, func() error { _, err := p.stage.command(ctx, "resume"); return err })
}

// held sends a study while there is a pause, sees it stay, and go after resume.
func (p *play) held(ctx context.Context, t *tab, seed int, resume func() error) error {
	before, err := p.stage.edged.State(ctx)
	if err != nil {
		return err
	}
	if err := p.stage.send(ctx, seed, "small"); err != nil {
		return err
	}
	if err := t.until(ctx, 60*time.Second, "the new study to be safe here", `[...document.querySelectorAll(".hop")].some(e => e.textContent.includes("al sicuro qui"))`); err != nil {
		p.wrong("paused: %v", err)
	}
	time.Sleep(3 * time.Second) // nothing is to happen in it
	after, err := p.stage.edged.State(ctx)
	if err != nil {
		return err
	}
	if was, is := before.Counters, after.Counters; is.AtHub != was.AtHub || is.Received == was.Received {
		p.wrong("paused: %d were at the hub, now %d; received %d, now %d", was.AtHub, is.AtHub, was.Received, is.Received)
	}
	if err := resume(); err != nil {
		return err
	}
	if err := t.until(ctx, 90*time.Second, "all to be archived after the pause", `[...document.querySelectorAll(".hop")].every(e => !e.textContent.includes("al sicuro qui")) && document.body.innerText.includes("Archiviato")`); err != nil {
		p.wrong("resumed: %v", err)
	}
	p.stayed(t, "the page")
	return nil
}

// grey shows that a page without its appliance says so, and comes back.
func grey(ctx context.Context, p *play) error {
	tabs := map[string]*tab{}
	for _, path := range p.menu() {
		t, err := p.browser.look(p.stage.base(), "it")
		if err != nil {
			return err
		}
		defer t.close()
		if err := t.open(path); err != nil {
			return err
		}
		if t.is(`document.getElementById("stale")`) {
			tabs[path] = t
		} else if t.is(`document.querySelector("[class*=is-ok], [class*=is-catching_up], [class*=is-attention], [class*=is-stopped]")`) {
			p.wrong("%s shows a state that can grow old, and has no word for that", path)
		}
	}
	const shown = `(e => e && getComputedStyle(e).visibility === "visible" && getComputedStyle(e).display !== "none" && e.getClientRects().length > 0)(document.getElementById("stale"))`
	for path, t := range tabs {
		if t.is(shown) {
			p.wrong("%s is grey with its appliance there", path)
		}
	}
	if err := p.stage.freeze(); err != nil {
		return err
	}
	defer p.stage.thaw()
	stopped := time.Now()
	for path, t := range tabs {
		if err := t.until(ctx, time.Until(stopped.Add(45*time.Second)), "the page to turn grey", shown); err != nil {
			p.wrong("%s: %v", path, err)
			continue
		}
		p.note("%s is grey after %.0f s", path, time.Since(stopped).Seconds())
		p.shot(t, path, "grey")
	}
	if err := p.stage.thaw(); err != nil {
		return err
	}
	back := time.Now()
	for path, t := range tabs {
		if err := t.until(ctx, time.Until(back.Add(45*time.Second)), "the page to come back", "!"+shown); err != nil {
			p.wrong("%s: %v", path, err)
		}
	}
	return nil
}

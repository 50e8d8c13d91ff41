package main

import (
	"context"
	"fmt"
	"time"

	"edged/internal/tools/lab"
)

// away is a second appliance, and its hub, which goes away: an appliance says that it
// has stopped after five minutes only, while the other scenes play, and green it is only
// where nothing else is wrong.
type away struct {
	stage *stage
	watch *tab // its first page, open all the time
	since time.Time
}

// shows is whether the first page says a state with its word.
func shows(state, word string) string {
	return `document.getElementById("state").classList.contains("is-` + state + `") && document.getElementById("word").innerText.trim() === ` + quote(word)
}

// cut takes the hub away after a study was archived, and has another one come.
func cut(ctx context.Context, p *play) (err error) {
	a := &p.away
	if err := a.stage.up(ctx); err != nil {
		return err
	}
	if a.watch, err = p.browser.look(a.stage.base(), "it"); err != nil {
		return err
	}
	if err := a.watch.open("/"); err != nil {
		return err
	}
	a.watch.text(stay)
	a.watch.text(listen)
	if err := a.stage.send(ctx, 11, "small"); err != nil {
		return err
	}
	if err := a.watch.until(ctx, 2*time.Minute, "all to be archived and the page green", way+`.length > 4 && `+way+`.every(e => e.textContent.includes("Archiviato")) && `+shows("ok", "Tutto regolare")); err != nil {
		return fmt.Errorf("%w: %.300s", err, a.watch.text(`document.getElementById("state").innerText`))
	}
	a.stage.hub.Stop()
	a.since = time.Now()
	if err := a.stage.send(ctx, 12, "small"); err != nil {
		return err
	}
	if err := a.watch.until(ctx, time.Minute, "the page to say that images wait for the hub", shows("catching_up", "In recupero")+` && document.getElementById("say").innerText.includes("partir")`); err != nil {
		p.wrong("%v: %.300s", err, a.watch.text(`document.getElementById("state").innerText`))
	}
	return nil
}

// stopped waits until the first page says so, in words, in three languages, and sees it
// turn green by itself when the hub is back.
func stopped(ctx context.Context, p *play) error {
	a := &p.away
	if a.since.IsZero() {
		if err := cut(ctx, p); err != nil {
			return err
		}
	}
	defer a.watch.close()
	said := func() string { return a.watch.text(`document.getElementById("state").innerText`) }
	if err := a.watch.until(ctx, time.Until(a.since.Add(7*time.Minute)), "the page to say that it has stopped", shows("stopped", "Fermo")); err != nil {
		return fmt.Errorf("%w: %.300s", err, said())
	}
	p.note("after %.0f s: %q", time.Since(a.since).Seconds(), said())
	p.heard(ctx, a.watch)
	script, err := axeScript(ctx, p.cache)
	if err != nil {
		return err
	}
	for language, words := range map[string][3]string{
		"it": {"Fermo", "al sicuro qui ma non partono", "Non ripetere gli esami"},
		"en": {"Stopped", "safe here", "Do not repeat"},
		"de": {"Gestoppt", "hier sicher", "nicht wiederholen"},
	} {
		if err := p.stoppedIn(language, script, words); err != nil {
			return err
		}
	}
	if err := a.stage.startHub(); err != nil {
		return err
	}
	if err := a.watch.until(ctx, 3*time.Minute, "the page to turn green again", a.well(ctx)+` && `+way+`.every(e => e.textContent.includes("Archiviato"))`); err != nil {
		p.wrong("%v: %.300s", err, said())
	}
	p.stayed(a.watch, "the page")
	return nil
}

// listen notes what a screen reader is told, and when.
const listen = `(() => { const spoken = document.getElementById("spoken"); window.told = []; new MutationObserver(() => told.push([Date.now(), spoken.textContent])).observe(spoken, {childList: true}); })()`

// heard: who hears the page knows that it has stopped, and was told things at most once a
// minute, though the sentence changed with each image.
func (p *play) heard(ctx context.Context, t *tab) {
	if err := t.until(ctx, 70*time.Second, "the page to say aloud that it has stopped", `told.length > 0 && told.at(-1)[1].includes("Fermo")`); err != nil {
		p.wrong("%v: %s", err, t.text(`JSON.stringify(told)`))
	}
	if !t.is(`told.every((x, i) => i === 0 || x[0] - told[i-1][0] > 59000)`) {
		p.wrong("said aloud more than once a minute: %s", t.text(`JSON.stringify(told)`))
	}
	p.note("said aloud: %s", t.text(`told.map(x => x[1].split("\n")[0]).join(", ")`))
}

// well is what the page shows where all is well: green, but for this machine's clock. Where
// nothing disciplines that, there is one notice about it from the second minute on.
func (a *away) well(ctx context.Context) string {
	var st struct{ Clock struct{ State string } }
	if err := lab.Fetch(ctx, nil, a.stage.base()+"/api/v1/status", &st); err != nil || st.Clock.State != "not_synchronised" {
		return shows("ok", "Tutto regolare")
	}
	fmt.Println("  this machine's clock is not synchronised: one notice is what is right, not green")
	return shows("attention", "Da controllare") + ` && document.getElementById("say").innerText.includes("1 avviso")`
}

func (p *play) stoppedIn(language, script string, words [3]string) error {
	t, err := p.browser.opened(p.away.stage.base(), language, "/")
	if err != nil {
		return err
	}
	defer t.close()
	for i, part := range []string{"word", "say", "say"} {
		if text := `document.getElementById("` + part + `").innerText`; !t.is(text + `.includes(` + quote(words[i]) + `)`) {
			p.wrong("in %s it does not say %q: %.300s", language, words[i], t.text(text))
		}
	}
	if language == "it" {
		p.shot(t, "/", "state-stopped")
	}
	return p.axeOn(t, script, "stopped ("+language+")")
}

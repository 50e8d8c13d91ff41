package main

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"time"

	"edged/dimse"
	"edged/internal/dicom"
	"edged/internal/tools/lab"
)

// selfTests presses each button of the page Tests as a technician and reads the answer:
// words, not codes, and within the time that is promised. The guide has no button.
func selfTests(ctx context.Context, p *play) error {
	t, err := p.browser.look(p.stage.base(), "it")
	if err != nil {
		return err
	}
	defer t.close()
	if err := p.enter(ctx, t, technician, techPassword); err != nil {
		return err
	}
	if path, err := exec.LookPath("storescp"); err == nil {
		device, err := p.stage.lab.Start(p.stage.life, "storescp", nil, nil, path, "-aet", "SIMCT", "--ignore", p.stage.device)
		if err != nil {
			return err
		}
		defer device.Stop()
	} else {
		fmt.Println("  left out: DCMTK's storescp is not installed, no device answers")
	}
	var tests []string
	if err := t.open("/tests"); err != nil {
		return err
	}
	if err := t.eval(`[...document.querySelectorAll('form[action="/tests/run"] input[name=test]')].map(e => e.value)`, &tests); err != nil {
		return err
	}
	if len(tests) != 6 || !t.is(`document.querySelectorAll("#test-power ol.guide li").length > 3`) {
		p.wrong("of seven self-tests there are %v and the guide %v", tests, t.text(`document.querySelectorAll("#test-power ol.guide li").length`))
	}
	for _, test := range tests {
		if err := p.selfTest(ctx, t, test); err != nil {
			p.wrong("%s: %v", test, err)
		}
	}
	return nil
}

// answerWithin is what a test is promised to take, and what it takes on a machine that
// has other things to do.
const answerWithin = 60 * time.Second

func (p *play) selfTest(ctx context.Context, t *tab, test string) error {
	if err := t.open("/tests"); err != nil {
		return err
	}
	card := `document.getElementById("test-` + test + `")`
	began := time.Now()
	if err := t.submitThe(card + `.querySelector("form")`); err != nil {
		return err
	}
	if t.answered() >= 400 || t.path() != "/tests" {
		return fmt.Errorf("%s answers %d: %.200s", t.path(), t.answered(), t.text("document.body.innerText"))
	}
	if test == "wait" {
		return p.waited(ctx, t, card)
	}
	if err := t.until(ctx, answerWithin, "an answer", card+`.querySelector(".result, .teststeps li")`); err != nil {
		return err
	}
	took := time.Since(began)
	if test == "study" {
		if err := t.until(ctx, answerWithin, "the test study to be at the hub", `/centro/i.test(`+card+`.querySelector(".teststeps").innerText)`); err != nil {
			p.wrong("%v: %s", err, t.text(card+".innerText"))
		}
	}
	said := t.text(card + `.querySelector(".result").innerText.replace(/\s+/g, " ") + " | " + [...` + card + `.querySelectorAll(".teststeps li")].map(e => e.innerText.trim().replace(/\s+/g, " ")).join(" | ")`)
	p.note("%s answers after %.1f s: %s", test, took.Seconds(), said)
	if t.is(`[...` + card + `.querySelectorAll(".step-bad")].some(e => !e.innerText.includes("sincronizzata"))`) { // whether it is, is this machine's own affair
		p.wrong("%s fails: %s", test, said)
	}
	if bad := raw.FindString(said); bad != "" || !t.is(`[...`+card+`.querySelectorAll(".teststeps li")].every(e => /\p{L}{3}/u.test(e.innerText.replace(/^\S+/, "")))`) {
		p.wrong("%s is not answered in words: %s", test, said)
	}
	return nil
}

// waited is the window in which everybody who calls is shown, with why he was refused:
// here a device that calls us by another name, and one that is known.
func (p *play) waited(ctx context.Context, t *tab, card string) error {
	t.text(stay)
	need := dimse.Need{SOPClassUID: dimse.Verification, TransferSyntaxUID: dicom.ImplicitVRLittleEndian}
	for _, called := range []string{"EDGE1", "EDGED"} {
		c, err := p.associate(ctx, "SIMCT", called, need)
		if err == nil {
			err = c.Release(ctx)
		}
		if (err != nil) != (called == "EDGE1") {
			p.wrong("calling %s: %v", called, err)
		}
	}
	for what, text := range map[string]string{"what a wrong name is refused for": "«EDGE1», qui è «EDGED»", "who was accepted": "Accettata"} {
		if err := t.until(ctx, answerWithin, what, card+`.innerText.includes(`+quote(text)+`)`); err != nil {
			p.wrong("wait: %v: %.300s", err, t.text(card+".innerText"))
		}
	}
	p.note("wait: %s", t.text(card+`.innerText.replace(/\s+/g, " ")`))
	p.stayed(t, "wait: the page")
	return nil
}

// freePort is one of loopback for a device that listens.
func freePort() (string, error) {
	a, err := lab.FreeAddress()
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(a)
	return port, err
}

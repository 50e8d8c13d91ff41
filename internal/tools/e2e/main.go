// E2e opens the page of a real appliance in a real browser. It starts a hub and an
// edged as processes of their own, sends them images by C-STORE, and looks at what a
// person would see, in Chromium: that studies show up without reload, that a stranger
// is admitted, that a pause holds, that log-in, lock-out and forged forms are answered
// as promised, that nothing of a person is seen by who may not, that every page can be
// read in three languages, without a mouse, without colour, without scripts, twice as
// large, on paper, and with hostile names in every field. It is what `make e2e` calls.
//
// It promises that it finds the pages itself, by the links that are on them: a page
// that is new is looked at without being named here, and one that is missing is told
// (must). Its last line is `pages=N languages=3 axe=V`; anything wrong is exit code 1.
// Every process it starts is ended, by its own id.
//
// It needs chromium, and once the network: axe-core comes from the npm registry into
// the folder of -cache and is not committed. Where one of them cannot be had, it says
// so in a line, does the rest, and ends with 1.
//
// With -load it measures instead how long the pages take with many studies in the
// spool, and the memory (load.go); that is what `make page-load` calls.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/chromedp/cdproto/network"
)

// options are the flags.
type options struct {
	bin, cache, shots, only string
	before                  string
	verbose, keep           bool
	within                  time.Duration
	load                    int
}

func parseFlags() (o options) {
	flag.StringVar(&o.bin, "bin", "bin", "`folder` of edged, hubd and modsim")
	flag.StringVar(&o.cache, "cache", ".e2e", "axe-core is kept in this `folder`")
	flag.StringVar(&o.shots, "shots", "", "pictures of the pages go into this `folder`; empty: none are taken")
	flag.StringVar(&o.only, "only", "", "`scenes` to play, by name, separated by commas")
	flag.BoolVar(&o.verbose, "v", false, "say more")
	flag.BoolVar(&o.keep, "keep", false, "leave the folder of the run, with all logs")
	flag.IntVar(&o.load, "load", 0, "measure the pages with so many `studies` in the spool, and do nothing else")
	flag.StringVar(&o.before, "before", "", "`folder` with programs of another build, whose memory with the same spool is told besides; with -load")
	flag.DurationVar(&o.within, "within", 40*time.Minute, "give up after this `time`")
	flag.Parse()
	return o
}

func main() {
	o := parseFlags()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.within)
	defer cancel()
	p := &play{options: o}
	err := p.run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
	}
	if o.load == 0 {
		fmt.Printf("pages=%d languages=%d axe=%d\n", len(p.axed), len(p.spoken), p.violations)
	}
	if err != nil || p.wrongs > 0 {
		os.Exit(1)
	}
}

// scene is one thing that is shown. A scene that cannot go on returns an error; what
// is wrong otherwise it tells by play.wrong, and goes on.
type scene struct {
	name string
	play func(context.Context, *play) error
}

// scenes in this order: each leaves the appliance as the next one needs it.
var scenes = []scene{
	{"cut", cut}, {"stream", stream}, {"pause", pauseAndResume}, {"admit", admit}, {"login", logIn}, {"forged", forged}, {"typing", typing}, {"tests", selfTests},
	{"shots", shots}, {"print", printed}, {"hostile", hostile},
	{"crawl", crawlAll}, {"languages", languages}, {"axe", axe}, {"routes", everyPage}, {"keyboard", keyboard}, {"zoom", zoom}, {"colour", colour},
	{"paint", paint}, {"noscript", withoutScript}, {"masked", masked}, {"grey", grey}, {"lockout", lockOut}, {"stopped", stopped},
}

// play is one run.
type play struct {
	options
	stage   *stage
	browser *browser
	scene   string

	routes     []route         // of the source
	pages      []found         // see crawl
	examples   int             // of one pattern that are looked at
	fetched    map[seen]bool   // by the crawl
	looked     map[seen]bool   // by axe-core
	axed       map[string]bool // patterns of paths that axe-core has looked at
	spoken     map[string]bool // languages, of the pages that axe-core has looked at
	violations int
	wrongs     int
	said       map[string]bool
	cookies    []*network.CookieParam // of the administrator
	away       away                   // see cut
}

// wrong tells what is not as it should be, once.
func (p *play) wrong(format string, args ...any) {
	text := p.scene + ": " + fmt.Sprintf(format, args...)
	if p.said[text] {
		return
	}
	p.said[text] = true
	p.wrongs++
	fmt.Println("  RED", text)
}

func (p *play) note(format string, args ...any) {
	if p.verbose {
		fmt.Printf("  "+format+"\n", args...)
	}
}

func (p *play) run(ctx context.Context) (err error) {
	p.axed, p.spoken, p.said = map[string]bool{}, map[string]bool{}, map[string]bool{}
	p.fetched, p.looked, p.examples = map[seen]bool{}, map[seen]bool{}, examples
	if p.routes, err = routesOf(pageRoom); err != nil {
		return err
	}
	if p.stage, err = newStage(ctx, p.options); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stage.close()) }()
	if p.browser, err = newBrowser(ctx, p.stage.lab.Dir); err != nil {
		return err
	}
	defer p.browser.close()
	if p.load > 0 {
		return p.loaded(ctx, p.load)
	}
	if p.away.stage, err = newStage(ctx, p.options); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.away.stage.close()) }()
	if err := p.stage.up(ctx); err != nil {
		return err
	}
	for _, s := range scenes {
		if p.only != "" && !slices.Contains(strings.Split(p.only, ","), s.name) {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p.perform(ctx, s)
	}
	return nil
}

// perform plays one scene, within ten minutes.
func (p *play) perform(ctx context.Context, s scene) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	began, before := time.Now(), p.wrongs
	p.scene = s.name
	if err := s.play(ctx, p); err != nil {
		p.wrong("%v", err)
	}
	verdict := "ok "
	if p.wrongs > before {
		verdict = fmt.Sprintf("%d wrong", p.wrongs-before)
	}
	fmt.Printf("%-10s %s (%.1f s)\n", s.name, verdict, time.Since(began).Seconds())
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// browser is one Chromium. Whoever looks has cookies of his own.
type browser struct {
	ctx  context.Context
	stop []context.CancelFunc // last first
}

func newBrowser(ctx context.Context, dir string) (*browser, error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, errors.New("chromium is not installed: nothing is looked at (Debian: apt-get install chromium)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(filepath.Join(dir, "chromium")),
		chromedp.DisableGPU, chromedp.WindowSize(1280, 900), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	b := &browser{}
	alloc, cancel := chromedp.NewExecAllocator(ctx, options...)
	b.stop = append(b.stop, cancel)
	b.ctx, cancel = chromedp.NewContext(alloc)
	b.stop = append(b.stop, cancel)
	return b, chromedp.Run(b.ctx)
}

func (b *browser) close() {
	for i := range b.stop {
		b.stop[len(b.stop)-1-i]()
	}
}

// tab is a page that somebody looks at, and what the browser says about it.
type tab struct {
	ctx   context.Context
	close func()
	base  string
	jarID cdp.BrowserContextID

	mu      sync.Mutex // guards what follows
	noise   []string   // errors on the console, exceptions, reports of the policy, dialogs
	strange []string   // requests to another host
	status  int64      // of the document that came last
}

// look opens a tab with no cookies, for a language of the browser.
func (b *browser) look(base, language string) (*tab, error) {
	t := &tab{base: base}
	id, err := b.window(t)
	if err != nil {
		return nil, err
	}
	var cancel context.CancelFunc
	t.ctx, cancel = chromedp.NewContext(b.ctx, chromedp.WithTargetID(id))
	t.close = func() {
		cancel()
		chromedp.Run(b.ctx, browserDo(target.DisposeBrowserContext(t.jarID))) // with the browser it goes anyhow
	}
	chromedp.ListenTarget(t.ctx, t.hear)
	headers := network.Headers{"Accept-Language": language}
	if err := chromedp.Run(t.ctx, network.Enable(), log.Enable(), runtime.Enable(), page.Enable(), network.SetExtraHTTPHeaders(headers)); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// opened is such a tab, on a page.
func (b *browser) opened(base, language, path string) (*tab, error) {
	t, err := b.look(base, language)
	if err != nil {
		return nil, err
	}
	if err := t.open(path); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// window opens one with a jar of cookies of its own. The one of chromedp asks for a tab,
// which a jar without a window does not have.
func (b *browser) window(t *tab) (id target.ID, err error) {
	err = chromedp.Run(b.ctx, chromedp.ActionFunc(func(ctx context.Context) error {
		ctx = cdp.WithExecutor(ctx, chromedp.FromContext(ctx).Browser)
		if t.jarID, err = target.CreateBrowserContext().Do(ctx); err != nil {
			return err
		}
		id, err = target.CreateTarget("about:blank").WithBrowserContextID(t.jarID).WithNewWindow(true).WithWidth(1280).WithHeight(900).Do(ctx)
		return err
	}))
	return id, err
}

// browserDo is an action of the browser, not of a page.
func browserDo(a chromedp.Action) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		return a.Do(cdp.WithExecutor(ctx, chromedp.FromContext(ctx).Browser))
	})
}

// hear is called by chromedp for each event, and must not wait.
func (t *tab) hear(event any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch e := event.(type) {
	case *page.EventJavascriptDialogOpening:
		t.noise = append(t.noise, fmt.Sprintf("a dialog opened: %.100q", e.Message))
		go chromedp.Run(t.ctx, page.HandleJavaScriptDialog(false)) // ends with the tab
	case *runtime.EventExceptionThrown:
		t.noise = append(t.noise, "exception: "+e.ExceptionDetails.Error())
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
			t.noise = append(t.noise, fmt.Sprintf("console.%s: %s", e.Type, words(e.Args)))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError || e.Entry.Level == log.LevelWarning {
			t.noise = append(t.noise, fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	case *network.EventRequestWillBeSent:
		if u := e.Request.URL; !strings.HasPrefix(u, t.base+"/") && !strings.HasPrefix(u, "data:") && !strings.HasPrefix(u, "about:") {
			t.strange = append(t.strange, u)
		}
	case *network.EventResponseReceived:
		if e.Type == network.ResourceTypeDocument {
			t.status = e.Response.Status
		}
	}
}

func words(args []*runtime.RemoteObject) string {
	var all []string
	for _, a := range args {
		all = append(all, string(a.Value)+a.Description)
	}
	return strings.Join(all, " ")
}

// heard gives what was said since the last time.
func (t *tab) heard() (noise, strange []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	noise, strange = t.noise, t.strange
	t.noise, t.strange = nil, nil
	return noise, strange
}

// do runs actions, within a minute.
func (t *tab) do(actions ...chromedp.Action) error {
	ctx, cancel := context.WithTimeout(t.ctx, time.Minute)
	defer cancel()
	return chromedp.Run(ctx, actions...)
}

// open goes to a path and waits until it has loaded.
func (t *tab) open(path string) error {
	t.mu.Lock()
	t.status = 0
	t.mu.Unlock()
	if err := t.do(chromedp.Navigate(t.base + path)); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func (t *tab) answered() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.status
}

// eval reads what an expression is, or comes to be, into a value.
func (t *tab) eval(expression string, into any) error {
	var raw []byte
	if err := t.do(chromedp.Evaluate(expression, &raw, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) })); err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// text is what an expression is as a string; one that fails says why.
func (t *tab) text(expression string) (s string) {
	if err := t.eval("String("+expression+")", &s); err != nil {
		return "(" + err.Error() + ")"
	}
	return s
}

func (t *tab) is(condition string) bool { return t.text("!!("+condition+")") == "true" }

// until waits for a condition that the page is to meet by itself.
func (t *tab) until(ctx context.Context, limit time.Duration, what, condition string) error {
	end := time.Now().Add(limit)
	for !t.is(condition) {
		if time.Now().After(end) {
			return fmt.Errorf("waited %s for %s", limit, what)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

// path is where the tab is now.
func (t *tab) path() string {
	u, err := url.Parse(t.text("location.href"))
	if err != nil {
		return ""
	}
	return u.RequestURI()
}

// quote makes a string one of JavaScript.
func quote(s string) string {
	b, _ := json.Marshal(s) // a string always marshals
	return string(b)
}

package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// viewer opens a tab for anybody, or for the administrator.
func (p *play) viewer(ctx context.Context, language string, in bool) (*tab, error) {
	t, err := p.browser.look(p.stage.base(), language)
	if err != nil || !in {
		return t, err
	}
	cookies, err := p.session(ctx)
	if err == nil {
		err = t.do(chromedp.ActionFunc(func(ctx context.Context) error { return network.SetCookies(cookies).Do(ctx) }))
	}
	if err != nil {
		t.close()
		return nil, fmt.Errorf("nobody is logged in: %w", err)
	}
	return t, nil
}

// session logs the administrator in once, without a browser, and gives the cookies.
func (p *play) session(ctx context.Context) ([]*network.CookieParam, error) {
	if p.cookies != nil && p.alive(ctx) {
		return p.cookies, nil
	}
	p.cookies = nil
	code, _, body, err := p.get(ctx, "/login", "")
	if err != nil || code != http.StatusOK {
		return nil, fmt.Errorf("/login answers %d: %w", code, err)
	}
	form := url.Values{}
	for _, field := range input.FindAllString(body, -1) {
		switch name := between(field, `name="`, `"`); between(field, `type="`, `"`) {
		case "hidden":
			form.Set(name, between(field, `value="`, `"`))
		case "password":
			form.Set(name, adminPassword)
		case "text", "":
			form.Set(name, administrator)
		}
	}
	rs, err := p.post(ctx, "/login", form, p.stage.base(), "same-origin", "")
	if err != nil {
		return nil, err
	}
	for _, c := range rs.Cookies() {
		if c.Name == sessionCookie {
			p.cookies = append(p.cookies, &network.CookieParam{Name: c.Name, Value: c.Value, URL: p.stage.base() + "/", HTTPOnly: c.HttpOnly})
		}
	}
	if p.cookies == nil {
		return nil, fmt.Errorf("the log-in is answered by %s, without a session", rs.Status)
	}
	return p.cookies, nil
}

var input = regexp.MustCompile(`<input[^>]*>`)

// cookie is the head of a request by the administrator, "" where nobody can log in.
func (p *play) cookie(ctx context.Context) string {
	if _, err := p.session(ctx); err != nil {
		p.wrong("%v", err)
		return ""
	}
	return p.header()
}

func (p *play) header() string {
	var all []string
	for _, c := range p.cookies {
		if c.Name == sessionCookie {
			all = append(all, c.Name+"="+c.Value)
		}
	}
	return strings.Join(all, "; ")
}

// alive is whether the session is still one.
func (p *play) alive(ctx context.Context) bool {
	code, _, _, err := p.get(ctx, "/accounts", p.header())
	return err == nil && code == http.StatusOK
}

const sessionCookie = "edged_session"

func (t *tab) jar() (cookies []*network.Cookie, err error) {
	err = t.do(browserDo(chromedp.ActionFunc(func(ctx context.Context) (err error) {
		cookies, err = storage.GetCookies().WithBrowserContextID(t.jarID).Do(ctx)
		return err
	})))
	return cookies, err
}

// The fields of the log-in.
const (
	logInForm   = `form[action^="/login"]`
	nameField   = logInForm + ` input:not([type=hidden]):not([type=password])`
	secretField = logInForm + ` input[type=password]`
)

// enter logs in by the keyboard alone, from the page that the link leads to.
func (p *play) enter(ctx context.Context, t *tab, name, password string) error {
	if err := t.open("/login"); err != nil {
		return err
	}
	if !t.is("document.querySelector(" + quote(secretField) + ")") {
		return fmt.Errorf("there is no form to log in: /login answers %d", t.answered())
	}
	if err := t.attempt(name, password); err != nil {
		return err
	}
	if strings.HasPrefix(t.path(), "/login") {
		return fmt.Errorf("%s is not let in: %.300s", name, t.text("document.querySelector('main').innerText"))
	}
	return nil
}

// attempt types a name and a password and presses Enter.
func (t *tab) attempt(name, password string) error {
	t.text(`document.querySelectorAll(` + quote(nameField+","+secretField) + `).forEach(e => e.value = "")`)
	return t.follow(chromedp.SendKeys(nameField, name, chromedp.ByQuery), chromedp.SendKeys(secretField, password+kb.Enter, chromedp.ByQuery))
}

// follow does what leads to another page, and waits until that has loaded.
func (t *tab) follow(actions ...chromedp.Action) error {
	ctx, cancel := context.WithTimeout(t.ctx, time.Minute)
	defer cancel()
	_, err := chromedp.RunResponse(ctx, actions...)
	return err
}

// submit presses the button of a form. It is found and pressed in one go: the page may
// be exchanging that part.
func (t *tab) submit(form string) error {
	return t.submitThe("document.querySelector(" + quote(form) + ")")
}

func (t *tab) submitThe(form string) error {
	find := `(f => f?.querySelector("button:not([type=button]), input[type=submit]"))(` + form + `)`
	if !t.is(find) {
		return fmt.Errorf("%s has no form %s", t.path(), form)
	}
	var pressed bool
	return t.follow(chromedp.Evaluate(`(b => { for (let d = b; d = d.parentElement?.closest("details"); ) d.open = true; b.click(); return true; })(`+find+`)`, &pressed))
}

// logIn shows the door: a wrong password, a right one, the cookie, what is seen of
// persons and may be done before and after, pause and resume by the page, and the way
// out.
func logIn(ctx context.Context, p *play) error {
	t, err := p.browser.opened(p.stage.base(), "it", "/login")
	if err != nil {
		return err
	}
	defer t.close()
	if t.answered() != http.StatusOK {
		return fmt.Errorf("/login answers %d", t.answered())
	}
	if err := t.attempt(administrator, "sbagliata-sbagliata"); err != nil {
		return err
	}
	if t.text("document.cookie") != "" && strings.Contains(t.text("document.cookie"), sessionCookie) {
		p.wrong("scripts can read the cookie of the session")
	}
	if !strings.HasPrefix(t.path(), "/login") || !t.is(`document.querySelector("[role=alert], .alert")?.innerText.trim()`) {
		p.wrong("a wrong password is not answered in words on the page: %s", t.path())
	}
	if err := p.enter(ctx, t, administrator, adminPassword); err != nil {
		return err
	}
	p.checkCookie(t)
	if !t.is(`document.body.classList.contains("managing") && document.body.innerText.includes(` + quote(administrator) + `)`) {
		p.wrong("who is logged in does not see it")
	}
	if err := p.fullView(ctx, t); err != nil {
		p.wrong("%v", err)
	}
	if err := p.pauseByPage(ctx, t); err != nil {
		p.wrong("%v", err)
	}
	return p.leave(ctx, t)
}

func (p *play) checkCookie(t *tab) {
	jar, err := t.jar()
	if err != nil {
		p.wrong("%v", err)
	}
	for _, c := range jar {
		if c.Name == sessionCookie {
			if !c.HTTPOnly || c.SameSite != network.CookieSameSiteStrict || c.Path != "/" {
				p.wrong("the cookie is HttpOnly %v, SameSite %s, Path %s", c.HTTPOnly, c.SameSite, c.Path)
			}
			return
		}
	}
	p.wrong("there is no cookie %s", sessionCookie)
}

// persons are the synthetic patients' names, as the pages show them.
const persons = `/PROVA[\s^,]*(ANNA|BRUNO|CHIARA|NICOL|ELENA|FABIO)|(Anna|Bruno|Chiara|Elena|Fabio)\s+Prova|Prova,?\s+(Anna|Bruno|Chiara|Nicol|Elena|Fabio)/i`

// fullView sees persons where somebody is logged in.
func (p *play) fullView(ctx context.Context, t *tab) error {
	if err := t.open("/studies"); err != nil {
		return err
	}
	if !t.is(persons + ".test(document.body.innerText)") {
		p.wrong("/studies shows no names to the administrator: %.300s", t.text("document.querySelector('main').innerText"))
	}
	return p.lookFor(t, "ANNA")
}

// lookFor types a name into the box, with and without a reload afterwards: it is found, and
// the address says nothing of it.
func (p *play) lookFor(t *tab, name string) error {
	if err := t.follow(chromedp.SendKeys("#q", name+kb.Enter, chromedp.ByQuery)); err != nil {
		return err
	}
	for range 2 {
		if at := t.text("location.href"); strings.Contains(at, name) || !strings.Contains(at, "/studies?s=") {
			p.wrong("a search for %s leads to %s", name, at)
		}
		if got := t.text(`document.getElementById("q").value`); got != name {
			p.wrong("a search for %s shows %q in its box: %.300s", name, got, t.text("document.querySelector('main').innerText"))
		}
		if err := t.follow(chromedp.Reload()); err != nil {
			return err
		}
	}
	return nil
}

// pauseByPage pauses and resumes with the forms of the page.
func (p *play) pauseByPage(ctx context.Context, t *tab) error {
	if err := t.open("/line"); err != nil {
		return err
	}
	if err := t.submit(`form[action*="pause"]`); err != nil {
		return err
	}
	watch, err := p.browser.opened(p.stage.base(), "it", "/")
	if err != nil {
		return err
	}
	defer watch.close()
	watch.text(stay)
	return p.held(ctx, watch, 3, func() error {
		if err := t.open("/line"); err != nil {
			return err
		}
		return t.submit(`form[action*="resume"]`)
	})
}

// leave logs out: the cookie is worth nothing afterwards.
func (p *play) leave(ctx context.Context, t *tab) error {
	jar, err := t.jar()
	if err != nil {
		return err
	}
	if err := t.submit(`form[action="/logout"]`); err != nil {
		return err
	}
	if t.is(`document.body.classList.contains("managing")`) {
		p.wrong("after the log-out the page is still one for managing")
	}
	for _, c := range jar {
		if c.Name != sessionCookie {
			continue
		}
		_, _, body, err := p.get(ctx, "/", c.Name+"="+c.Value)
		if err != nil {
			return err
		}
		if strings.Contains(body, `class="managing"`) {
			p.wrong("after the log-out the cookie still opens the page")
		}
	}
	return nil
}

// forged sends what a page of somebody else could make this browser send, with the
// cookie and even with the token of the session: nothing of it is done.
func forged(ctx context.Context, p *play) error {
	cookie := p.cookie(ctx)
	if cookie == "" {
		return fmt.Errorf("nobody can log in")
	}
	_, _, body, err := p.get(ctx, "/line", cookie)
	if err != nil {
		return err
	}
	token := formToken(body)
	if token == "" {
		return fmt.Errorf("the page /line has no form with a token")
	}
	pause := between(body, `action="`, `"`)
	for _, m := range []string{"/line/pause", "/pause"} {
		if strings.Contains(body, `action="`+m+`"`) {
			pause = m
		}
	}
	for what, f := range map[string]struct{ origin, site, token, cookie string }{
		"another origin":              {"http://evil.example", "", token, cookie},
		"another site, as it says":    {"", "cross-site", token, cookie},
		"the same site on other port": {"http://127.0.0.1:1", "same-site", token, cookie},
		"no origin at all":            {"", "", token, cookie},
		"an opaque origin":            {"null", "", token, cookie},
		"no token":                    {p.stage.base(), "same-origin", "", cookie},
		"another token":               {p.stage.base(), "same-origin", strings.Repeat("A", len(token)), cookie},
		"no cookie":                   {p.stage.base(), "same-origin", token, ""},
	} {
		rs, err := p.post(ctx, pause, url.Values{"csrf": {f.token}, "minutes": {"10"}, "for": {"10m"}}, f.origin, f.site, f.cookie)
		if err != nil {
			return err
		}
		if rs.StatusCode != http.StatusForbidden {
			p.wrong("POST %s from %s answers %s", pause, what, rs.Status)
		}
	}
	return nil
}

// post sends a form as a browser would; the answer has no body any more.
func (p *play) post(ctx context.Context, path string, form url.Values, origin, site, cookie string) (*http.Response, error) {
	rq, err := http.NewRequestWithContext(ctx, http.MethodPost, p.stage.base()+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	for k, v := range map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Origin": origin, "Sec-Fetch-Site": site, "Cookie": cookie} {
		if v != "" {
			rq.Header.Set(k, v)
		}
	}
	client := http.Client{Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	rs, err := client.Do(rq)
	if err != nil {
		return nil, err
	}
	return rs, rs.Body.Close()
}

// formToken is what a form of a page proves itself by.
func formToken(page string) string { return between(page, `name="csrf" value="`, `"`) }

func between(s, before, after string) string {
	_, s, ok := strings.Cut(s, before)
	if !ok {
		return ""
	}
	s, _, _ = strings.Cut(s, after)
	return s
}

// masked compares what anybody sees with page.anonymous of both kinds: nobody's name
// ever, initials with the one, and nothing with the other.
func masked(ctx context.Context, p *play) error {
	const initials = `/\b[A-Z]\.\s?[A-Z]\.(\s|,|\s·\s)*(\(?19|\(?20)\d\d/`
	defer func() { // the scenes after this need the appliance
		if p.stage.anonymous != "state" {
			p.stage.anonymous = "state"
			if err := p.stage.restart(); err != nil {
				p.wrong("%v", err)
			}
		}
	}()
	for _, kind := range []string{"state", "masked"} {
		if kind != p.stage.anonymous {
			p.stage.anonymous = kind
			if err := p.stage.restart(); err != nil {
				return err
			}
		}
		if err := p.asAnybody(ctx, kind, initials); err != nil {
			return err
		}
	}
	return nil
}

func (p *play) asAnybody(ctx context.Context, kind, initials string) error {
	t, err := p.browser.look(p.stage.base(), "it")
	if err != nil {
		return err
	}
	defer t.close()
	any := false
	err = p.visit(ctx, t, p.some(), false, func(t *tab, f found) error {
		if t.is(persons + ".test(document.documentElement.outerHTML)") {
			p.wrong("%s shows a name to anybody (%s): %.200s", f.path, kind, t.text("document.documentElement.outerHTML.match("+persons+")[0]"))
		}
		any = any || t.is(initials+".test(document.body.innerText)")
		if kind == "masked" && f.path == "/studies" && p.shots != "" {
			p.take(t, "studies-masked")
		}
		return nil
	})
	if want := kind == "masked"; any != want {
		p.wrong("page.anonymous is %s: initials with year of birth are shown to anybody: %v", kind, any)
	}
	return err
}

// lockOut tries ten wrong passwords: words say that one has to wait, and the right
// password opens nothing then. Last: this address waits as well.
func lockOut(ctx context.Context, p *play) error {
	t, err := p.browser.opened(p.stage.base(), "it", "/login")
	if err != nil {
		return err
	}
	defer t.close()
	for i := range 10 {
		if err := t.attempt(unlucky, fmt.Sprintf("tentativo-sbagliato-%d", i)); err != nil {
			return err
		}
	}
	if err := t.attempt(unlucky, unluckyPassword); err != nil {
		return err
	}
	if !strings.HasPrefix(t.path(), "/login") || t.is(`document.body.classList.contains("managing")`) {
		p.wrong("after ten wrong passwords the right one still opens the page")
	}
	if said := t.text(`document.querySelector("[role=alert], .alert")?.innerText`); !strings.Contains(said, "15") && !strings.Contains(said, "minut") && !strings.Contains(said, ":") {
		p.wrong("the lock-out is not told in words: %q", said)
	}
	return nil
}

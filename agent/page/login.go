package page

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"edged/agent/account"
)

type loginView struct {
	Here  bool   // one can log in over this connection
	None  bool   // there is no account
	As    string // who is logged in already
	To    string // where to go then
	Name  string // as typed
	Wrong string // why it did not work
}

func (p *Page) loginPage(rq *request) (any, error) {
	v := loginView{Here: private(rq.Request), As: rq.Viewer.Name, To: local(rq.URL.Query().Get("to"))}
	if all, err := p.cfg.Accounts.List(); err == nil {
		v.None = len(all) == 0
	}
	return v, nil
}

// serveLogIn is no deed: there is no session yet whose token a form could have.
func (p *Page) serveLogIn(w http.ResponseWriter, r *http.Request) {
	rq, ok := p.form(w, r)
	if !ok {
		return
	}
	v := loginView{Here: private(r), To: local(r.PostForm.Get("to")), Name: r.PostForm.Get("name")}
	switch {
	case !p.knownHost(r):
		p.refuse(w, rq, http.StatusMisdirectedRequest, "refused.host")
	case !sameOrigin(r):
		p.refuse(w, rq, http.StatusForbidden, "refused.origin")
	case !v.Here:
		p.drawLogIn(w, rq, http.StatusForbidden, v)
	default:
		p.logIn(w, rq, v)
	}
}

func (p *Page) logIn(w http.ResponseWriter, rq *request, v loginView) {
	token, _, err := p.cfg.Accounts.LogIn(rq.Context(), account.Attempt{
		Name: v.Name, Password: rq.PostForm.Get("password"), Address: rq.Viewer.Address, Token: tokenOf(rq.Request)})
	if err != nil {
		var code int
		v.Wrong, code = p.whyNot(w, rq, err, "login.wrong")
		p.drawLogIn(w, rq, code, v)
		return
	}
	http.SetCookie(w, cookieOf(rq.Request, token))
	http.Redirect(w, rq.Request, v.To, http.StatusSeeOther)
}

func (p *Page) drawLogIn(w http.ResponseWriter, rq *request, code int, v loginView) {
	p.draw(&coded{w, code}, rq, leaf{path: "/login", title: "login.title", file: "login.html"}, v)
}

// whyNot has words for a password that did not let somebody in or do something.
func (p *Page) whyNot(w http.ResponseWriter, rq *request, err error, wrong string) (says string, code int) {
	if wait, ok := errors.AsType[*account.WaitError](err); ok {
		left := wait.Until.Sub(p.cfg.now())
		minutes := max(1, int64((left+time.Minute-1)/time.Minute))
		w.Header().Set("Retry-After", strconv.FormatInt(60*minutes, 10))
		return rq.W.Count("login.wait", minutes), http.StatusTooManyRequests
	}
	switch {
	case errors.Is(err, account.ErrWrong):
		return rq.W.Say(wrong), http.StatusForbidden
	case errors.Is(err, account.ErrBusy):
		w.Header().Set("Retry-After", "5")
		return rq.W.Say("login.busy"), http.StatusServiceUnavailable
	}
	if id := refusals[refusal(err)]; id != "" {
		return rq.W.Say(id), http.StatusUnprocessableEntity
	}
	if errors.Is(err, ErrNotRecorded) {
		return rq.W.Say("login.unrecorded"), http.StatusServiceUnavailable
	}
	p.cfg.Logger.Error("accounts", "path", rq.URL.Path, "err", err) // no text of them holds what was typed
	return rq.W.Say("login.broken"), http.StatusServiceUnavailable
}

func (p *Page) logOut(rq *request) (outcome, error) {
	if err := p.cfg.Accounts.LogOut(tokenOf(rq.Request), rq.Viewer.Address); err != nil {
		p.cfg.Logger.Error("a log-out could not be recorded", "err", err) // it has ended all the same
	}
	rq.cookie = cookieOf(rq.Request, "")
	p.slips.forget(rq.Viewer)
	rq.Viewer = viewer{Address: rq.Viewer.Address}
	return outcome{"/", "logged_out"}, nil
}

type passwordView struct{ Wrong string }

func (p *Page) passwordPage(*request) (any, error) { return passwordView{}, nil }

// changePassword ends all sessions of the account and gives this browser a new one.
func (p *Page) changePassword(rq *request) (outcome, error) {
	f := rq.PostForm
	again := func(w http.ResponseWriter, says string, code int) {
		p.draw(&coded{w, code}, rq, leaf{path: "/password", title: "password.title", file: "password.html"}, passwordView{says})
	}
	if f.Get("new") != f.Get("again") {
		rq.answer = func(w http.ResponseWriter) { again(w, rq.W.Say("password.differ"), http.StatusUnprocessableEntity) }
		return outcome{}, nil
	}
	token, s, err := p.cfg.Accounts.ChangePassword(rq.Context(), tokenOf(rq.Request), rq.Viewer.Address, f.Get("old"), f.Get("new"))
	if err != nil {
		rq.answer = func(w http.ResponseWriter) {
			says, code := p.whyNot(w, rq, err, "password.wrong")
			again(w, says, code)
		}
		return outcome{}, nil
	}
	p.slips.forget(rq.Viewer)
	rq.cookie, rq.Viewer.Token = cookieOf(rq.Request, token), s.CSRF
	return outcome{"/password", "password_changed"}, nil
}

// local is to where it is a path of this page, else its front. Browsers take // and \
// for the beginning of a host, and leave out tabs and line ends (WHATWG URL §4.4).
func local(to string) string {
	u, err := url.Parse(to)
	if err != nil || len(to) > 2048 || u.Scheme != "" || u.Opaque != "" || u.User != nil || u.Host != "" ||
		!strings.HasPrefix(to, "/") || strings.HasPrefix(u.Path, "//") || strings.HasPrefix(u.Path, "/login") {
		return "/"
	}
	if strings.ContainsFunc(to+u.Path, func(r rune) bool { return r == '\\' || r < ' ' || r == 0x7f }) {
		return "/"
	}
	return to
}

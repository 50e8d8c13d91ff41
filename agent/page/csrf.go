package page

import (
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"edged/agent/account"
)

// A change is believed when it comes from this page's own form: by the name that a
// browser calls us by, by what it says of where the form stood, and by the token of the
// session, which no other site can read.

// maxForm is the longest form that is read, formWithin how long it may take.
const (
	maxForm    = 64 << 10
	formWithin = 15 * time.Second
	sendWithin = 2 * time.Minute // an answer; a stream of events sets its own deadlines
)

// form reads what was sent. A browser that sends slowly must not hold a connection for
// ever: there are only so many.
func (p *Page) form(w http.ResponseWriter, r *http.Request) (*request, bool) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(formWithin)) // a test's writer has none
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	err := r.ParseForm()
	rq := p.request(r)
	if err != nil { // the deadline stays: the server reads what is left
		w.Header().Set("Connection", "close")
		plain(w, http.StatusBadRequest, rq.W.Say("page.badform"))
		return nil, false
	}
	_ = control.SetReadDeadline(time.Time{}) // what was asked for may take longer
	return rq, true
}

// unhurried takes no body where none belongs, and gives up on who does not read.
func unhurried(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.SetWriteDeadline(time.Now().Add(sendWithin)) // a test's writer has none
		if r.ContentLength != 0 && r.Method != http.MethodPost {
			_ = control.SetReadDeadline(time.Now().Add(formWithin)) // for the rest, which the server reads
			w.Header().Set("Connection", "close")
			plain(w, http.StatusBadRequest, "a request for a page has no body")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// maynt is 0 where a deed may be done: by this origin's own form, by somebody with the
// role, with the token of the session. Else the word why says what is wrong.
func (p *Page) maynt(rq *request, role account.Role) (code int, why string) {
	token := rq.PostForm.Get("csrf")
	switch {
	case !p.knownHost(rq.Request):
		return http.StatusMisdirectedRequest, "refused.host"
	case !sameOrigin(rq.Request):
		return http.StatusForbidden, "refused.origin"
	case !rq.Viewer.In():
		return http.StatusForbidden, "refused.over"
	case !rq.Viewer.Role.May(role):
		return http.StatusForbidden, "page.forbidden"
	case rq.Viewer.Token == "" || subtle.ConstantTimeCompare([]byte(token), []byte(rq.Viewer.Token)) != 1:
		return http.StatusForbidden, "refused.token"
	}
	return 0, ""
}

type refusedView struct {
	Says  string
	LogIn bool
}

// refuse says why nothing was done.
func (p *Page) refuse(w http.ResponseWriter, rq *request, code int, why string) {
	v := refusedView{rq.W.Say(why), !rq.Viewer.In() && p.cfg.Accounts != nil}
	p.draw(&coded{w, code}, rq, leaf{title: "refused.title", file: "refused.html"}, v)
}

// coded answers with a code of its own.
type coded struct {
	http.ResponseWriter
	code int
}

func (c *coded) Write(b []byte) (int, error) {
	if c.code != 0 {
		c.ResponseWriter.WriteHeader(c.code)
		c.code = 0
	}
	return c.ResponseWriter.Write(b)
}

// sameOrigin believes what a browser says and a form of another site cannot change.
// Who says nothing is no browser of the last years and may not. The policy of referrers
// must not be no-referrer: our own forms would come from the origin null (Fetch §3.2).
func sameOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return r.Header.Get("Sec-Fetch-Site") == "same-origin"
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// knownHost is false where a browser calls us by a name that is not ours. A site that
// has its own name point to our address (DNS rebinding) is of our origin for a browser;
// who calls by an address has asked no name server.
func (p *Page) knownHost(r *http.Request) bool {
	if p.cfg.Hosts == nil {
		return true
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	if _, err := netip.ParseAddr(host); err == nil || host == "localhost" {
		return true
	}
	return slices.Contains(p.cfg.Hosts, host)
}

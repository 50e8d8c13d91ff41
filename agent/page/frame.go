package page

import (
	"bytes"
	"crypto/rand"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"edged/agent/account"
	"edged/agent/status"
)

// leaf is one page: where it is, who may see it, what is drawn. The areas of the
// page have a function that returns theirs; see leaves.
type leaf struct {
	path  string       // "/studies", or "/studies/{key}"
	menu  string       // id of its word in the menu; "" keeps it out of the menu
	title string       // id of its title; "" takes menu
	role  account.Role // the least who may see it; 0: anybody
	file  string       // template, with the blocks of layout.html around it
	fresh []string     // ids of the elements that are exchanged when something has changed
	print bool         // a sheet of paper: no menu, no refreshing
	home  bool         // the page with the state: it says itself when it is old
	build func(*request) (any, error)
	raw   func(http.ResponseWriter, *request) error // instead of build and file: a drawing, a download
}

// deed is a change that somebody makes: a POST of a form with the token of the session.
type deed struct {
	path string
	role account.Role // the least who may do it; never 0
	do   func(*request) (outcome, error)
}

// outcome is where the browser goes after a deed, and what is said there: the word
// "notice." + notice.
type outcome struct {
	to     string // a path of this page, with a query perhaps
	notice string
}

// request is one view of a page, or one deed, by somebody.
type request struct {
	*http.Request
	W      *words
	Viewer viewer
	Now    time.Time // in the facility's zone
	page   *Page

	cookie *http.Cookie              // that a deed sets; nil: none
	answer func(http.ResponseWriter) // of a deed, instead of its outcome; nil: there is none
	typed  url.Values                // that a deed could not do so, for the form that is there again; nil: none
}

// viewer is who looks. The zero one is anybody on the LAN.
type viewer struct {
	Name    string
	Role    account.Role
	Token   string    // CSRF
	Ends    time.Time // when the session does, if nothing is done any more
	Address netip.Addr
}

// In is whether somebody is logged in.
func (v viewer) In() bool { return v.Role >= account.Technician }

// May is whether the viewer may do what needs role.
func (v viewer) May(role account.Role) bool { return role == 0 || v.Role.May(role) }

// drawn names a page of this build for this viewer. What names may hold (package account)
// a header may.
func (v viewer) drawn() string {
	if !v.In() {
		return build
	}
	return build + "." + v.Role.String() + "." + v.Name
}

// Actor is the viewer for the audit trail.
func (v viewer) Actor() account.Actor { return account.Actor{Name: v.Name, Address: v.Address} }

// Masked is whether initials and year of birth may be seen, Full whether names may. A
// page that had its name lead here is given no person, whatever cookie comes along.
func (r *request) Masked() bool {
	return (r.Viewer.In() || r.page.cfg.Anonymous == AnonymousMasked) && r.page.knownHost(r.Request)
}
func (r *request) Full() bool { return r.Viewer.In() && r.page.knownHost(r.Request) }

// errNotFound is told as 404: what was asked for is not, or not any more.
var errNotFound = errors.New("not found")

// ErrNotRecorded is for a desk: the audit trail could not be written, so nothing was done.
var ErrNotRecorded = errors.New("nothing was done, because it could not be recorded")

// sheet is what a template is given.
type sheet struct {
	W        *words
	Facility string
	Title    string
	Path     string
	Self     string // path and query, to come back to
	Menu     []menuItem
	Foot     []menuItem // what stands at the foot of each page
	Langs    []langView
	Viewer   viewer
	As       string // who manages: "Management: NAME (technician)"
	Until    string // when the session ends if nothing is done any more
	Accounts bool   // somebody could log in
	Notice   string // what was done just now
	Live     string // what is exchanged when something has changed, for hx-select-oob; "": nothing is
	Headers  string // of who asks for it, for hx-headers
	Config   string // of htmx
	Nonce    string
	Home     bool
	Print    bool
	Old      bool // the facts are so old that only grey is true
	Updated  string
	Footer   []string
	State    status.State
	Word     string // of the state
	D        any    // of the page itself
	Leave    string // where a sheet goes after LeaveIn seconds; "": nowhere
	LeaveIn  int64
}

// titled is a view with a title of its own.
type titled interface{ title(*words) string }

type menuItem struct {
	Path, Word string
	Current    bool
	Count      string // of what waits there, "" nothing
	Means      string // what Count counts
}

// leaves are all pages, in the order of the menu.
func (p *Page) leaves() []leaf {
	return slices.Concat(p.studyLeaves(), p.deviceLeaves(), p.fixLeaves(), p.alarmLeaves(), p.lineLeaves(), p.testLeaves(),
		p.dayLeaves(), p.systemLeaves(), p.auditLeaves(), p.helpLeaves(), p.sessionLeaves())
}

// deeds are all changes.
func (p *Page) deeds() []deed {
	return slices.Concat(p.studyDeeds(), p.deviceDeeds(), p.fixDeeds(), p.testDeeds(), p.alarmDeeds(), p.lineDeeds(), p.systemDeeds(), p.sessionDeeds())
}

// request finds out who asks, and in which language.
func (p *Page) request(r *http.Request) *request {
	return &request{Request: r, W: chooseWords(r, p.cfg.Language), Viewer: p.viewer(r), Now: p.cfg.now().In(p.cfg.Location), page: p}
}

func (p *Page) serveLeaf(l leaf) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		rememberLanguage(w, r)
		rq := p.request(r)
		if p.reload(w, rq, l) {
			return
		}
		if !rq.Viewer.May(l.role) {
			p.mustLogIn(w, rq)
			return
		}
		if l.raw != nil {
			if err := l.raw(w, rq); err != nil {
				p.failed(w, rq, err)
			}
			return
		}
		data, err := l.build(rq)
		if err != nil {
			p.failed(w, rq, err)
			return
		}
		p.draw(w, rq, l, data)
	}
}

// freshHeader is sent by a page that asks for itself again, with the build that it is of and
// for whom it was drawn.
const freshHeader = "Edged-Fresh"

// refreshing is whether a page asks for itself again, and nobody did anything: a session does
// not last longer for it.
func refreshing(r *http.Request) bool { return r.Header.Get(freshHeader) != "" }

// reload tells an open page to load itself whole where exchanging parts of it is no
// answer: it is of another build, or who looked is logged out, or somebody else now.
func (p *Page) reload(w http.ResponseWriter, rq *request, l leaf) bool {
	if !refreshing(rq.Request) || rq.Header.Get(freshHeader) == rq.Viewer.drawn() && rq.Viewer.May(l.role) {
		return false
	}
	w.Header().Set("HX-Refresh", "true")
	return true
}

// draw writes the page whole or not at all: half a page could look green.
func (p *Page) draw(w http.ResponseWriter, rq *request, l leaf, data any) {
	var body bytes.Buffer
	sheet := p.sheetOf(rq, l, data)
	if err := pageTemplate.ExecuteTemplate(&body, l.file, sheet); err != nil {
		p.cfg.Logger.Error("render page", "page", l.file, "err", err)
		plain(w, http.StatusInternalServerError, "the page could not be drawn; see the log")
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", policyWith(sheet.Nonce))
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", rq.W.lang)
	h.Set("Vary", "Accept-Language, Cookie")
	w.Write(body.Bytes()) // a client that is gone needs no answer
}

func (p *Page) sheetOf(rq *request, l leaf, data any) sheet {
	st := p.status()
	f := facts{Status: st, Now: rq.Now}
	hero := heroOf(f, rq.W)
	s := sheet{W: rq.W, Facility: status.Shown(st.Facility.Name), Path: rq.URL.Path, Self: selfOf(rq), Langs: langsOf(rq), Viewer: rq.Viewer, As: rq.as(), Until: rq.until(), Accounts: p.cfg.Accounts != nil,
		Nonce: rand.Text(), Home: l.home, Print: l.print, Old: hero.Stale, Updated: rq.W.Say("page.updated", "time", rq.Now.Format("15:04:05")), Footer: footerOf(f, rq.W), State: hero.State, Word: hero.Word, D: data}
	if t, ok := data.(titled); ok {
		s.Title = t.title(rq.W)
	} else {
		s.Title = rq.W.Say(or(l.title, l.menu))
	}
	if s.Facility == "" {
		s.Facility = rq.W.Say("page.title")
	}
	s.Notice = rq.noticed()
	s.Menu, s.Foot = p.menuOf(rq, l)
	if l.print {
		s.Leave, s.LeaveIn = rq.leave()
	}
	if len(l.fresh) > 0 && !l.print {
		s.Live, s.Headers, s.Config = liveOf(l), freshHeader+":"+rq.Viewer.drawn(), liveConfig
	}
	return s
}

// selfOf is the address of this page without what was chosen or done on the way to it.
func selfOf(rq *request) string {
	q := rq.URL.Query()
	q.Del("lang")
	q.Del(noticeSlip)
	q.Del(lookOnly)
	u := url.URL{Path: rq.URL.Path, RawQuery: q.Encode()}
	return u.String()
}

// liveOf has each part take over what has changed in it and nothing else: what is open
// stays open, what is focused focused, and what has not changed is not read aloud again.
func liveOf(l leaf) string {
	parts := []string{"#updated:outerMorph", "#menu:outerMorph"}
	if !l.home {
		parts = append(parts, "#chip:outerMorph")
	}
	for _, id := range l.fresh {
		if id != "updated" {
			parts = append(parts, "#"+id+":outerMorph")
		}
	}
	return strings.Join(parts, ",")
}

// liveConfig of htmx: no style of its own, no history, and what somebody opened stays open.
const liveConfig = `extensions:"hx-csp,sse" includeIndicatorCSS:false history:false defaultTimeout:10000 morphIgnore:'["data-htmx-powered","open"]'`

// as says who manages, and "" where somebody only looks.
func (r *request) as() string {
	if !r.Viewer.In() {
		return ""
	}
	return r.W.Say("page.managing", "name", status.Shown(r.Viewer.Name), "role", r.W.Say("page.role."+r.Viewer.Role.String()))
}

// leave has the script of a sheet of paper ask for it once more when the session has ended:
// what it shows of persons does not stay on the screen. Asking keeps no session open. It
// is no refresh by the markup, which WCAG 2.1 does not want (SC 2.2.1).
func (r *request) leave() (to string, seconds int64) {
	if !r.Viewer.In() || r.Viewer.Ends.IsZero() {
		return "", 0
	}
	q := r.URL.Query()
	q.Set(lookOnly, "1")
	u := url.URL{Path: r.URL.Path, RawQuery: q.Encode()}
	return u.String(), int64(max(r.Viewer.Ends.Sub(r.Now), 0)/time.Second) + 2
}

// until says when the session ends by itself, "" where there is none.
func (r *request) until() string {
	if !r.Viewer.In() || r.Viewer.Ends.IsZero() {
		return ""
	}
	return r.W.Say("page.until", "time", r.Viewer.Ends.In(r.Now.Location()).Format("15:04"))
}

// atFoot are pages that everybody may want once and nobody twice.
var atFoot = []string{"menu.help", "menu.accessibility", "menu.privacy"}

func (p *Page) menuOf(rq *request, l leaf) (menu, foot []menuItem) {
	for _, other := range append([]leaf{p.stateLeaf()}, p.leaves()...) {
		if other.menu == "" || !rq.Viewer.May(other.role) {
			continue
		}
		here := other.path == l.path || !other.home && strings.HasPrefix(l.path, other.path+"/")
		item := menuItem{strings.TrimSuffix(other.path, "{$}"), rq.W.Say(other.menu), here, "", ""}
		if other.menu == "menu.alarms" {
			item.Count, item.Means = freshAlarms(p.cfg.Alarms, rq.W)
		}
		if slices.Contains(atFoot, other.menu) {
			foot = append(foot, item)
		} else {
			menu = append(menu, item)
		}
	}
	return menu, foot
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (p *Page) failed(w http.ResponseWriter, rq *request, err error) {
	if errors.Is(err, errNotFound) {
		p.sorry(w, rq, http.StatusNotFound, "page.notfound")
		return
	}
	p.cfg.Logger.Error("page", "path", rq.URL.Path, "err", err)
	if errors.Is(err, ErrNotRecorded) {
		p.refuse(w, rq, http.StatusServiceUnavailable, "refused.unrecorded")
		return
	}
	p.sorry(w, rq, http.StatusInternalServerError, "page.failed")
}

// sorry says why there is no page: as a page, with ways back, to who reads pages, and in a
// line to scripts.
func (p *Page) sorry(w http.ResponseWriter, rq *request, code int, why string) {
	if !strings.Contains(rq.Header.Get("Accept"), "text/html") {
		plain(w, code, rq.W.Say(why))
		return
	}
	w.Header().Del("Content-Disposition") // of a file that does not come
	v := refusedView{Says: rq.W.Say(why), LogIn: !rq.Viewer.In() && p.cfg.Accounts != nil}
	p.draw(&coded{w, code}, rq, leaf{title: "sorry.title", file: "refused.html"}, v)
}

// serveNothing answers for all that is not here.
func (p *Page) serveNothing(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/api/") || strings.HasPrefix(r.URL.Path, "/assets/") {
		http.NotFound(w, r)
		return
	}
	rememberLanguage(w, r)
	p.sorry(w, p.request(r), http.StatusNotFound, "page.notfound")
}

// mustLogIn sends somebody who may not see a page to where he can log in, and back.
func (p *Page) mustLogIn(w http.ResponseWriter, rq *request) {
	if rq.Viewer.In() || p.cfg.Accounts == nil {
		p.sorry(w, rq, http.StatusForbidden, "page.forbidden")
		return
	}
	http.Redirect(w, rq.Request, "/login?to="+url.QueryEscape(rq.URL.RequestURI()), http.StatusSeeOther)
}

func (p *Page) serveDeed(d deed) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		rq, ok := p.form(w, r)
		if !ok {
			return
		}
		if code, why := p.maynt(rq, d.role); code != 0 {
			p.refuse(w, rq, code, why)
			return
		}
		out, err := d.do(rq)
		if err != nil {
			p.failed(w, rq, err)
			return
		}
		if rq.cookie != nil {
			http.SetCookie(w, rq.cookie)
		}
		if rq.answer != nil {
			rq.answer(w)
			return
		}
		http.Redirect(w, r, p.leads(rq, out), http.StatusSeeOther)
	}
}

// leads is the address of an outcome. What is to be said there is said to this session
// alone, once; what was typed stays as long as the session.
func (p *Page) leads(rq *request, o outcome) string {
	q := url.Values{}
	keep := func(name string, says url.Values) {
		if number := p.slips.put(rq.Now, rq.Viewer, says); number != "" {
			q.Set(name, number)
		}
	}
	if o.notice != "" {
		keep(noticeSlip, url.Values{noticeSlip: {o.notice}})
	}
	if rq.typed != nil {
		keep(typedSlip, rq.typed)
	}
	if len(q) == 0 {
		return o.to
	}
	mark := "?"
	if strings.Contains(o.to, "?") {
		mark = "&"
	}
	return o.to + mark + q.Encode()
}

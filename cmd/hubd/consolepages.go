package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"
)

//go:embed console.html
var frameText string

//go:embed consolefleet.html
var fleetText string

//go:embed consolework.html
var workText string

//go:embed consoleadmin.html
var adminText string

//go:embed console.css
var style string

var pages = template.Must(template.New("console").Funcs(template.FuncMap{
	"style": func() template.CSS { return template.CSS(style) },
	"bytes": humanBytes,
	"num":   humanNumber,
	"age":   func(s float64) string { return humanAge(time.Duration(s * float64(time.Second))) },
	"ago":   ago,
	"time":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"short": func(s string) string { return s[:min(12, len(s))] },
}).Parse(frameText + fleetText + workText + adminText))

// shown is how an operation of the API is shown as a page.
type shown struct {
	title   string
	refresh int // seconds; 0 where somebody may be typing
	nav     bool
}

// shownAs are the operations with a page, in the order of the menu.
var shownAs = []struct {
	id string
	shown
}{
	{"status", shown{"Overview", 5, true}},
	{"trouble", shown{"Trouble", 0, true}},
	{"studies", shown{"Studies", 30, true}},
	{"study", shown{"One study", 30, false}},
	{"findings", shown{"Findings", 0, true}},
	{"appliances", shown{"Appliances", 0, true}},
	{"appliance", shown{"One appliance", 15, false}},
	{"codes", shown{"Codes", 0, true}},
	{"destinations", shown{"Archives", 10, true}},
	{"nodes", shown{"Nodes", 10, true}},
	{"events", shown{"Events", 10, true}},
	{"audit", shown{"Audit", 0, true}},
	{"tokens", shown{"Tokens", 0, true}},
}

// view is what every page gets.
type view struct {
	Title   string
	Active  string // id of the operation
	Caller  caller
	State   string // of the hub
	Refresh int
	Query   url.Values
	Here    string // path and query: where to come back to
	Next    string // path and query of what follows
	Again   string // path of what was done, to do it to more
	Data    any
}

// Can reports whether to show what needs that role.
func (v view) Can(name string) bool {
	r, ok := roleOf(name)
	return ok && v.Caller.role >= r
}

// CSRF is for forms.
func (v view) CSRF() string { return v.Caller.csrf }

// SearchNames are what a search for trouble goes on with.
func (v view) SearchNames() []string { return []string{"destination", "state", "appliance", "words"} }

// ManyNames are what freeing many goes on with.
func (v view) ManyNames() []string { return []string{"destination", "appliance", "words"} }

// Who has logged in, "" is nobody.
func (v view) Who() string { return v.Caller.name }

// Role of who has logged in.
func (v view) Role() string { return v.Caller.role.String() }

// link is one entry of the menu.
type link struct {
	Path, Title string
	Active      bool
}

// Menu shows what the caller may see.
func (v view) Menu() (out []link) {
	for _, s := range shownAs {
		o := operationOf(s.id)
		if s.nav && (o.min <= v.Caller.role) {
			out = append(out, link{pagePath(o), s.title, v.Active == s.id || v.Active == strings.TrimSuffix(s.id, "s") || s.id == "studies" && v.Active == "study"})
		}
	}
	return out
}

// Options are value and title in turn; that of the query is chosen.
func (v view) Options(name string, pairs ...string) (out []link) {
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, link{pairs[i], pairs[i+1], v.Query.Get(name) == pairs[i]})
	}
	return out
}

func operationOf(id string) *operation {
	for i := range operations {
		if operations[i].id == id {
			return &operations[i]
		}
	}
	panic("no operation " + id)
}

// pagePath is where an operation is for browsers.
func pagePath(o *operation) string {
	if o.id == "status" {
		return "/"
	}
	return o.path
}

func (c *console) mountPages(mux *routes) {
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		c.html(w, http.StatusOK, "login", view{Title: "Log in", Data: loginData{Back: backTo(r.URL.Query().Get("back"))}})
	})
	mux.HandleFunc("POST /login", c.logIn)
	mux.HandleFunc("POST /logout", c.logOut)
	for _, s := range shownAs {
		o := operationOf(s.id)
		pattern := pagePath(o)
		if pattern == "/" {
			pattern = "/{$}"
		}
		mux.HandleFunc("GET "+pattern, c.show(o, s.shown))
	}
	export := operationOf("auditExport")
	mux.HandleFunc("GET "+export.path, c.show(export, shown{title: "Export"}))
	for i := range operations {
		if o := &operations[i]; o.method == http.MethodPost {
			mux.HandleFunc("POST "+o.path, c.act(o))
		}
	}
}

// show serves an operation as a page.
func (c *console) show(o *operation, s shown) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		min := o.min
		if min == nobody {
			min = c.statusRole()
		}
		who, p := c.admit(r, min, c.browser)
		if p != nil && p.Status == http.StatusUnauthorized {
			http.Redirect(w, r, "/login?back="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
			return
		}
		if p != nil {
			c.problemPage(w, who, p)
			return
		}
		values := r.URL.Query()
		if s.refresh > 0 && !values.Has("limit") {
			values.Set("limit", "25") // it is asked again and again
		}
		got, err := c.perform(o, &request{Request: r, caller: who, values: values})
		if err != nil {
			c.problemPage(w, who, c.problemOf(err))
			return
		}
		if _, ok := got.(stream); ok {
			c.reply(w, got)
			return
		}
		v := view{Title: s.title, Active: o.id, Caller: who, Refresh: s.refresh, Query: r.URL.Query(), Here: r.URL.RequestURI(), Data: got}
		v.Next = nextLink(r.URL, got)
		c.html(w, http.StatusOK, o.id, v)
	}
}

// nextLink is the same page with the cursor of what follows.
func nextLink(u *url.URL, got any) string {
	next := ""
	switch p := got.(type) {
	case page[Appliance]:
		next = p.Next
	case page[Code]:
		next = p.Next
	case page[Trouble]:
		next = p.Next
	case page[Study]:
		next = p.Next
	case page[FoundStudy]:
		next = p.Next
	case StudyObjects:
		next = p.Next
	case page[AuditEntry]:
		next = p.Next
	case page[Token]:
		next = p.Next
	}
	if next == "" {
		return ""
	}
	q := u.Query()
	q.Set("cursor", next)
	return u.Path + "?" + q.Encode()
}

// act does an operation that a form of a page asks for.
func (c *console) act(o *operation) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			c.problemPage(w, caller{}, bad("the form: %v", err))
			return
		}
		who, p := c.admit(r, o.min, c.browser)
		if p == nil && !who.sameForm(r) {
			c.note(r.Context(), &c.guard.refusals, who.who(), "refused", r.URL.Path, "the form was not of this session")
			p = &problem{Status: http.StatusForbidden, Title: "the form is not of this session", Detail: "go back, load the page again and repeat it; if you did nothing of the kind, somebody tried to use your session"}
		}
		if p != nil {
			c.problemPage(w, who, p)
			return
		}
		got, err := c.perform(o, &request{Request: r, caller: who, values: url.Values{}, form: true})
		if err != nil {
			c.problemPage(w, who, c.problemOf(err))
			return
		}
		c.acted(w, r, o, who, got)
	}
}

// acted shows what is shown once, or what did not all go well; else it goes back.
func (c *console) acted(w http.ResponseWriter, r *http.Request, o *operation, who caller, got any) {
	back := backTo(r.PostFormValue("back"))
	v := view{Title: o.summary, Caller: who, Here: back, Data: got}
	switch d := got.(type) {
	case page[Trouble]:
		v.Title, v.Active, v.Here, v.Query = "Trouble", "trouble", "/trouble", r.PostForm
		c.html(w, http.StatusOK, "trouble", v)
	case NewCode:
		c.html(w, http.StatusOK, "newCode", v)
	case NewToken:
		c.html(w, http.StatusOK, "newToken", v)
	case Done:
		if o.body != nil || len(d.Failed) > 0 {
			v.Title, v.Query, v.Again = "Done", r.PostForm, r.URL.Path
			c.html(w, http.StatusOK, "done", v)
			return
		}
		http.Redirect(w, r, back, http.StatusSeeOther)
	default:
		http.Redirect(w, r, back, http.StatusSeeOther)
	}
}

// loginData is for the page where one logs in.
type loginData struct {
	Problem *problem
	Back    string
}

func (c *console) problemPage(w http.ResponseWriter, who caller, p *problem) {
	p.retry(w)
	c.html(w, p.Status, "problem", view{Title: p.Title, Caller: who, Data: p})
}

// html renders before it answers: a page that fails is an error, not half a page.
func (c *console) html(w http.ResponseWriter, status int, name string, v view) {
	if v.Caller.role >= c.statusRole() {
		v.State = c.knownState()
	}
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, v); err != nil {
		c.h.log.Error("page not made", "page", name, "err", err)
		http.Error(w, "the page cannot be made, see the log", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if _, err := b.WriteTo(w); err != nil {
		c.h.log.Debug("page not sent", "err", err)
	}
}

// knownState is that of the last figures, "" before there are any.
func (c *console) knownState() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cached.State
}

func humanBytes(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}

// humanNumber has a thin space between thousands (ISO 80000-1 §7.3.1).
func humanNumber(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

func humanAge(d time.Duration) string {
	switch {
	case d < time.Second:
		return "0 s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

func ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	if d := time.Since(t); d >= 5*time.Second {
		return humanAge(d) + " ago"
	}
	return "now"
}

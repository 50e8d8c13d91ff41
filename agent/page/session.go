package page

import (
	"net"
	"net/http"
	"net/netip"

	"edged/agent/account"
)

// A session is a cookie with a token and nothing else; package account keeps the rest.
// The browser sends it only where it came from (__Host-, RFC 6265bis §4.1.3.2), not to
// scripts, and to no request that another site begins (SameSite=Strict): whoever follows
// a link from elsewhere sees the page as anybody, and with his name from the next click.

const (
	plainCookie  = "edged_session" // on this machine itself, without TLS
	secureCookie = "__Host-" + plainCookie
)

func (p *Page) sessionLeaves() []leaf {
	if p.cfg.Accounts == nil {
		return nil
	}
	return []leaf{
		{path: "/login", title: "login.title", file: "login.html", build: p.loginPage},
		{path: "/password", title: "password.title", role: account.Technician, file: "password.html", build: p.passwordPage},
		{path: "/accounts", menu: "menu.accounts", role: account.Administrator, file: "accounts.html", build: p.accountsPage},
	}
}

func (p *Page) sessionDeeds() []deed {
	if p.cfg.Accounts == nil {
		return nil
	}
	return append(p.accountDeeds(), deed{"/logout", account.Technician, p.logOut}, deed{"/password", account.Technician, p.changePassword})
}

// private is whether nobody else reads what goes over the wire: by TLS, or inside this
// machine. No password is taken and no session known elsewhere.
func private(r *http.Request) bool { return r.TLS != nil || addressOf(r).IsLoopback() }

func cookieName(r *http.Request) string {
	if r.TLS != nil {
		return secureCookie
	}
	return plainCookie
}

// tokenOf a request is what its cookie holds, "" where it has none.
func tokenOf(r *http.Request) string {
	c, err := r.Cookie(cookieName(r))
	if err != nil || !private(r) {
		return ""
	}
	return c.Value
}

// cookieOf a token lives as long as the browser does; "" takes it away. How long the
// session lasts is not for the browser to say.
func cookieOf(r *http.Request, token string) *http.Cookie {
	c := &http.Cookie{Name: cookieName(r), Value: token, Path: "/", HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode}
	if token == "" {
		c.MaxAge = -1
	}
	return c
}

// viewer is who the cookie of a request says that asks. A page that renews itself keeps
// no session open: nobody may sit there any more.
func (p *Page) viewer(r *http.Request) viewer {
	v := viewer{Address: addressOf(r)}
	token := tokenOf(r)
	if token == "" || p.cfg.Accounts == nil {
		return v
	}
	of := p.cfg.Accounts.Use
	if byItself(r) {
		of = p.cfg.Accounts.Look
	}
	s, err := of(token)
	if err != nil {
		return v // as anybody; the next log-in says what is wrong
	}
	v.Name, v.Role, v.Token, v.Ends = s.Name, s.Role, s.CSRF, s.Ends
	return v
}

// lookOnly in an address says that a sheet renews itself.
const lookOnly = "look"

// byItself is whether the page asks by itself, and nobody has done anything.
func byItself(r *http.Request) bool {
	return r.Method == http.MethodGet && (refreshing(r) || r.URL.Query().Has(lookOnly) || r.Header.Get("HX-Request") != "" || r.URL.Path == "/api/v1/events")
}

func addressOf(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	a, _ := netip.ParseAddr(host) // a Unix socket has none
	return a.Unmap()
}

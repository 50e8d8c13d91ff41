package main

import (
	"context"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// found is a page that there is.
type found struct {
	path, pattern string
	in            bool // only for who is logged in
}

// must is where pages have to be; the crawl finds those and the others.
var must = []string{"/", "/studies", "/devices", "/fix", "/tests", "/alarms", "/line", "/system", "/audit", "/help", "/accessibility", "/privacy", "/login"}

// examples of one pattern that are looked at, as a rule.
const examples = 2

var link = regexp.MustCompile(`(?:href|src)="([^"#]+)`)

// get fetches a page without a browser.
func (p *play) get(ctx context.Context, path, cookie string) (code int, kind, body string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	rq, err := http.NewRequestWithContext(ctx, http.MethodGet, p.stage.base()+path, nil)
	if err != nil {
		return 0, "", "", err
	}
	rq.Header.Set("Accept-Language", "it")
	if cookie != "" {
		rq.Header.Set("Cookie", cookie)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	rs, err := client.Do(rq)
	if err != nil {
		return 0, "", "", err
	}
	defer rs.Body.Close()
	b, err := io.ReadAll(io.LimitReader(rs.Body, 8<<20))
	return rs.StatusCode, rs.Header.Get("Content-Type"), string(b), err
}

// exists is whether there is such a page, for anybody or somebody.
func (p *play) exists(ctx context.Context, path string) bool {
	code, _, _, err := p.get(ctx, path, "")
	return err == nil && (code == http.StatusOK || code == http.StatusSeeOther)
}

// patternOf is the path with what names one thing left out.
func patternOf(path string) string {
	u, err := url.Parse(path)
	if err != nil {
		return path
	}
	parts := strings.Split(u.EscapedPath(), "/")
	for i, s := range parts {
		if strings.ContainsAny(s, "0123456789%.~:@") || s != strings.ToLower(s) || len(s) > 20 {
			parts[i] = "*"
		}
	}
	var keys []string
	for k := range u.Query() {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	if len(keys) == 0 {
		return strings.Join(parts, "/")
	}
	return strings.Join(parts, "/") + "?" + strings.Join(keys, "&")
}

// crawl follows the links from the first page on.
func (p *play) crawl(ctx context.Context, cookie string) (all []found, err error) {
	queue, met, times := []string{"/", "/login"}, map[string]bool{"/": true, "/login": true}, map[string]int{}
	for len(queue) > 0 && len(all) < 1000 {
		path := queue[0]
		queue = queue[1:]
		if pattern := patternOf(path); times[pattern] >= p.examples {
			continue
		}
		code, kind, body, err := p.get(ctx, path, cookie)
		if err != nil {
			return nil, err
		}
		if code >= 400 && !(path == "/login" && code == 404) {
			p.wrong("a link leads to %s, which answers %d", path, code)
		}
		p.fetched[seen{route: p.routeFor(path), in: cookie != ""}] = code == http.StatusOK
		if code != http.StatusOK || !strings.HasPrefix(kind, "text/html") {
			continue
		}
		times[patternOf(path)]++
		all = append(all, found{path: path, pattern: patternOf(path), in: cookie != ""})
		for _, m := range link.FindAllStringSubmatch(body, -1) {
			to, ok := p.inside(path, html.UnescapeString(m[1]))
			if ok && !met[to] {
				met[to] = true
				queue = append(queue, to)
			}
			if page, sheet := strings.CutSuffix(to, "/print"); ok && sheet && !met[page] { // one chooses it in a form
				met[page] = true
				queue = append(queue, page)
			}
		}
	}
	return all, nil
}

// inside is the path of a link from a page to another one of this appliance.
func (p *play) inside(from, to string) (string, bool) {
	base, err := url.Parse(p.stage.base() + from)
	if err != nil {
		return "", false
	}
	u, err := base.Parse(to)
	if err != nil || u.Host != base.Host {
		return "", false
	}
	q := u.Query()
	q.Del("lang")
	q.Del("to")
	u.RawQuery, u.Fragment = q.Encode(), ""
	if path := u.Path; strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, "/assets/") || path == "/metrics" || path == "/logout" {
		return "", false
	}
	return u.RequestURI(), true
}

// crawlAll finds the pages of anybody and of the administrator.
func crawlAll(ctx context.Context, p *play) error {
	out, err := p.crawl(ctx, "")
	if err != nil {
		return err
	}
	p.pages = out
	if cookie := p.cookie(ctx); cookie != "" {
		in, err := p.crawl(ctx, cookie)
		if err != nil {
			return err
		}
		p.pages = append(p.pages, in...)
	}
	have := map[string]bool{}
	for _, f := range p.pages {
		have[f.pattern] = true
		p.note("page %s %v", f.path, f.in)
	}
	for _, path := range must {
		if !have[path] {
			p.wrong("there is no page %s, or no link leads to it", path)
		}
	}
	return nil
}

// some are the pages, one of each pattern for each kind of viewer.
func (p *play) some() (list []found) {
	met := map[string]bool{}
	for _, f := range p.pages {
		if key := fmt.Sprint(f.pattern, f.in); !met[key] {
			met[key] = true
			list = append(list, f)
		}
	}
	return list
}

// menu are the pages that anybody sees and the menu has.
func (p *play) menu() []string {
	list := []string{"/"}
	for _, path := range must {
		if path != "/" && path != "/login" && slices.ContainsFunc(p.pages, func(f found) bool { return f.path == path && !f.in }) {
			list = append(list, path)
		}
	}
	return list
}

package page

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// faults are what a browser finds wrong with a page in its window: a script that threw,
// and what does not fit in. What scrolls in a frame of its own may be wider.
const faults = `(() => {
	for (const d of document.querySelectorAll("details")) d.open = true;
	const wide = document.documentElement.scrollWidth, bad = [...window.thrown];
	if (!document.querySelector("main h1")) bad.push("is no page: " + document.body.textContent);
	if (wide > innerWidth) bad.push("is " + wide + " wide in a window of " + innerWidth + ": " + [...document.querySelectorAll("body *")]
		.filter(e => e.getBoundingClientRect().right > innerWidth && !e.closest(".table-responsive, .dots")).slice(0, 3).map(e => e.outerHTML.slice(0, 90)).join(" | "));
	return bad.join("; ") || "fine";
})()`

// Every page fits in a window of 320 pixels (WCAG 2.1, 1.4.10) and of 640, as an
// administrator sees it in each language and anybody in German; and no script of it throws. With
// EDGED_PICTURES=DIR each is drawn there, as wide as EDGED_SIZE says too, and on paper.
func TestEveryPageFitsInANarrowWindow(t *testing.T) {
	p := deskPage(t, scenes()["attention"])
	server := httptest.NewServer(p)
	defer server.Close()
	defer server.CloseClientConnections()
	b := drive(t, chromium(t))
	cookie := entered(t, server)
	b.session = b.open(server.URL + "/healthz")
	b.call(b.session, "Page.enable", object{}, nil)
	b.call(b.session, "Page.addScriptToEvaluateOnNewDocument", object{"source": `window.thrown = []; addEventListener("error", e => thrown.push("threw " + e.message))`}, nil)
	for _, who := range []string{"admin", "anybody"} {
		if who == "admin" {
			b.call(b.session, "Network.setCookie", object{"url": server.URL, "name": cookie.Name, "value": cookie.Value}, nil)
		} else {
			b.call(b.session, "Network.clearBrowserCookies", object{}, nil)
		}
		for _, path := range drawnPaths(p) {
			if who == "anybody" && slices.Contains([]string{"/accounts", "/password"}, path) {
				continue
			}
			for _, lang := range languages {
				if who == "anybody" && lang.code != "de" {
					continue // the longest words are enough
				}
				b.narrow(who, server.URL, path, lang.code)
			}
		}
	}
}

// narrow opens one page in windows of several widths.
func (b *remote) narrow(who, server, path, lang string) {
	b.t.Helper()
	b.window(320, 700)
	b.visit(server + path + "?lang=" + lang)
	for _, width := range []int{320, 640} {
		b.window(width, 700)
		if bad := b.evaluate(b.session, faults); bad != "fine" {
			b.t.Errorf("%s %s for %s at %d: %s", path, lang, who, width, bad)
		}
		b.picture(who+path+"-"+lang, width)
	}
	if os.Getenv("EDGED_PICTURES") != "" && lang == "it" {
		b.window(1280, 800)
		b.picture(who+path+"-"+lang, 1280)
		b.paper(who + path + "-" + lang)
	}
}

func (b *remote) window(width, height int) {
	b.t.Helper()
	b.call(b.session, "Emulation.setDeviceMetricsOverride", object{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}, nil)
}

// visit goes to another page in the same window.
func (b *remote) visit(url string) {
	b.t.Helper()
	b.call(b.session, "Page.navigate", object{"url": url}, nil)
	b.evaluate(b.session, `new Promise(tell => document.readyState === "complete" ? tell("") : addEventListener("load", () => tell("")))`)
}

// picture and paper draw what is open for eyes, where somebody asked for it.
func (b *remote) picture(name string, width int) {
	b.t.Helper()
	b.keep(name+"-"+[]string{"narrow", "middle", "wide"}[slices.Index([]int{320, 640, 1280}, width)]+".png", "Page.captureScreenshot", object{"captureBeyondViewport": true})
}

func (b *remote) paper(name string) {
	b.t.Helper()
	b.keep(name+".pdf", "Page.printToPDF", object{"paperWidth": 8.27, "paperHeight": 11.69})
}

func (b *remote) keep(name, method string, params object) {
	b.t.Helper()
	dir := os.Getenv("EDGED_PICTURES")
	if dir == "" {
		return
	}
	var got struct{ Data string }
	b.call(b.session, method, params, &got)
	raw, err := base64.StdEncoding.DecodeString(got.Data)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, strings.Trim(strings.ReplaceAll(name, "/", "_"), "_")), raw, 0o600)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// entered is the cookie of an administrator.
func entered(t *testing.T, server *httptest.Server) *http.Cookie {
	t.Helper()
	form := url.Values{"name": {"a.admin"}, "password": {secretWord}}
	r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/login", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", server.URL)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if cookies := answer.Cookies(); len(cookies) == 1 {
		return cookies[0]
	}
	t.Fatalf("log-in answers %d", answer.StatusCode)
	return nil
}

// drawnPaths are those of all pages, with something between their braces.
func drawnPaths(p *Page) (paths []string) {
	if only := os.Getenv("EDGED_PATH"); only != "" {
		return []string{only}
	}
	for _, l := range append([]leaf{p.stateLeaf()}, p.leaves()...) {
		if l.build != nil {
			paths = append(paths, strings.TrimSuffix(inBraces.ReplaceAllStringFunc(l.path, func(name string) string { return sampled[name] }), "{$}"))
		}
	}
	return paths
}

package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"time"
)

//go:embed templates/*.html
var templateFiles embed.FS

// page holds the template. html/template escapes by context, so that what comes
// from the wire is text wherever it lands.
var pageTemplate = template.Must(template.ParseFS(templateFiles, "templates/*.html"))

func render(w io.Writer, f facts, in *words) error {
	return pageTemplate.ExecuteTemplate(w, "page.html", build(f, in))
}

func (p *Page) servePage(w http.ResponseWriter, r *http.Request) {
	rememberLanguage(w, r)
	f := facts{
		Status:  p.status(),
		Studies: p.studies(lookedAt),
		Moving:  p.moving(),
		Devices: p.cfg.Source.Devices(),
		Now:     p.cfg.now().In(p.cfg.Location),
	}
	in := chooseWords(r, p.cfg.Language)
	var body bytes.Buffer // whole or not at all: half a page could look green
	if err := render(&body, f, in); err != nil {
		p.cfg.Logger.Error("render page", "err", err)
		plain(w, http.StatusInternalServerError, "the page could not be drawn; see the log")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", in.lang)
	h.Set("Vary", "Accept-Language, Cookie")
	w.Write(body.Bytes()) // a client that is gone needs no answer
}

//go:embed assets openapi.json
var assetFiles embed.FS

// served are the only files that have an address.
var served = map[string]string{
	"style.css":                            "text/css; charset=utf-8",
	"page.js":                              "text/javascript; charset=utf-8",
	"icon.svg":                             "image/svg+xml",
	"titillium-web-latin-400-normal.woff2": "font/woff2",
	"titillium-web-latin-600-normal.woff2": "font/woff2",
	"titillium-web-latin-700-normal.woff2": "font/woff2",
	"TITILLIUM-LICENSE.txt":                "text/plain; charset=utf-8",
}

func serveAsset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	kind, ok := served[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kind)
	serveFile(w, r, "assets/"+name)
}

func asset(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		serveFile(w, r, name)
	})
}

// serveFile lets a browser keep a file as long as it asks whether it is still
// the same: after an update nobody sees yesterday's style.
func serveFile(w http.ResponseWriter, r *http.Request, name string) {
	raw, err := fs.ReadFile(assetFiles, name)
	if err != nil { // the name is one of ours: a test serves each
		http.NotFound(w, r)
		return
	}
	sum := sha256.Sum256(raw)
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	w.Header().Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(raw))
}

package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"time"
)

//go:embed templates/*.html
var templateFiles embed.FS

// pageTemplate holds them. html/template escapes by context, so that what comes
// from the wire is text wherever it lands.
var pageTemplate = template.Must(template.ParseFS(templateFiles, "templates/*.html"))

//go:embed assets openapi.json
var assetFiles embed.FS

// served are the only files that have an address.
var served = map[string]string{
	"bootstrap-italia.css":                 "text/css; charset=utf-8",
	"style.css":                            "text/css; charset=utf-8",
	"areas.css":                            "text/css; charset=utf-8",
	"page.js":                              "text/javascript; charset=utf-8",
	"htmx.js":                              "text/javascript; charset=utf-8",
	"icon.svg":                             "image/svg+xml",
	"titillium-web-latin-400-normal.woff2": "font/woff2",
	"titillium-web-latin-600-normal.woff2": "font/woff2",
	"titillium-web-latin-700-normal.woff2": "font/woff2",
	"LICENSES.md":                          "text/plain; charset=utf-8",
	"TITILLIUM-LICENSE.txt":                "text/plain; charset=utf-8",
	"BOOTSTRAP-ITALIA-LICENSE.txt":         "text/plain; charset=utf-8",
	"BOOTSTRAP-LICENSE.txt":                "text/plain; charset=utf-8",
	"HTMX-LICENSE.txt":                     "text/plain; charset=utf-8",
}

// build names what this binary carries: an open page of another one must load itself anew.
var build = buildOf(templateFiles, assetFiles)

func buildOf(trees ...embed.FS) string {
	sum := sha256.New()
	for _, tree := range trees {
		err := fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			raw, err := tree.ReadFile(path)
			fmt.Fprintf(sum, "%s %d\n", path, len(raw))
			sum.Write(raw)
			return err
		})
		if err != nil {
			panic(err) // it is part of this binary
		}
	}
	return "b" + hex.EncodeToString(sum.Sum(nil)[:8]) // no number, whoever reads it
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

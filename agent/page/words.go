package page

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
)

//go:embed words
var wordFiles embed.FS

// words is the catalogue of one language: id to text with {placeholders}.
type words struct {
	lang  string
	texts map[string]string
}

// languages in the order in which the page offers them, with their own names.
var languages = []struct{ code, name string }{{"it", "Italiano"}, {"en", "English"}, {"de", "Deutsch"}}

var catalogues = loadCatalogues()

// loadCatalogues panics on a broken file: it is part of this binary, and a test
// reads it first.
func loadCatalogues() map[string]*words {
	all := map[string]*words{}
	for _, l := range languages {
		all[l.code] = &words{lang: l.code, texts: areasOf(l.code)}
	}
	return all
}

// areasOf reads words/LANGUAGE/AREA.json, a file for each area of the page. An id
// stands in one of them only.
func areasOf(language string) map[string]string {
	texts := map[string]string{}
	names, err := fs.Glob(wordFiles, "words/"+language+"/*.json")
	for _, name := range names {
		var area map[string]string
		raw, _ := wordFiles.ReadFile(name) // Glob has just named it
		if err = json.Unmarshal(raw, &area); err != nil {
			panic(fmt.Sprintf("page: catalogue %s: %v", name, err))
		}
		for id, text := range area {
			if _, twice := texts[id]; twice {
				panic(fmt.Sprintf("page: catalogue %s: %s stands in another one too", name, id))
			}
			texts[id] = text
		}
	}
	if err != nil || len(texts) == 0 {
		panic(fmt.Sprintf("page: catalogue %s: %v", language, err))
	}
	return texts
}

// Say returns the text of id with its placeholders filled: Say("x", "n", "3")
// puts 3 for {n}. An unknown id is shown between brackets that no text uses, so
// that a test finds it.
func (w *words) Say(id string, pairs ...string) string {
	text, ok := w.texts[id]
	if !ok {
		return "⟦" + id + "⟧"
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		pairs[i] = "{" + pairs[i] + "}"
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// Count is Say for a number of things: id.one for 1, id.other for the rest.
// Italian, English and German need no more.
func (w *words) Count(id string, n int64) string {
	if n == 1 {
		return w.Say(id+".one", "n", w.number(n))
	}
	return w.Say(id+".other", "n", w.number(n))
}

func (w *words) has(id string) bool {
	_, ok := w.texts[id]
	return ok
}

// chooseWords asks in this order: the address (?lang=), the cookie that it
// left, the browser's preferences, the configuration.
func chooseWords(r *http.Request, otherwise string) *words {
	if w := catalogues[r.URL.Query().Get("lang")]; w != nil {
		return w
	}
	if c, err := r.Cookie(languageCookie); err == nil && catalogues[c.Value] != nil {
		return catalogues[c.Value]
	}
	if w := preferred(r.Header.Get("Accept-Language")); w != nil {
		return w
	}
	return catalogues[otherwise]
}

const languageCookie = "edged_lang"

// rememberLanguage stores a choice made by ?lang=. The cookie tells nothing
// about anybody and needs no consent.
func rememberLanguage(w http.ResponseWriter, r *http.Request) {
	code := r.URL.Query().Get("lang")
	if catalogues[code] == nil {
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: languageCookie, Value: code, Path: "/", MaxAge: 365 * 24 * 3600,
		HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// preferred reads Accept-Language (RFC 9110 §12.5.4) as far as three languages
// need it: the first one of ours with the highest weight.
func preferred(header string) *words {
	var best *words
	bestWeight := 0.0
	for i, item := range strings.SplitN(header, ",", 33) {
		if i == 32 {
			break // nobody prefers this many
		}
		tag, weight := languageRange(item)
		base, _, _ := strings.Cut(tag, "-")
		if w := catalogues[strings.ToLower(base)]; w != nil && weight > bestWeight {
			best, bestWeight = w, weight
		}
	}
	return best
}

func languageRange(item string) (tag string, weight float64) {
	tag, params, weighted := strings.Cut(strings.TrimSpace(item), ";")
	if !weighted {
		return tag, 1
	}
	weight, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(params), "q="), 64)
	if err != nil || weight < 0 || weight > 1 {
		return tag, 0
	}
	return strings.TrimSpace(tag), weight
}

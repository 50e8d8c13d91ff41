package quality

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"sync"
)

//go:embed words_it.json words_en.json words_de.json
var wordFiles embed.FS

// Languages that have words.
var Languages = []string{"it", "en", "de"}

// Words of a language: by code the sentence, with {a} and {b} where the code has such
// values; by "cause." and a cause its heading. They are words, not markup: whoever puts values
// in escapes them, and writes a dash for an empty one. nil where there is no such language.
func Words(language string) map[string]string { return maps.Clone(words()[language]) }

var words = sync.OnceValue(func() map[string]map[string]string {
	all := make(map[string]map[string]string)
	for _, language := range Languages {
		b, err := wordFiles.ReadFile("words_" + language + ".json")
		m := make(map[string]string)
		if err == nil {
			err = json.Unmarshal(b, &m)
		}
		if err != nil {
			panic(fmt.Sprintf("embedded words, %s: %v", language, err)) // a test reads them
		}
		all[language] = m
	}
	return all
})

// valuesAside are values in brackets.
var valuesAside = regexp.MustCompile(` \([^()]*\{[ab]\}[^()]*\)`)

// WithoutAside is a sentence of Words without values that stand in brackets, for who does not
// have them: it is one without these, too.
func WithoutAside(sentence string) string { return valuesAside.ReplaceAllString(sentence, "") }

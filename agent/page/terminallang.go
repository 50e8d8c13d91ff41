package page

import "slices"

// LanguageOf chooses the language of a terminal from what its environment says, the first
// that is set: LC_ALL, LC_MESSAGES, LANG (POSIX.1-2017 §8.2). It is "it", "en" or "de",
// and "en" where that is another one.
func LanguageOf(environment ...string) string {
	i := slices.IndexFunc(environment, func(s string) bool { return s != "" })
	if i < 0 || len(environment[i]) < 2 {
		return "en"
	}
	return wordsOf(environment[i][:2]).lang
}

// wordsOf is the catalogue of a language: English where there is none.
func wordsOf(lang string) *words {
	if w := catalogues[lang]; w != nil {
		return w
	}
	return catalogues["en"]
}

package main

import (
	"strconv"
	"strings"
	"sync"
	"unicode"

	"edged/internal/quality"
)

// maxFoundCodes is how many findings of one object are said.
const maxFoundCodes = 8

// foundWords says in English what an appliance says in codes; see the protocol in package
// uplink. Each sentence follows its code, by which operators find all of a kind. What is not
// made of known codes stays as it is: it may be of a later version.
func foundWords(said string) string {
	var out []string
	for _, one := range strings.SplitN(said, "; ", maxFoundCodes) {
		sentence := foundSentence(strings.Split(one, " "))
		if sentence == "" {
			return strings.Map(printable, said)
		}
		out = append(out, sentence)
	}
	return strings.Join(out, " ")
}

var englishFindings = sync.OnceValue(func() map[string]string { return quality.Words("en") })

// printable keeps a peer's text from steering a terminal.
func printable(r rune) rune {
	if unicode.IsControl(r) {
		return ' '
	}
	return r
}

// foundSentence is "" where these are no code and its values.
func foundSentence(f []string) string {
	e, known := quality.Lookup(quality.Code(f[0]))
	says := englishFindings()[f[0]]
	if !known || says == "" || len(f) != 1 && len(f) != 3 {
		return ""
	}
	if len(f) == 1 {
		says = quality.WithoutAside(says)
		return f[0] + ": " + strings.NewReplacer("{a}", "–", "{b}", "–").Replace(says)
	}
	for i, kind := range e.Kinds {
		n, err := strconv.ParseInt(f[i+1], 10, 64)
		if err != nil {
			return ""
		}
		f[i+1] = strconv.FormatInt(n, 10)
		if kind == quality.Bytes {
			f[i+1] += " bytes"
		}
	}
	return f[0] + ": " + strings.NewReplacer("{a}", f[1], "{b}", f[2]).Replace(says)
}

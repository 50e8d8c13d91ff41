package page

import "edged/agent/status"

// Said is the top of the page in words, for whoever shows the same facts
// elsewhere: two people on the telephone must read the same sentence.
type Said struct {
	Word     string   // of the state: "All good"
	Sentence string   // the first reason, or the plain sentence of the state
	Action   string   // what to do, "" mostly
	Also     []string // the other reasons
	Warnings []string // what lasts until somebody changes it
}

// Say puts s into the words of a language: "it", "en" or "de"; any other is "en".
// A state that is not known is said to need a look.
func Say(s status.Status, lang string) Said {
	w := wordsOf(lang)
	h := heroOf(facts{Status: s, Now: s.At}, w)
	return Said{Word: h.Word, Sentence: h.Sentence, Action: h.Action, Also: h.Also, Warnings: warningsOf(s, w)}
}

// Refusal puts a refusal into words; ae is our AE title.
func Refusal(r status.Refusal, ae, lang string) string {
	w := wordsOf(lang)
	_, why := refusalOf(status.Device{LastRefusal: &r}, facts{Status: status.Status{AETitle: ae}}, w)
	return why
}

package main

import (
	"strconv"
	"strings"

	"edged/agent/status"
)

// foundFor says to the hub what is found in the data of a study, in codes and numbers of
// instances; see the protocol in package uplink. What a device wrote stays here: it may name
// a person. It is not known while the cards are behind the spool.
func (d studyDesk) foundFor(group string) (codes string, known bool) {
	if d.cards.stillReading() || d.cards.missed.Load() {
		return "", false
	}
	f, ok := d.cards.byNumber(d.cards.keyOf(group))
	if !ok || !f.here || f.test {
		return "", true // nobody can tell any more
	}
	s, _ := d.keeper.get()
	g := f.inSpool(s)
	g.Forgotten = max(f.sums.left()-g.Objects, 0)
	st := d.view.study(g, studyFacts{})
	st.Complete = true // that is why it is told
	return foundCodes(d.findings(f, st)), true
}

// foundCodes are those of the study's own page, worst first.
func foundCodes(found []status.Finding) string {
	var out []string
	for _, f := range found {
		out = append(out, f.Code+" "+strconv.FormatInt(f.Count, 10))
	}
	return strings.Join(out, "; ")
}

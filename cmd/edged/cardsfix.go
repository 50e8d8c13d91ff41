package main

import (
	"slices"
	"time"

	"edged/agent/status"
	"edged/internal/quality"
)

var _ studied = studyDesk{}

// eachStudy implements studied. The lock is given up now and then: the door tells the
// cards of each instance.
func (d studyDesk) eachStudy(visit func(studySeen, []metaFinding)) (reading bool) {
	c := d.cards
	var buf [maxMore + 8]metaFinding
	clocks := d.clocks()
	c.oldestFirst(func(in *card) {
		if in.seq > 0 && in.bits&cardTest == 0 {
			visit(studySeen{in.key, c.names.name(in.device), time.Unix(0, in.first)}, d.allFound(in, buf[:0], clocks))
		}
		reading = c.reading
	})
	return reading
}

// clocks are what is found of the clocks of devices: of each it is asked once.
func (d studyDesk) clocks() map[string][]metaFinding {
	c, out := d.cards, map[string][]metaFinding{}
	c.mu.Lock()
	names := slices.Clone(c.names.list)
	c.mu.Unlock()
	for _, name := range names {
		if found := d.judge.study(studyData{device: name}); name != "" && len(found) > 0 {
			out[name] = found
		}
	}
	return out
}

// allFound are those of instances and of the study, as its own page has them. Guarded by mu.
func (d studyDesk) allFound(in *card, buf []metaFinding, clocks map[string][]metaFinding) []metaFinding {
	found, data := in.allFound(buf), d.cards.together(in)
	var more []metaFinding // of the study
	if data.few() {
		more = d.judge.study(data)
	} else if d.judge.recent(data.first) {
		more = clocks[data.device]
	}
	if len(more) == 0 {
		return found
	}
	for _, x := range more {
		if !slices.ContainsFunc(found, func(have metaFinding) bool { return have.Code == x.Code }) {
			found = append(found, x)
		}
	}
	return found
}

// allFound are the findings of instances, and that they say to be of two patients.
func (c *card) allFound(buf []metaFinding) []metaFinding {
	if c.more == nil {
		return buf
	}
	found := c.more.findings(buf)
	if len(c.more.others) == 0 {
		return found
	}
	return append(found, metaFinding{Code: string(quality.StudyPatients)})
}

// studyCard implements studied.
func (d studyDesk) studyCard(key uint64) (status.Card, bool) {
	f, ok := d.cards.byText(keyText(key))
	if !ok || !f.here {
		return status.Card{}, false
	}
	return d.card(f), true
}

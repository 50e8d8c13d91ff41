package main

import (
	"slices"

	"edged/internal/quality"
)

// cardFound is a finding of a study, packed, and in how many instances it is: the 100,000
// studies of a full spool may have some each.
type cardFound struct {
	values string // both, one behind the other
	images int32
	code   uint16 // in the Table of package quality
	first  uint16 // how long the first value is
}

// codeList are the codes of the Table, by number.
var codeList = quality.Table()

// codeNumbers are the numbers of the codes.
var codeNumbers = func() map[string]uint16 {
	m := make(map[string]uint16, len(codeList))
	for i, e := range codeList {
		m[string(e.Code)] = uint16(i)
	}
	return m
}()

// packed is not known for a code of a later version, of which nobody could tell anything.
func packed(f metaFinding) (c cardFound, known bool) {
	c.code, known = codeNumbers[f.Code]
	a, b := shortened(f.A, maxMetaValue), shortened(f.B, maxMetaValue)
	c.values, c.first = a+b, uint16(len(a))
	return c, known
}

func (c cardFound) finding() metaFinding {
	return metaFinding{Code: string(codeList[c.code].Code), A: c.values[:c.first], B: c.values[c.first:]}
}

func (c cardFound) same(as cardFound) bool {
	return c.code == as.code && c.values == as.values && c.first == as.first
}

// cardMore is what not all studies have.
type cardMore struct {
	found  []cardFound
	others []quality.Patient // further ones

	names, initials []string // of these, as the card has those of the first
}

// count adds one of an instance: to those like it, or in the place of one whose values were
// not known.
func (m *cardMore) count(f cardFound) {
	i := slices.IndexFunc(m.found, f.same)
	if i < 0 {
		if i = slices.IndexFunc(m.found, cardFound{code: f.code}.same); i >= 0 {
			f.images = m.found[i].images
			m.found[i] = f
		}
	}
	if i < 0 && len(m.found) < maxMore {
		i = len(m.found)
		m.add(f)
	}
	if i >= 0 {
		m.found[i].images++
	}
}

// add has no room left over: most studies that have any have one or two.
func (m *cardMore) add(f cardFound) {
	m.found = slices.Clip(append(slices.Clip(m.found), f))
}

// findings are those that it has, behind those in buf.
func (m *cardMore) findings(buf []metaFinding) []metaFinding {
	for _, f := range m.found {
		buf = append(buf, f.finding())
	}
	return buf
}

// counts are of instances, beside findings.
func (m *cardMore) counts() (out []int64) {
	for _, f := range m.found {
		out = append(out, int64(f.images))
	}
	return out
}

package events

import (
	"cmp"
	"slices"
	"strings"

	"edged/internal/dicom"
)

// maxTextsOfOne bounds what one object says of patient, study and series, in bytes of
// JSON: no header of this world is so long, and a peer must not fill the ledger (P9).
const maxTextsOfOne = 16 << 10

// The order in which a text that is too long is given up.
const (
	dropSequence = iota
	dropText
	dropPatients // the patient's other identifiers
	dropNever
)

// kept is never given up: without it nobody knows whose this is, and what of.
var kept = map[string]int{
	"SpecificCharacterSet": dropNever, "StudyInstanceUID": dropNever, "SeriesInstanceUID": dropNever, "Modality": dropNever, "AccessionNumber": dropNever,
	"PatientName": dropNever, "PatientID": dropNever, "IssuerOfPatientID": dropNever, "PatientBirthDate": dropNever, "PatientSex": dropNever,
	"OtherPatientIDsSequence": dropPatients, "IssuerOfPatientIDQualifiersSequence": dropPatients,
}

// candidate is a value that may be given up.
type candidate struct {
	in         map[string]value
	keyword    string
	size, rank int
}

// fit makes texts short enough and returns the keywords of what it has left out for
// that: sequences first, then other values, the longest first. Of what is never left out
// the text goes, which its bytes also say: ten values of at most 1 KiB.
func fit(whole, part map[string]value, elements []dicom.Element) string {
	list, total := candidates(whole, part)
	var left []string
	for _, c := range list {
		switch {
		case total <= maxTextsOfOne:
		case c.rank < dropNever:
			delete(c.in, c.keyword)
			total -= c.size
			left = append(left, c.keyword)
		default:
			v := c.in[c.keyword]
			v.Text, v.Raw = nil, raw(elements, v.Tag)
			c.in[c.keyword] = v
			total -= c.size - len(text(v))
			left = append(left, "text of "+c.keyword)
		}
	}
	return strings.Join(left, ", ")
}

// candidates are all values in the order in which they go, and their size together.
func candidates(all ...map[string]value) (list []candidate, total int) {
	for _, in := range all {
		for keyword, v := range in {
			c := candidate{in, keyword, len(keyword) + len(`"":,`) + len(text(v)), dropText}
			if v.Items != nil {
				c.rank = dropSequence
			}
			if rank, ok := kept[keyword]; ok {
				c.rank = rank
			}
			list, total = append(list, c), total+c.size
		}
	}
	slices.SortFunc(list, func(a, b candidate) int {
		return cmp.Or(a.rank-b.rank, b.size-a.size, strings.Compare(a.keyword, b.keyword))
	})
	return list, total
}

// raw are the bytes of a value.
func raw(elements []dicom.Element, tag string) (value []byte) {
	for _, el := range elements {
		if tagText(el.Tag) == tag {
			value = el.Value
		}
	}
	return value
}

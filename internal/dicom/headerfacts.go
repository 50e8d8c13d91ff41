package dicom

import (
	"strconv"
	"strings"
)

// maxOtherIDs is how many other numbers of a patient are kept.
const maxOtherIDs = 4

// Facts are what a header says about the person, the request and the place: hostile
// text as the device wrote it, in UTF-8. They name a person and belong in no log.
type Facts struct {
	PatientName     string
	PatientID       string
	PatientIssuer   string // (0010,0021), else the universal ID of (0010,0024)
	OtherIDs        [maxOtherIDs]PatientID
	BirthDate, Sex  string // DA, CS as sent
	Accession       string
	AccessionIssuer string // of (0008,0051)

	StudyTime, Timezone string // TM, &ZZXX as sent
	StudyDescription    string

	Institution, InstitutionCode, Station string

	CharacterSet string // (0008,0005) as sent, values with "\" between them
	Undecoded    bool   // some text had bytes that the set does not have

	Rows, Columns, Samples, Bits int64 // 0: not known
	Photometric                  string
}

// PatientID is a number and who gave it.
type PatientID struct{ ID, Issuer string }

// textFacts are the texts that stand in the character set of the data set.
var textFacts = map[uint32]func(*Facts) *string{
	0x00080050: func(f *Facts) *string { return &f.Accession },
	0x00080080: func(f *Facts) *string { return &f.Institution },
	0x00081010: func(f *Facts) *string { return &f.Station },
	0x00081030: func(f *Facts) *string { return &f.StudyDescription },
	0x00100010: func(f *Facts) *string { return &f.PatientName },
	0x00100020: func(f *Facts) *string { return &f.PatientID },
	0x00100021: func(f *Facts) *string { return &f.PatientIssuer },
}

// codeFacts are those in the default repertoire (PS3.5 §6.1.2.2).
var codeFacts = map[uint32]func(*Facts) *string{
	0x00080030: func(f *Facts) *string { return &f.StudyTime },
	0x00080201: func(f *Facts) *string { return &f.Timezone },
	0x00100030: func(f *Facts) *string { return &f.BirthDate },
	0x00100040: func(f *Facts) *string { return &f.Sex },
	0x00280004: func(f *Facts) *string { return &f.Photometric },
}

var numberFacts = map[uint32]func(*Facts) *int64{
	0x00280002: func(f *Facts) *int64 { return &f.Samples },
	0x00280010: func(f *Facts) *int64 { return &f.Rows },
	0x00280011: func(f *Facts) *int64 { return &f.Columns },
	0x00280100: func(f *Facts) *int64 { return &f.Bits },
}

const (
	tagCharacterSet    = 0x00080005
	tagAccessionIssuer = 0x00080051
	tagInstitutionCode = 0x00080082
	tagIssuerOf        = 0x00100024
	tagOtherID         = 0x00101000
	tagOtherIDs        = 0x00101002
)

// sequenceFacts are read out of items.
var sequenceFacts = map[uint32]Wanted{
	tagAccessionIssuer: {0x00400031: {VR: "UT"}, 0x00400032: {VR: "UT"}},
	tagInstitutionCode: {0x00080100: {VR: "SH"}},
	tagIssuerOf:        {0x00400032: {VR: "UT"}},
	tagOtherIDs:        {0x00100020: {VR: "LO"}, 0x00100021: {VR: "LO"}},
}

// factKind is how an element is read.
type factKind uint8

const (
	factText factKind = iota + 1
	factCode
	factNumber
	factItems
	factSet
	factOtherID
)

// factKinds has every element of Facts: most of a header's are none of them.
var factKinds = func() map[uint32]factKind {
	m := map[uint32]factKind{tagCharacterSet: factSet, tagOtherID: factOtherID}
	for tag := range textFacts {
		m[tag] = factText
	}
	for tag := range codeFacts {
		m[tag] = factCode
	}
	for tag := range numberFacts {
		m[tag] = factNumber
	}
	for tag := range sequenceFacts {
		m[tag] = factItems
	}
	return m
}()

// note takes what an element says. The character set stands before all texts.
func (f *Facts) note(s scanner, e span, d *decoder) {
	kind := factKinds[e.tag]
	sequence := e.undefined || e.vr == "SQ"
	switch {
	case kind == 0:
		return
	case kind == factItems && (sequence || e.vr == "" || e.vr == "UN"):
		left := false
		f.items(e.tag, picker{s, &left}.itemsOf(e, sequenceFacts[e.tag]), d)
		return
	case kind == factItems || sequence || e.end-e.value > maxValue:
		return
	}
	value := s.b[e.value:e.end]
	switch kind {
	case factText:
		*textFacts[e.tag](f) = first(d.text(value))
	case factCode:
		*codeFacts[e.tag](f) = first(strings.ToValidUTF8(string(value), "\uFFFD"))
	case factNumber:
		if len(value) >= 2 {
			*numberFacts[e.tag](f) = int64(s.order.Uint16(value))
		}
	case factSet:
		f.CharacterSet = strings.Trim(strings.ToValidUTF8(string(value), "\uFFFD"), padding)
		d.use(f.CharacterSet)
	case factOtherID:
		for id := range strings.SplitSeq(d.text(value), `\`) {
			f.other(PatientID{ID: strings.Trim(id, padding)})
		}
	}
}

func (f *Facts) items(tag uint32, items [][]Element, d *decoder) {
	for _, item := range items {
		values := make(map[uint32]string, len(item))
		for _, e := range item {
			values[e.Tag] = first(d.text(e.Value))
		}
		switch tag {
		case tagAccessionIssuer:
			f.AccessionIssuer = either(f.AccessionIssuer, either(values[0x00400032], values[0x00400031]))
		case tagInstitutionCode:
			f.InstitutionCode = either(f.InstitutionCode, values[0x00080100])
		case tagIssuerOf:
			f.PatientIssuer = either(f.PatientIssuer, values[0x00400032])
		case tagOtherIDs:
			f.other(PatientID{values[0x00100020], values[0x00100021]})
		}
	}
}

func (f *Facts) other(p PatientID) {
	for i := range f.OtherIDs {
		if p.ID == "" || f.OtherIDs[i] == p {
			return
		}
		if f.OtherIDs[i].ID == "" {
			f.OtherIDs[i] = p
			return
		}
	}
}

// Frames is (0028,0008) as a number; 0: not known.
func (h *Header) Frames() int64 {
	n, err := strconv.ParseInt(h.NumberOfFrames, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

const padding = " \x00"

// first is the first value of an element, without padding (PS3.5 §6.2).
func first(s string) string {
	s, _, _ = strings.Cut(s, `\`)
	return strings.Trim(s, padding)
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

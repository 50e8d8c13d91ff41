package main

import (
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"edged/internal/dicom"
)

// What an object remembers of a person is bounded, in whole characters, and comes back
// from CBOR as it was.
func TestMetaIsBounded(t *testing.T) {
	long := strings.Repeat("è", 400)
	h := dicom.Header{Study: "1.2.3", Facts: dicom.Facts{PatientName: "a" + long, PatientID: long, PatientIssuer: long, BirthDate: long, Sex: long,
		Accession: long, StudyTime: long, StudyDescription: long}}
	h.OtherIDs[1] = dicom.PatientID{ID: "rssmra85t10a562s"}
	m := newMeta(dicom.Names{TransferSyntax: "1.2", SOPClass: "1.2", SOPInstance: "1.2"}, h, caller{calling: "CT"})
	back, err := decodeMeta(m.encode())
	if err != nil || !reflect.DeepEqual(back, m) {
		t.Errorf("%+v came back as %+v, %v", m, back, err)
	}
	for of, s := range map[string]string{"name 128": m.Name, "patient 64": m.Patient, "issuer 64": m.Issuer, "accession 32": m.Accession, "description 64": m.Description} {
		most := map[string]int{"128": 128, "64": 64, "32": 32}[of[strings.LastIndexByte(of, ' ')+1:]]
		if len(s) > most || len(s) < most-1 || !utf8.ValidString(s) {
			t.Errorf("%s: %d bytes", of, len(s))
		}
	}
	if m.Fiscal != "RSSMRA85T10A562S" {
		t.Errorf("the codice fiscale is %q", m.Fiscal)
	}
	if n := len(m.encode()); n > 1024 {
		t.Errorf("%d bytes", n)
	}
}

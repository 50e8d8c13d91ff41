package main

import (
	"crypto/x509"
	"fmt"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"

	"edged/internal/codicefiscale"
	"edged/internal/dicom"
)

// Meta is what the appliance remembers beside an object's bytes: CBOR with
// integer keys, opaque to the spool. Whoever needs more reads the data set. Keys are
// never used again for something else.
type Meta struct {
	TransferSyntax string `cbor:"1,keyasint"`
	SOPClass       string `cbor:"2,keyasint"`
	SOPInstance    string `cbor:"3,keyasint"`
	Study          string `cbor:"4,keyasint,omitempty"`
	Series         string `cbor:"5,keyasint,omitempty"`
	Modality       string `cbor:"6,keyasint,omitempty"`
	StudyDate      string `cbor:"7,keyasint,omitempty"`
	Frames         string `cbor:"8,keyasint,omitempty"`
	Calling        string `cbor:"9,keyasint,omitempty"`  // AE title of the sender
	Called         string `cbor:"10,keyasint,omitempty"` // AE title it asked for
	Remote         string `cbor:"11,keyasint,omitempty"` // its IP address

	// From here on it is about a person, or may be: encrypted with the spool, shown to
	// who may see it, in no log. Texts are UTF-8 and clipped.
	Name        string        `cbor:"12,keyasint,omitempty"` // PN
	Patient     string        `cbor:"13,keyasint,omitempty"` // (0010,0020)
	Issuer      string        `cbor:"14,keyasint,omitempty"` // (0010,0021)
	Birth       string        `cbor:"15,keyasint,omitempty"` // DA as sent
	Sex         string        `cbor:"16,keyasint,omitempty"`
	Fiscal      string        `cbor:"17,keyasint,omitempty"` // codice fiscale, wherever it stood
	Accession   string        `cbor:"18,keyasint,omitempty"`
	StudyTime   string        `cbor:"19,keyasint,omitempty"` // TM as sent
	Description string        `cbor:"20,keyasint,omitempty"` // of the study
	Findings    []metaFinding `cbor:"21,keyasint,omitempty"` // of this instance; those of a study are computed
}

// metaFinding is one of internal/quality: its level and cause are today's.
type metaFinding struct {
	Code string `cbor:"1,keyasint"`
	A    string `cbor:"2,keyasint,omitempty"`
	B    string `cbor:"3,keyasint,omitempty"`
}

// metaMode bounds what decoding may take: Meta comes from our own disk, and a
// disk may say anything.
var metaMode, _ = cbor.DecOptions{MaxMapPairs: 64, MaxArrayElements: 64, MaxNestedLevels: 4}.DecMode()

func (m Meta) encode() []byte {
	b, err := cbor.Marshal(m)
	if err != nil {
		panic(err) // a struct of strings always marshals
	}
	return b
}

func decodeMeta(b []byte) (m Meta, err error) {
	if err := metaMode.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("meta of an object: %w", err)
	}
	for i := range m.Findings {
		if own, known := codes[m.Findings[i].Code]; known {
			m.Findings[i].Code = own
		}
	}
	return m, nil
}

// senderOf is the AE title of whoever sent an object, "" where its Meta does not say:
// what waits to be sent leaves in turns between them.
func senderOf(meta []byte) string {
	var m struct {
		Calling string `cbor:"9,keyasint,omitempty"`
	}
	if metaMode.Unmarshal(meta, &m) != nil {
		return ""
	}
	return m.Calling
}

func (m Meta) names() dicom.Names {
	return dicom.Names{TransferSyntax: m.TransferSyntax, SOPClass: m.SOPClass, SOPInstance: m.SOPInstance}
}

// What Meta has of texts, in bytes: a card of a study is made of it, and of those there
// are a hundred thousand.
const (
	maxMetaName        = 128
	maxMetaID          = 64
	maxMetaAccession   = 32
	maxMetaDescription = 64
	maxMetaCode        = 32 // DA, TM, CS
	maxMetaFindings    = 16 // worst first
	maxMetaValue       = 256
)

// newMeta puts together what the command, the association and the header say, and what
// was found in it.
func newMeta(n dicom.Names, h dicom.Header, p caller) Meta {
	return Meta{
		Name: shortened(h.PatientName, maxMetaName), Patient: shortened(h.PatientID, maxMetaID), Issuer: shortened(h.PatientIssuer, maxMetaID),
		Birth: shortened(h.BirthDate, maxMetaCode), Sex: shortened(h.Sex, maxMetaCode), Fiscal: fiscalOf(h), Accession: shortened(h.Accession, maxMetaAccession),
		StudyTime: shortened(h.StudyTime, maxMetaCode), Description: shortened(h.StudyDescription, maxMetaDescription),

		TransferSyntax: n.TransferSyntax, SOPClass: n.SOPClass, SOPInstance: n.SOPInstance,
		Study: h.Study, Series: h.Series, Modality: h.Modality, StudyDate: h.StudyDate, Frames: h.NumberOfFrames,
		Calling: p.calling, Called: p.called, Remote: p.address,
	}
}

// shortened is the beginning of a text, whole characters of it.
func shortened(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// fiscalOf is the first number of the patient that is a codice fiscale; "": none is.
func fiscalOf(h dicom.Header) string {
	for _, id := range append([]dicom.PatientID{{ID: h.PatientID}}, h.OtherIDs[:]...) {
		if s := codicefiscale.Clean(id.ID); codicefiscale.Strict(s) == "" {
			return s
		}
	}
	return ""
}

// caller is who is on the other end of an association.
type caller struct {
	calling, called, address string

	secure bool              // it came by TLS
	proof  *x509.Certificate // the one that it showed, verified; nil: none
}

// Findings about an object that travel beside it; the hub knows the same bits.
const (
	flagUnreadable uint32 = 1 << iota // the header could not be read
	flagMismatch                      // SOP class or instance of data set and command differ
	flagBadUID                        // a UID is not legal by PS3.5 §9.1
	flagTest                          // a self-test object
)

// findings compares what the command said with what the data set says. A900 would be
// allowed (PS3.4 §B.2.3); we keep the instance and flag it.
func findings(n dicom.Names, h dicom.Header, headerErr error) (flags uint32) {
	if headerErr != nil {
		flags |= flagUnreadable
	}
	if differs(h.SOPClass, n.SOPClass) || differs(h.SOPInstance, n.SOPInstance) {
		flags |= flagMismatch
	}
	for _, uid := range []string{n.SOPInstance, n.SOPClass, n.TransferSyntax, h.Study} {
		if uid != "" && !dicom.ValidUID(uid) {
			flags |= flagBadUID
		}
	}
	return flags
}

func differs(a, b string) bool { return a != "" && a != b }

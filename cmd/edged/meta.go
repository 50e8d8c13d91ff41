package main

import (
	"crypto/x509"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"edged/internal/dicom"
)

// Meta is what the appliance remembers beside an object's bytes: CBOR with
// integer keys, opaque to the spool. It names no person: whoever needs more
// reads the data set. Keys are never used again for something else.
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

// newMeta puts together what the command, the association and the header say.
func newMeta(n dicom.Names, h dicom.Header, p caller) Meta {
	return Meta{
		TransferSyntax: n.TransferSyntax, SOPClass: n.SOPClass, SOPInstance: n.SOPInstance,
		Study: h.Study, Series: h.Series, Modality: h.Modality, StudyDate: h.StudyDate, Frames: h.NumberOfFrames,
		Calling: p.calling, Called: p.called, Remote: p.address,
	}
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

package main

import (
	"encoding/binary"

	"edged/internal/dicom"
	"edged/internal/quality"
	"edged/spool"
)

// Flags of what was found at the end of an object, in its seal. The hub does not know
// them, and gets flagHold where it is to wait.
const (
	flagHold         uint32 = 1 << 4 // the hub's too: it waits there until it is released
	flagCut          uint32 = 1 << 8
	flagPixelsShort  uint32 = 1 << 9
	flagPixelsFrames uint32 = 1 << 10
	flagPixelsOpen   uint32 = 1 << 11
	flagPixelsLong   uint32 = 1 << 12
	flagPixelsNone   uint32 = 1 << 13

	hubFlags = flagUnreadable | flagMismatch | flagBadUID | flagTest | flagHold
)

// endFlags are the codes of the flags.
var endFlags = []struct {
	flag   uint32
	code   quality.Code
	values bool // it has two; at most one such is found in an object
}{
	{flagCut, quality.Cut, false}, {flagPixelsShort, quality.PixelsShort, true}, {flagPixelsFrames, quality.PixelsFrames, true},
	{flagPixelsOpen, quality.PixelsOpen, false}, {flagPixelsLong, quality.PixelsLong, true}, {flagPixelsNone, quality.PixelsMissing, true},
}

// markEnds are the transfer syntaxes whose images end with FFD9. Those of JPEG 2000 do by
// the standard (PS3.5 §A.4.4), but many encoders leave it out, and what reads them does not
// mind: they are not judged.
var markEnds = map[string]bool{
	"1.2.840.10008.1.2.4.50": true, "1.2.840.10008.1.2.4.51": true, "1.2.840.10008.1.2.4.57": true, "1.2.840.10008.1.2.4.70": true,
	"1.2.840.10008.1.2.4.80": true, "1.2.840.10008.1.2.4.81": true,
}

// ended judges whether all of an object came.
func (j *assessor) ended(n dicom.Names, h dicom.Header, e dicom.End, from origin) []quality.Finding {
	if j == nil || !e.Judged {
		return nil
	}
	i := quality.Instance{TransferSyntax: n.TransferSyntax, Unreadable: true, Cut: e.Cut} // so that nothing else is judged again
	i.Pixels = quality.Pixels{Rows: h.Rows, Columns: h.Columns, Samples: h.Samples, Bits: h.Bits, Frames: h.Frames(), Photometric: h.Photometric}
	switch p := &i.Pixels; {
	case e.Native:
		p.Data, p.Bytes = quality.PixelsNative, e.Bytes
	case e.Pixels:
		p.Data, p.Fragments = quality.PixelsEncapsulated, e.Fragments
		if markEnds[n.TransferSyntax] && e.Fragments > 0 && !e.Cut {
			p.End = quality.EndMissing
			if e.EndMark {
				p.End = quality.EndThere
			}
		}
	case !e.Cut:
		p.Data = quality.PixelsAbsent
	}
	var found []quality.Finding
	for _, f := range j.checker.Instance(i, quality.Context{Backfill: from.backfill}) {
		if f.Cause == quality.CauseObject && f.Code != quality.Unreadable {
			found = append(found, f)
		}
	}
	return found
}

// sealed is what the seal of an object says of them.
func sealed(found []quality.Finding) (e spool.End) {
	for _, f := range found {
		for _, known := range endFlags {
			if f.Code != known.code {
				continue
			}
			if e.Flags |= known.flag; known.values {
				binary.BigEndian.PutUint64(e.Note[8:], number(f.Values[0]))
				binary.BigEndian.PutUint64(e.Note[16:], number(f.Values[1]))
			}
		}
	}
	if quality.Worst(found) == quality.Hold {
		e.Flags |= flagHold
	}
	return e
}

func number(s string) (n uint64) {
	for _, c := range []byte(s) { // decimal digits, by its Kind
		n = n*10 + uint64(c-'0')
	}
	return n
}

// ofObject are the findings that an object shows without its Meta.
func ofObject(o spool.Object) []metaFinding {
	if o.Test || o.Flags&^hubFlags == 0 && !o.Conflict {
		return nil
	}
	out := ofFlags(o.Flags)
	if o.Conflict {
		out = append(out, metaFinding{Code: string(quality.UIDReused), A: o.ID.String()[:12]})
	}
	return out
}

// ofFlags are the findings of the end of an object, as its flags have them: without values.
func ofFlags(flags uint32) (out []metaFinding) {
	for _, known := range endFlags {
		if flags&known.flag != 0 {
			out = append(out, metaFinding{Code: string(known.code)})
		}
	}
	return out
}

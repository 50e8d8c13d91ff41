package main

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"edged/internal/quality"
	"edged/spool"
)

// heldFor says to the hub why an object is to wait there, in codes and numbers; see the
// protocol in package uplink. "" is for one that is not to wait. What a device wrote stays
// here: it may name a person.
func heldFor(s *spool.Spool, o spool.Object, m Meta) string {
	if o.Flags&flagHold == 0 || o.Test {
		return ""
	}
	return holdWords(append(slices.Clone(m.Findings), withValues(ofFlags(o.Flags), endOf(s, o))...))
}

// endOf is what the end of an object told, with its values. They are worth the opening of a
// file, which few objects need; without them the code says enough.
func endOf(s *spool.Spool, o spool.Object) (e spool.End) {
	c, err := s.Open(o.ID)
	if err != nil {
		return e
	}
	defer c.Close()
	return c.End()
}

// withValues gives the one finding that has values its own.
func withValues(found []metaFinding, e spool.End) []metaFinding {
	for i := range found {
		for _, known := range endFlags {
			if known.values && string(known.code) == found[i].Code && e.Flags&known.flag != 0 {
				found[i].A = strconv.FormatUint(binary.BigEndian.Uint64(e.Note[8:]), 10)
				found[i].B = strconv.FormatUint(binary.BigEndian.Uint64(e.Note[16:]), 10)
			}
		}
	}
	return found
}

// maxHoldCodes bounds how many codes are sent of one object.
const maxHoldCodes = 4

// holdWords are those of the first three checks, which alone may hold, as they come: worst first.
func holdWords(found []metaFinding) string {
	var out []string
	for _, f := range found {
		e, known := quality.Lookup(quality.Code(f.Code))
		if !known || e.Cause.Number() > quality.CausePatients.Number() || len(out) == maxHoldCodes {
			continue
		}
		one := f.Code
		if counts(e.Kinds[0]) && counts(e.Kinds[1]) && decimal(f.A) && decimal(f.B) {
			one += " " + f.A + " " + f.B
		}
		if !slices.Contains(out, one) {
			out = append(out, one)
		}
	}
	return strings.Join(out, "; ")
}

// counts reports whether values of a kind are numbers, which name nobody.
func counts(k quality.Kind) bool { return k == quality.Count || k == quality.Bytes }

func decimal(s string) bool {
	_, err := strconv.ParseUint(s, 10, 63)
	return err == nil
}

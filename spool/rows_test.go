package spool

import (
	"context"
	"encoding/binary"
	"strings"
	"testing"
	"time"
)

// Rows of earlier versions, which end behind the group, are read.
func TestRowsOfEarlierVersionsAreRead(t *testing.T) {
	id := ID{7}
	body := append(binary.BigEndian.AppendUint64(nil, 5), id[:]...)
	body = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(body, 100), 9)
	body = appendString(append(body, 1), "study")
	o, ok := decodeOp(opForgot, body)
	if !ok || o.seq != 5 || o.id != id || o.length != 100 || o.at != 9 || !o.test || o.group != "study" || o.part != "" || o.discard || o.lost {
		t.Fatalf("%+v %v", o, ok)
	}
}

// P9, SPOOL-22: a group of absurdly many parts with absurdly long names still
// makes an event that fits its record, with whole sums.
func TestEventsFitTheirRecords(t *testing.T) {
	c := newClock()
	cfg := groupConfig(newMemFS(), c)
	s := open(t, cfg)
	long := strings.Repeat("x", MaxGroup-4)
	const parts = 600
	for i := range parts {
		n := inGroup(strings.Repeat("g", MaxGroup), long+string(rune('\u4e00'+i)))
		put(t, s, n, sample(i, 10))
	}
	c.run(t, s, time.Minute)
	ev := wantEvent(t, s, GroupComplete, 1, parts)
	if len(ev.Parts) < 200 || len(ev.Parts) >= parts || ev.Bytes != 10*parts {
		t.Fatalf("%d parts, %d bytes", len(ev.Parts), ev.Bytes)
	}
	if err := s.Discard(context.Background(), Discard{Seq: 1, ID: s.Objects(0, 1)[0].ID, By: strings.Repeat("b", 1<<17), Reason: strings.Repeat("r", 1<<17)}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open(t, cfg)
	if s.Recovery().JournalHoles > 0 {
		t.Fatal("a row did not fit")
	}
	wantEvent(t, s, GroupComplete, 1, parts)
	if f := s.Forgotten(1); len(f) != 1 || len(f[0].Reason) != maxReason || len(f[0].By) != maxReason {
		t.Fatalf("%+v", f)
	}
}

package spool

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

func someOps() []op {
	return []op{
		{kind: opAtHub, seq: 1, id: ID{1}, at: 5},
		{kind: opArchived, seq: 2, id: ID{2}, at: 5, age: 6},
		{kind: opForgot, seq: 3, id: ID{3}, length: 1 << 40, at: 7, group: "g", test: true},
		{kind: opForgot, seq: 8, id: ID{8}, healed: true},
		{kind: opHeld, seq: 4, id: ID{4}},
		{kind: opReleased, seq: 4, id: ID{4}},
		{kind: opQuarantined, seq: 5, id: ID{5}, reason: "why", damaged: true},
		{kind: opReoffer},
		{kind: opWasAtHub, seq: 6, id: ID{6}},
		{kind: opReofferOne, seq: 7, id: ID{7}},
		{kind: opAtHub, seq: 16, id: ID{16}, at: 5, from: 1},
		{kind: opArchived, seq: 16, id: ID{16}, at: 5, age: 6, from: 1 << 63},
		{kind: opWasAtHub, seq: 17, id: ID{17}, from: 2},
		{kind: opForgot, seq: 9, length: 1, at: 8, group: "g", part: "p", lost: true, discard: true, by: "who", reason: "why"},
		{kind: opQuarantined, seq: 10, reason: "cut", damaged: true, torn: true},
		{kind: opGroup, seq: 11, at: 12, group: "g", test: true, row: &groupRow{revision: 3, objects: 4, bytes: 1 << 40, told: true, changed: true, parts: []GroupPart{{"p", 1, 2}, {"", 3, 4}}}},
		{kind: opGroupTold, group: "g", row: &groupRow{revision: 3}},
		{kind: opScrubbed, seq: 12, at: 13},
		{kind: opForgot, seq: 14, id: ID{14}, length: 1, at: 8, group: "g", part: "p", name: nameSum{1, 2}},
		{kind: opForgot, seq: 15, length: 1, at: 8, discard: true, outside: true, by: "who", reason: "why", name: nameSum{3}},
		{kind: opNote, note: &note{"key", "body\x00\xff"}},
		{kind: opNote, note: &note{"empty", ""}},
		{kind: opNoteGone, note: &note{key: "key"}},
	}
}

func someSegment(keys *keyring) []byte {
	var number uint64
	st := standing{mark: 3, next: 9, age: 4, counters: map[string]uint64{"received": 8, "x": 1}}
	seg := newSegment(keys, 5)
	b := bytes.Clone(seg.header)
	b = append(b, seg.encodeRecords(&number, st, []op{{kind: opSnapshotEnd}})...)
	for _, o := range someOps() {
		b = append(b, seg.encodeRecords(&number, st, []op{o})...)
	}
	return b
}

// What is written is what is read; many obligations are framed in bounded records.
func TestJournalRoundTrip(t *testing.T) { inBoth(t, journalRoundTrip) }

func journalRoundTrip(t *testing.T, key []byte) {
	keys := testKeys(t, key)
	r, err := replaySegment(someSegment(keys), keys)
	if err != nil || !r.complete || r.holes != 0 || r.torn != 0 || r.gen != 5 {
		t.Fatalf("%+v %v", r, err)
	}
	if !reflect.DeepEqual(r.ops, someOps()) {
		t.Fatalf("got %+v", r.ops)
	}
	if r.standing.mark != 3 || r.standing.next != 9 || r.standing.counters["received"] != 8 {
		t.Fatalf("got %+v", r.standing)
	}
	many, seg := make([]op, 50_000), newSegment(keys, 1)
	for i := range many {
		many[i] = op{kind: opAtHub, seq: uint64(i + 1), id: ID{byte(i)}}
	}
	var number uint64
	r, err = replaySegment(append(bytes.Clone(seg.header), seg.encodeRecords(&number, standing{}, many)...), keys)
	if err != nil || len(r.ops) != len(many) || number < 3 {
		t.Fatalf("%d obligations in %d records, %v", len(r.ops), number, err)
	}
}

// A torn tail is an unfinished write and no damage; damage in the middle is
// told, and what stands behind it still counts.
func TestTornTailAndHoles(t *testing.T) { inBoth(t, tornTailAndHoles) }

func tornTailAndHoles(t *testing.T, key []byte) {
	keys, header := testKeys(t, key), segmentHeader
	if key != nil {
		header = sealedHeader
	}
	whole := someSegment(keys)
	for cut := header; cut < len(whole); cut++ {
		r, err := replaySegment(whole[:cut], keys)
		if err != nil || r.holes != 0 {
			t.Fatalf("cut at %d: %+v %v", cut, r, err)
		}
	}
	for at := header; at < len(whole); at++ {
		b := bytes.Clone(whole)
		b[at] ^= 0x40
		r, err := replaySegment(b, keys)
		if err != nil || r.holes == 0 && r.torn == 0 {
			t.Fatalf("flip at %d was not noticed: %+v %v", at, r, err)
		}
		if len(r.ops) < len(someOps())-1 {
			t.Fatalf("flip at %d: only %d obligations left of %d", at, len(r.ops), len(someOps()))
		}
	}
}

// D-S4: obligations that damage took mean that objects are offered again. They
// never mean that something is forgotten.
func TestDamagedJournalOffersAgain(t *testing.T) {
	ctx := context.Background()
	rnd := rand.New(rand.NewPCG(8, 8))
	for range 200 {
		fs := newMemFS()
		cfg := memConfig(fs)
		cfg.JournalBytes, cfg.RetainArchived = 1<<20, time.Hour
		s := open(t, cfg)
		archived := map[ID]bool{}
		var all []Object
		for n := range 6 {
			o, _ := put(t, s, newSample(n), sample(n, 100))
			all = append(all, o)
			if err := s.AtHub(ctx, receipt(o)); err != nil {
				t.Fatal(err)
			}
			if n%2 == 0 {
				archived[o.ID] = true
				if err := s.archivedOutright(ctx, receipt(o)); err != nil {
					t.Fatal(err)
				}
			}
		}
		name := segmentName(s.journal.gen)
		s.Close()
		n, err := fs.walk(name)
		if err != nil {
			t.Fatal(err)
		}
		n.data[rnd.IntN(len(n.data)*3/4)] ^= 1 << rnd.IntN(8)
		s = open(t, cfg)
		if s.Recovery().JournalHoles == 0 {
			t.Fatal("damage was not told")
		}
		for _, o := range all {
			got, err := s.Object(o.ID)
			if err != nil {
				t.Fatalf("object went with the journal: %v", err)
			}
			if got.State == Archived && !archived[o.ID] || got.State == AtHub {
				t.Fatalf("object is %v on the word of a damaged journal", got.State)
			}
		}
	}
}

// The journal stays short, however long the spool lives.
func TestJournalIsCompacted(t *testing.T) {
	ctx := context.Background()
	fs := newMemFS()
	cfg := memConfig(fs)
	cfg.MaxTombstones = 10
	s := open(t, cfg)
	for n := range 300 {
		o, _ := put(t, s, newSample(n), sample(n, 10))
		if err := errors.Join(s.AtHub(ctx, receipt(o)), s.archivedOutright(ctx, receipt(o)), s.Sweep(ctx)); err != nil {
			t.Fatal(err)
		}
	}
	if gens, _ := segments(fs); len(gens) != 1 || s.journal.size > 5*cfg.JournalBytes {
		t.Fatalf("segments %v, %d bytes", gens, s.journal.size)
	}
	if n := len(s.Forgotten(1000)); n != 10 {
		t.Fatalf("%d tombstones, want the last 10", n)
	}
	if g := s.Groups(100); len(g) > 3 {
		t.Fatalf("%d groups remembered", len(g))
	}
	s.Close()
	s = open(t, cfg)
	if c := s.Counters(); c[CountReceived] != 300 || c[CountArchived] != 300 {
		t.Fatalf("counters %v", c)
	}
}

func FuzzJournal(f *testing.F) {
	f.Add(someSegment(nil))
	f.Add(someSegment(nil)[:100])
	f.Add(newSegment(nil, 0).header)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := replaySegment(b, nil)
		if err != nil {
			return
		}
		book := newBook()
		book.play(r.ops)
		book.doubt()
		var number uint64
		again, err := replaySegment(append(newSegment(nil, r.gen).header, newSegment(nil, r.gen).encodeRecords(&number, r.standing, r.ops)...), nil)
		if err != nil || len(again.ops) != len(r.ops) || again.holes != 0 {
			t.Fatalf("what was read cannot be written and read again: %v", err)
		}
	})
}

func FuzzJournalPayload(f *testing.F) {
	st := standing{mark: 3, next: 9, age: 4, counters: map[string]uint64{"received": 8}}.encode()
	f.Add(st)
	for _, o := range someOps() {
		f.Add(o.encode(bytes.Clone(st)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		st, ops, err := decodePayload(b)
		if err != nil {
			return
		}
		again := st.encode()
		for _, o := range ops {
			again = o.encode(again)
		}
		st2, ops2, err := decodePayload(again)
		if err != nil || !reflect.DeepEqual(st, st2) || !reflect.DeepEqual(ops, ops2) {
			t.Fatalf("not the same after writing it again: %v\n%+v\n%+v", err, ops, ops2)
		}
	})
}

func FuzzContainer(f *testing.F) {
	h := head{group: "g", seed: testSeed, meta: []byte("m"), preface: []byte("p"), priority: Urgent}
	b := append(h.encode(), "content"...)
	id := idOf(testSeed, []byte("content"))
	whole := append(b, seal{seq: 1, content: 7, id: id, head: sha(h.encode())}.encode()...)
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= headerSize+sealSize { // get past the checksums, which nobody guesses
			end := b[len(b)-sealSize:]
			binary.BigEndian.PutUint32(b[60:], checksum(b[:60]))
			if n := len(b) - sealSize; n >= 0 && len(b) > 200 {
				_, l, err := decodeHeader(b)
				if err == nil && l.sum() <= int64(n) {
					head := sha(b[:l.sum()])
					copy(end[64:], head[:])
				}
			}
			binary.BigEndian.PutUint32(end[124:], checksum(end[:124]))
		}
		c, err := readContainer(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		if c.start+c.content+sealSize != int64(len(b)) {
			t.Fatalf("lengths do not add up: %+v", c)
		}
		if err := c.proveContent(bytes.NewReader(b), nil); err == nil && c.id != idOf(c.seed, b[c.start:c.start+c.content]) {
			t.Fatal("content was proved and does not match")
		}
	})
}

package main

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
	"time"

	"edged/dimse/dataset"
	"edged/dimse/query"
	"edged/internal/synth"
	"edged/spool"
)

// filled is a catalogue of studies with four series of a CT header each.
func filled(t testing.TB, head []byte, studies, objects int) *catalogue {
	c := newCatalogue(nil)
	seq := uint64(0)
	for i := range studies {
		for k := range 4 {
			for range objects {
				seq++
				o := spool.Object{Seq: seq, Group: fmt.Sprintf("2.25.1845398266497702702479721021148942%06d", i), Part: fmt.Sprintf("2.25.1845398266497702702479721021148942%06d.%d", i, k)}
				if se := c.add(o, Meta{Modality: "CT", SOPClass: ctClass}); se != nil {
					se.head = bytes.Clone(head)
				}
			}
		}
	}
	return c
}

// The catalogue costs what its comment says, and a question over the most studies
// that it holds is answered in a moment (P9).
func TestCatalogueIsSmallAndFast(t *testing.T) {
	header := synthetic(t, 1, synth.Small)[0].header(t)
	head, err := picked(header, query.Series).Append(nil, dataset.ExplicitVRLittleEndian)
	if err != nil || len(head) < 300 {
		t.Fatal(len(head), err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	c := filled(t, head, maxHeldStudies, 5)
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (after.HeapAlloc - before.HeapAlloc) / maxHeldStudies
	var keys dataset.Set
	keys.Set(query.QueryRetrieveLevel, "CS", "STUDY")
	keys.Set(query.PatientName, "PN", "*nobody*")
	keys.Set(query.StudyInstanceUID, "UI")
	f, err := query.ParseFind(query.StudyRoot, keys)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	n := 0
	err = (&queries{catalogue: c}).entities(t.Context(), nil, f, func(e dataset.Set) error {
		n++
		if f.Matches(e) {
			t.Error("somebody is nobody")
		}
		return nil
	})
	t.Logf("a study with 4 series (header %d bytes) and 20 objects: %d bytes; a query over %d studies: %s", len(head), each, n, time.Since(began))
	if err != nil || n != maxHeldStudies || each > 10<<10 {
		t.Errorf("%d studies seen, %v; %d bytes a study", n, err, each)
	}
}

// What is gone is offered no longer, and with its last object a series and a study go.
func TestCatalogueForgetsWithTheSpool(t *testing.T) {
	c := filled(t, nil, 2, 1)
	uid := c.list(nil, false)[0].uid
	for seq := uint64(5); seq <= 8; seq++ {
		if !c.knows(uid, seq) {
			t.Fatalf("%d is not known", seq)
		}
		if got := len(c.list([]string{uid}, true)[0].series); got != int(9-seq) {
			t.Errorf("%d series", got)
		}
		c.drop(uid, seq)
		c.drop(uid, seq) // twice is once
	}
	if len(c.list(nil, true)) != 1 || c.held != 4 {
		t.Errorf("%d studies, %d objects", len(c.list(nil, true)), c.held)
	}
	c.keep(map[uint64]struct{}{1: {}})
	if left := c.list(nil, true); len(left) != 1 || left[0].series[0].held[0].seq != 1 || c.held != 1 {
		t.Errorf("%+v", left)
	}
}

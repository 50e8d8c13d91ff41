package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"edged/dimse/dataset"
	"edged/dimse/query"
	"edged/internal/dicom"
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
					c.setHead(se, bytes.Clone(head), seq)
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
	const studies = maxHeldStudies / 5 // cost and time grow with them
	c := filled(t, head, studies, 5)
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (after.HeapAlloc - before.HeapAlloc) / studies
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
	if err != nil || n != studies || each > 10<<10 {
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

// A device that gives every image a series of its own, and every series the largest
// head, bounds nobody's memory or time but its own study's: no more than maxStudySeries
// are held, and whoever retrieves the study is told that it is not whole (P9).
func TestCatalogueOfAHostileDeviceStaysBoundedInBytesAndTime(t *testing.T) {
	var said bytes.Buffer
	c := newCatalogue(newKeeper(spool.Config{}, slog.New(slog.NewTextHandler(&said, nil)), func() {}))
	var h dataset.Set
	h.Set(query.PatientName, "PN", "X")
	for tag := dataset.Tag(0x00091000); len(h) < maxHead/521; tag++ {
		h.Set(tag, "LO", strings.Repeat("x", 512))
	}
	head, err := h.Append(nil, dataset.ExplicitVRLittleEndian)
	if err != nil || len(head) > maxHead || len(head) < maxHead-2048 {
		t.Fatal(len(head), err)
	}
	began := time.Now()
	store := func(seq int, study string) {
		if se := c.add(spool.Object{Seq: uint64(seq), Group: study, Part: fmt.Sprint("2.25.1.", seq)}, Meta{Modality: fmt.Sprint(seq), SOPClass: fmt.Sprint("1.2.", seq)}); se != nil {
			c.setHead(se, head, uint64(seq))
		}
	}
	for seq := 1; seq <= 100; seq++ {
		store(seq, "1.1")
	}
	for seq := 101; seq <= 20_100; seq++ {
		store(seq, "1.2")
	}
	checkBytes(t, c)
	if st := c.studies["1.2"]; st == nil || len(st.series) != maxStudySeries || strings.Count(said.String(), "not offered whole") != 1 {
		t.Errorf("%+v\n%s", len(st.series), &said)
	}
	var keys dataset.Set
	keys.Set(query.QueryRetrieveLevel, "CS", "SERIES")
	keys.Set(query.StudyInstanceUID, "UI", "1.2")
	f, err := query.ParseFind(query.StudyRoot, keys)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := (&queries{catalogue: c}).entities(t.Context(), nil, f, func(dataset.Set) error { n++; return nil }); err != nil || n != maxStudySeries {
		t.Errorf("%d series, %v", n, err)
	}
	if _, err := (&queries{catalogue: c}).instances(t.Context(), nil, query.Retrieve{Level: query.Study, Studies: []string{"1.2"}}); !errors.Is(err, errBeyond) {
		t.Errorf("a part is given as the whole: %v", err)
	}
	took := time.Since(began)
	t.Logf("20,000 series stored and one query: %s", took)
	if took > 10*time.Second { // quadratic: minutes
		t.Errorf("it took %s", took)
	}
	for seq := 20_101; seq <= 22_200; seq++ { // the next study pushes the oldest out
		store(seq, "1.3")
	}
	if checkBytes(t, c); c.studies["1.1"] != nil || c.studies["1.2"] != nil || c.studies["1.3"] == nil {
		t.Errorf("%d studies are held", len(c.studies))
	}
	c.keep(nil)
	if c.bytes != 0 || c.held != 0 {
		t.Errorf("of nothing %d bytes and %d objects are left", c.bytes, c.held)
	}
}

// checkBytes counts again what the catalogue has counted.
func checkBytes(t *testing.T, c *catalogue) {
	t.Helper()
	n := 0
	for _, st := range c.studies {
		for _, se := range st.series {
			n += seriesCost + len(se.head)
		}
	}
	if n != c.bytes || n > maxHeldBytes {
		t.Errorf("%d bytes are held, %d are counted, %d are allowed", n, c.bytes, maxHeldBytes)
	}
}

// One study alone does not go beyond the objects that are held either (P9).
func TestCatalogueBoundsTheObjectsOfASingleStudy(t *testing.T) {
	c := newCatalogue(nil)
	for seq := uint64(1); seq <= maxHeld+10; seq++ {
		c.add(spool.Object{Seq: seq, Group: "1.1", Part: "1"}, Meta{Modality: "CT"})
	}
	st := c.list([]string{"1.1"}, false)[0]
	if c.held != maxHeld || st.series[0].objects != maxHeld || !st.leavesOut(query.Retrieve{Level: query.Series, Series: []string{"1"}}) {
		t.Errorf("%d objects are held", c.held)
	}
}

// shelf is a spool of the tests' own and a catalogue of it that nobody runs.
type shelf struct {
	t *testing.T
	*spool.Spool
	dir string
	c   *catalogue
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	dir := t.TempDir()
	s, err := spool.Open(t.Context(), spool.Config{Dir: dir, AllowUnsafeFilesystem: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	k := newKeeper(spool.Config{}, slog.New(slog.DiscardHandler), func() {})
	k.set(s, nil)
	return &shelf{t, s, dir, newCatalogue(k)}
}

// put stores an object as the door does.
func (s *shelf) put(o object, alter func(*spool.New)) spool.Object {
	s.t.Helper()
	d := &door{roster: newRoster(Dicom{AcceptUnknown: true}, time.Now, func() {})}
	n, _, _ := d.describe(o.names, caller{calling: "CT1"}, bufio.NewReaderSize(bytes.NewReader(o.data), dicom.HeaderWindow))
	if alter != nil {
		alter(&n)
	}
	w, err := s.Create(n)
	if err != nil {
		s.t.Fatal(err)
	}
	w.Write(o.data)
	stored, _, err := w.Commit(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return stored
}

// offered are the objects that the catalogue has after a look at everything, true
// for those that others may have.
func (s *shelf) offered() map[spool.ID]bool {
	s.t.Helper()
	s.c.scan(s.t.Context(), s.Spool)
	out := make(map[spool.ID]bool)
	for _, st := range s.c.list(nil, true) {
		for _, se := range st.series {
			for _, h := range se.held {
				r, err := (&queries{catalogue: s.c}).opener(h.id)(s.t.Context())
				if out[h.id] = err == nil; err == nil {
					r.Close()
				}
			}
		}
	}
	return out
}

// rot changes a byte of an object's pixels on the disk.
func (s *shelf) rot(o spool.Object) {
	s.t.Helper()
	name := filepath.Join(s.dir, "objects", fmt.Sprintf("%013x", o.Seq>>12), fmt.Sprintf("%016x.obj", o.Seq))
	b, err := os.ReadFile(name)
	ok(s.t, err)
	b[len(b)-300] ^= 1 // a pixel: behind it stands the seal of 128 bytes
	ok(s.t, os.WriteFile(name, b, 0o600))
}

// retrieve is what a C-MOVE or C-GET of a study sends, and what fails.
func (s *shelf) retrieve(study string) (given, failed []string) {
	s.t.Helper()
	q := &queries{catalogue: s.c}
	all, err := q.instances(s.t.Context(), s.Spool, query.Retrieve{Level: query.Study, Studies: []string{study}})
	ok(s.t, err)
	for _, i := range all {
		if r, err := i.Open(s.t.Context()); err != nil {
			failed = append(failed, i.SOPInstanceUID)
		} else {
			given = append(given, i.SOPInstanceUID)
			r.Close()
		}
	}
	return given, failed
}

// An image that has become damaged, or was quarantined, fails by its name, before
// and after a look at everything and after a restart: who asked for the study never
// hears that a part of it is the whole (P14). What was forgotten is no longer of it.
// C-FIND goes on to count what is here, and tells only the names of what it may not read.
func TestAStudyIsNeverGivenInPartAsAWhole(t *testing.T) {
	s := newShelf(t)
	var stored []spool.Object
	var names []string
	for _, o := range plainOf(synthetic(t, 21, synth.Bench(4, 64<<10))) {
		stored, names = append(stored, s.put(o, nil)), append(names, o.names.SOPInstance)
	}
	study := stored[0].Group
	s.offered()
	for _, o := range stored {
		known := []spool.Receipt{{ID: o.ID, Length: o.Length}}
		ok(t, errors.Join(s.AtHub(t.Context(), known), s.Archived(t.Context(), known)))
	}
	s.rot(stored[1])
	if err := s.Verify(t.Context(), stored[1].ID); !errors.Is(err, spool.ErrCorrupt) {
		t.Fatal(err)
	}
	s.mustFail(study, names, names[1])
	s.offered()
	s.mustFail(study, names, names[1])
	s.c.reset(s.Spool) // as a restart does
	s.offered()
	s.mustFail(study, names, names[1])
	if e, err := s.c.list([]string{study}, false)[0].entity(); err != nil || e.Text(query.InstancesOfStudy) != "4" || e.Text(query.PatientName) == "" {
		t.Errorf("%v, %v", e, err)
	}
	head, there := imageHead(s.Spool, stored[1].ID)
	if !there || len(head) != 4 || head.UID(query.SOPInstanceUID) != names[1] || image(head, nil).Text(query.Availability) != "UNAVAILABLE" {
		t.Errorf("of the damaged image is told %v", head)
	}
	if err := s.Discard(t.Context(), spool.Discard{ID: stored[1].ID, By: "test", Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	s.mustFail(study, append(names[:1:1], names[2:]...))
}

func (s *shelf) mustFail(study string, names []string, bad ...string) {
	s.t.Helper()
	given, failed := s.retrieve(study)
	if !slices.Equal(failed, bad) || len(given) != len(names)-len(bad) {
		s.t.Errorf("given %d, failed %v; want %d and %v", len(given), failed, len(names)-len(bad), bad)
	}
}

// The header of a series is that of an object that may be given: when its own proves
// damaged, another's takes its place.
func TestHeaderOfASeriesIsNeverADamagedOnes(t *testing.T) {
	s := newShelf(t)
	var stored []spool.Object
	for _, o := range plainOf(synthetic(t, 21, synth.Bench(2, 64<<10))) {
		stored = append(stored, s.put(o, nil))
	}
	s.offered()
	from := func() uint64 { return s.c.studies[stored[0].Group].series[0].from }
	if from() != stored[1].Seq {
		t.Fatal("not of the newest")
	}
	s.rot(stored[1])
	if err := s.Verify(t.Context(), stored[1].ID); !errors.Is(err, spool.ErrCorrupt) {
		t.Fatal(err)
	}
	s.c.take(s.Spool, spool.Event{Seq: stored[1].Seq, ID: stored[1].ID, Group: stored[1].Group, State: spool.Quarantined})
	if from() != stored[0].Seq {
		t.Error("the header of a damaged object is told")
	}
}

// What must not be handed out is not offered: tests, what is quarantined, the later
// of two contents under one UID (P5), also when the first has gone, and what names
// no study. A look at everything finds out what no event has told.
func TestCatalogueOffersOnlyWhatMayLeave(t *testing.T) {
	s := newShelf(t)
	all := plainOf(synthetic(t, 21, synth.Small))
	good := s.put(all[0], nil)
	test := s.put(all[1], func(n *spool.New) { n.Test = true })
	later := s.put(object{all[0].names, append(bytes.Clone(all[0].data), 0, 0)}, nil)
	nameless := s.put(noise(t, 4096), nil)
	set := s.put(all[2], nil)
	if got := s.offered(); !got[good.ID] || !got[set.ID] || got[test.ID] || got[later.ID] || got[nameless.ID] {
		t.Errorf("offered %v", got)
	}
	if err := s.Quarantine(t.Context(), set.ID, "test"); err != nil {
		t.Fatal(err)
	}
	if err := s.Discard(t.Context(), spool.Discard{ID: good.ID, By: "test", Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	if got := s.offered(); len(got) != 1 || got[set.ID] {
		t.Errorf("offered afterwards: %v", got)
	}
}

// A damaged object is never given as a whole: the reader ends with an error (P14).
func TestNothingDamagedIsHandedOut(t *testing.T) {
	s := newShelf(t)
	o := plainOf(synthetic(t, 22, synth.Small))[0]
	stored := s.put(o, nil)
	s.rot(stored)
	r, err := (&queries{catalogue: s.c}).opener(stored.ID)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if !errors.Is(err, spool.ErrCorrupt) || len(got) >= len(o.data) {
		t.Errorf("%d of %d bytes, %v", len(got), len(o.data), err)
	}
	if got := s.offered(); got[stored.ID] {
		t.Error("it is offered again")
	}
}

// A header that cannot be read gives a study without a person, and the next object
// of its series is tried.
func TestCatalogueLivesWithHeadersThatCannotBeRead(t *testing.T) {
	s := newShelf(t)
	o := plainOf(synthetic(t, 23, synth.Small))[0]
	bad := noise(t, 2048)
	s.put(bad, func(n *spool.New) {
		n.Group, n.Part = o.header(t).UID(query.StudyInstanceUID), o.header(t).UID(query.SeriesInstanceUID)
	})
	s.offered()
	e, err := s.c.list(nil, false)[0].entity()
	if err != nil || e.Text(query.PatientName) != "" || e.Text(query.InstancesOfStudy) != "1" {
		t.Errorf("%v, %v", e, err)
	}
	good := s.put(o, nil)
	s.c.take(s.Spool, spool.Event{Seq: good.Seq, ID: good.ID, Group: good.Group, State: spool.Received})
	e, err = s.c.list(nil, false)[0].entity()
	if err != nil || e.Text(query.PatientName) != o.header(t).Text(query.PatientName) || e.Text(query.InstancesOfStudy) != "2" {
		t.Errorf("%v, %v", e, err)
	}
}

// Whatever was stored, wrong in its own way, a query over it has an answer that can
// be read.
func TestQueriesOverHostileFilesAreAnswered(t *testing.T) {
	s := newShelf(t)
	files, _ := filepath.Glob("../../testdata/hostile/*.dcm")
	if root := os.Getenv("EDGED_DICOM_FILES"); root != "" {
		for _, folder := range []string{"fuzz", "malformed"} {
			more, _ := filepath.Glob(filepath.Join(root, folder, "*"))
			files = append(files, more...)
		}
	}
	stored := 0
	for _, name := range files {
		f, err := dicom.OpenFile(name)
		if err != nil {
			continue
		}
		data, err := io.ReadAll(f)
		f.Close()
		if err != nil || f.Names.Check() != nil {
			continue
		}
		s.put(object{f.Names, data}, func(n *spool.New) { n.Group, n.Part, n.Quiet = "1.2.3", "1.2.3.1", time.Hour })
		stored++
	}
	if stored < 15 {
		t.Fatalf("only %d files", stored)
	}
	if got := s.offered(); len(got) < stored-5 { // some have one UID and different contents
		t.Fatalf("%d offered of %d", len(got), stored)
	}
	q := &queries{catalogue: s.c}
	var every []dataset.Tag
	for l := query.Patient; l <= query.Image; l++ {
		every = append(every, query.Attributes(l)...)
	}
	for l := query.Patient; l <= query.Image; l++ {
		var keys dataset.Set
		for _, tag := range every {
			keys.Set(tag, dataset.VR(tag))
		}
		keys.Set(query.QueryRetrieveLevel, "CS", l.String())
		keys.Set(query.PatientID, "LO", map[bool]string{true: "X"}[l > query.Patient])
		if l > query.Study {
			keys.Set(query.StudyInstanceUID, "UI", "1.2.3")
			keys.Set(query.SeriesInstanceUID, "UI", map[bool]string{true: "1.2.3.1"}[l == query.Image])
		}
		f, err := query.ParseFind(query.PatientRoot, keys)
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		err = q.entities(t.Context(), s.Spool, f, func(e dataset.Set) error {
			seen++
			f.Matches(e)
			for _, ts := range []string{dicom.ImplicitVRLittleEndian, dicom.ExplicitVRLittleEndian, dicom.ExplicitVRBigEndian} {
				b, err := f.Response(e, "EDGED").Append(nil, ts)
				if err != nil {
					return err
				}
				if _, err := dataset.Parse(b, ts); err != nil {
					return fmt.Errorf("%s: %w", ts, err)
				}
			}
			return nil
		})
		if err != nil || seen == 0 && l != query.Patient {
			t.Errorf("level %v: %d seen, %v", l, seen, err)
		}
	}
}

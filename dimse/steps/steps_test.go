package steps

import (
	"bytes"
	"cmp"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edged/dimse"
	"edged/dimse/dataset"
)

// shelf is a Store in memory.
type shelf struct {
	mu   sync.Mutex
	kept map[string][]byte
	fail error
}

func (s *shelf) Put(_ context.Context, uid string, packed []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail == nil {
		s.kept[uid] = packed
	}
	return s.fail
}

func (s *shelf) Drop(_ context.Context, uid string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail == nil {
		delete(s.kept, uid)
	}
	return s.fail
}

func (s *shelf) All(context.Context) (all [][]byte, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.kept {
		all = append(all, b)
	}
	return all, nil
}

// ward is an engine behind a real server, and a modality with an association.
type ward struct {
	*dimse.Client
	engine *Engine
	store  *shelf

	mu     sync.Mutex
	begun  int // summaries of steps in progress
	finals []Summary
}

func (w *ward) changed(f Summary) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !f.Ended():
		w.begun++
	case f.Study != "":
		w.finals = append(w.finals, f)
	}
}

func (w *ward) inProgress() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.begun
}

func (w *ward) heard() []Summary {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Summary(nil), w.finals...)
}

type storesNothing struct{}

func (storesNothing) Echo(context.Context, *dimse.Association) dimse.Status {
	return dimse.StatusSuccess
}
func (storesNothing) Store(context.Context, *dimse.Association, dimse.StoreRequest, io.Reader) dimse.Status {
	return dimse.StatusSOPClassNotSupported
}

func newWard(t *testing.T, cfg Config) *ward {
	t.Helper()
	w := &ward{store: &shelf{kept: map[string][]byte{}}}
	if cfg.Store == nil {
		cfg.Store = w.store
	}
	cfg.Changed = w.changed
	var err error
	if w.engine, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	if err := w.engine.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := dimse.NewServer(dimse.ServerConfig{Handler: storesNothing{}, Steps: w.engine, ImplementationClassUID: "2.25.1", ImplementationVersion: "TEST"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-ended })
	w.Client, err = dimse.Dial(t.Context(), dimse.ClientConfig{
		Address: l.Addr().String(), Called: "EDGED", Calling: "CT1", ImplementationClassUID: "2.25.2", ImplementationVersion: "CT",
		Contexts: []dimse.Proposal{{AbstractSyntax: dimse.PerformedProcedureStep, TransferSyntaxes: []string{dimse.ImplicitVRLE}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Abort)
	return w
}

func (w *ward) create(t *testing.T, uid string, s dataset.Set) dimse.Response {
	t.Helper()
	rsp, err := w.CreateStep(t.Context(), uid, encoded(t, s))
	if err != nil {
		t.Fatal(err)
	}
	return rsp
}

func (w *ward) set(t *testing.T, uid string, s dataset.Set) dimse.Response {
	t.Helper()
	rsp, err := w.SetStep(t.Context(), uid, encoded(t, s))
	if err != nil {
		t.Fatal(err)
	}
	return rsp
}

func encoded(t *testing.T, s dataset.Set) dimse.DataSet {
	t.Helper()
	b, err := s.Append(nil, dimse.ExplicitVRLE)
	if err != nil {
		t.Fatal(err)
	}
	return dimse.DataSet{TransferSyntaxUID: dimse.ExplicitVRLE, Bytes: b}
}

// begun is an N-CREATE of a step of some studies.
func begun(studies ...string) (s dataset.Set) {
	s.Set(tagStatus, "CS", InProgress)
	s.Set(0x00090010, "LO", "SOMEBODY")
	s.Set(0x00091001, "LO", "private")
	var scheduled []dataset.Set
	for _, uid := range studies {
		var item dataset.Set
		item.Set(tagStudy, "UI", uid)
		scheduled = append(scheduled, item)
	}
	s.SetItems(tagScheduled, scheduled)
	return s
}

// done is an N-SET of a step that has made instances 0 to n-1 in two series, some
// of them no images, one of them in both.
func done(status string, n int) (s dataset.Set) {
	s.Set(tagStatus, "CS", status)
	var images, others []dataset.Set
	for i := range n {
		var item dataset.Set
		item.Set(tagReferencedInstance, "UI", fmt.Sprintf("2.25.4711.%d", i))
		if images = append(images, item); i%10 == 0 {
			others = append(others, item)
		}
	}
	var one, two dataset.Set
	one.Set(tagSeries, "UI", "2.25.4712.1")
	two.Set(tagSeries, "UI", "2.25.4712.2")
	one.SetItems(tagReferencedImages, images[:n/2])
	two.SetItems(tagReferencedImages, images[n/2:])
	two.SetItems(tagNonImages, others)
	s.SetItems(tagPerformedSeries, []dataset.Set{one, two})
	return s
}

// made is what done says of its series.
func made(n int) []Made {
	return []Made{{"2.25.4712.1", n / 2}, {"2.25.4712.2", n - n/2}}
}

func statusOnly(status string) (s dataset.Set) {
	s.Set(tagStatus, "CS", status)
	return s
}

// A step begins, is changed and ends; what it has made of the study is told, once,
// and once more after a restart; what nobody knows is kept.
func TestStepIsCountedWhenItEnds(t *testing.T) {
	w := newWard(t, Config{})
	if rsp := w.create(t, "2.25.5", begun("2.25.99")); rsp.Status != dimse.StatusSuccess || rsp.InstanceUID != "2.25.5" {
		t.Fatal(rsp)
	}
	if rsp := w.set(t, "2.25.5", done(InProgress, 10)); rsp.Status != dimse.StatusSuccess || len(w.heard()) != 0 || w.inProgress() != 2 {
		t.Fatal(rsp, w.heard(), w.inProgress())
	}
	if rsp := w.set(t, "2.25.5", done(Completed, 100)); rsp.Status != dimse.StatusSuccess {
		t.Fatal(rsp)
	}
	want := []Summary{{"2.25.5", "CT1", "2.25.99", 100, Completed, made(100)}}
	if got := w.heard(); !reflect.DeepEqual(got, want) {
		t.Errorf("told %+v", got)
	}
	s, err := Parse(w.store.kept["2.25.5"])
	if err != nil || s.Attributes.Text(0x00091001) != "private" || s.Calling != "CT1" {
		t.Errorf("kept %+v, %v", s, err)
	}
	again := newWard(t, Config{Store: w.store})
	if got := again.heard(); !reflect.DeepEqual(got, want) {
		t.Errorf("told %+v after a restart", got)
	}
	if rsp := again.set(t, "2.25.5", done(Completed, 1)); rsp.Status != dimse.StatusProcessingFailure || rsp.ErrorID != 0xA710 {
		t.Errorf("an ended step: %+v", rsp)
	}
}

// A step without a name gets one; a step of several studies counts for none; a
// discontinued one may have made nothing.
func TestOddSteps(t *testing.T) {
	w := newWard(t, Config{})
	rsp := w.create(t, "", begun("2.25.99"))
	if rsp.Status != dimse.StatusSuccess || !strings.HasPrefix(rsp.InstanceUID, "2.25.") || len(rsp.InstanceUID) > 64 {
		t.Fatal(rsp)
	}
	if rsp := w.set(t, rsp.InstanceUID, statusOnly(Discontinued)); rsp.Status != dimse.StatusSuccess {
		t.Error(rsp)
	}
	w.create(t, "2.25.6", begun("2.25.1", "2.25.2"))
	w.create(t, "2.25.7", begun("2.25.1", "2.25.1"))
	w.set(t, "2.25.6", done(Completed, 2))
	w.set(t, "2.25.7", done(Completed, 3))
	got := w.heard()
	if len(got) != 2 || got[0].Status != Discontinued || got[0].Instances != 0 || got[1].Study != "2.25.1" || got[1].Instances != 3 {
		t.Errorf("told %+v", got)
	}
}

// The rules of PS3.4 §F.7.2, each with its status; nothing is kept of what is
// refused.
func TestRules(t *testing.T) {
	w := newWard(t, Config{})
	if rsp := w.create(t, "2.25.5", begun("2.25.99")); rsp.Status != dimse.StatusSuccess {
		t.Fatal(rsp)
	}
	before := string(w.store.kept["2.25.5"])
	empty := statusOnly(Completed)
	empty.SetItems(tagPerformedSeries, []dataset.Set{})
	for name, c := range map[string]struct {
		got  dimse.Response
		want dimse.Status
	}{
		"created twice":            {w.create(t, "2.25.5", begun("2.25.99")), dimse.StatusDuplicateInstance},
		"created completed":        {w.create(t, "2.25.6", statusOnly(Completed)), dimse.StatusInvalidValue},
		"created without status":   {w.create(t, "2.25.6", dataset.Set{}), dimse.StatusMissingAttribute},
		"created with none":        {w.create(t, "2.25.6", statusOnly("")), dimse.StatusMissingValue},
		"set unknown":              {w.set(t, "2.25.7", done(Completed, 1)), dimse.StatusNoSuchInstance},
		"set to what is no status": {w.set(t, "2.25.5", statusOnly("FINISHED")), dimse.StatusInvalidValue},
		"set to no status":         {w.set(t, "2.25.5", statusOnly("")), dimse.StatusMissingValue},
		"completed without series": {w.set(t, "2.25.5", statusOnly(Completed)), dimse.StatusMissingAttribute},
		"completed with none":      {w.set(t, "2.25.5", empty), dimse.StatusMissingValue},
	} {
		if c.got.Status != c.want {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
	if len(w.store.kept) != 1 || string(w.store.kept["2.25.5"]) != before || len(w.heard()) != 0 {
		t.Errorf("%d kept, told %+v", len(w.store.kept), w.heard())
	}
}

// What is not durable is not answered with success, and not remembered; a full
// store is a transient refusal.
func TestNothingWithoutTheStore(t *testing.T) {
	w := newWard(t, Config{})
	for _, c := range []struct {
		fail error
		want dimse.Status
	}{{ErrFull, dimse.StatusResourceLimitation}, {errors.New("broken"), dimse.StatusProcessingFailure}, {nil, dimse.StatusSuccess}} {
		w.store.fail = c.fail
		if rsp := w.create(t, "2.25.5", begun("2.25.99")); rsp.Status != c.want {
			t.Errorf("create with %v: %v", c.fail, rsp)
		}
	}
	for _, c := range []struct {
		fail error
		want dimse.Status
	}{{errors.New("broken"), dimse.StatusProcessingFailure}, {nil, dimse.StatusSuccess}} {
		w.store.fail = c.fail
		if rsp := w.set(t, "2.25.5", done(Completed, 1)); rsp.Status != c.want {
			t.Errorf("set with %v: %v", c.fail, rsp)
		}
	}
	if len(w.heard()) != 1 {
		t.Errorf("told %+v", w.heard())
	}
}

// Steps are bounded by number, bytes and age: ended ones give way, the oldest
// first; steps in progress do not, until they are too old.
func TestStepsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{kept: map[string][]byte{}}
		e, err := New(Config{Store: s, MaxSteps: 3, MaxAge: 48 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		create := func(uid string) dimse.Status {
			time.Sleep(time.Minute)
			return e.create(t.Context(), "CT1", uid, encoded(t, begun("2.25.99"))).Status
		}
		end := func(uid string) {
			if a := e.set(t.Context(), uid, encoded(t, done(Completed, 1))); a.Status != dimse.StatusSuccess {
				t.Error(a)
			}
		}
		want := func(uids ...string) {
			t.Helper()
			if len(s.kept) != len(uids) || len(e.steps) != len(uids) {
				t.Errorf("%d kept, %d remembered, want %v", len(s.kept), len(e.steps), uids)
			}
			for _, uid := range uids {
				if s.kept[uid] == nil || e.steps[uid] == nil {
					t.Errorf("%s is gone", uid)
				}
			}
		}
		create("1")
		create("2")
		create("3")
		end("3")
		end("2")
		if st := create("4"); st != dimse.StatusSuccess { // 2 is the oldest that has ended
			t.Error(st)
		}
		want("1", "3", "4")
		create("5")
		want("1", "4", "5")
		if st := create("6"); st != dimse.StatusResourceLimitation {
			t.Error(st)
		}
		time.Sleep(30 * time.Hour)
		if st := create("7"); st != dimse.StatusResourceLimitation {
			t.Error(st)
		}
		if e, err = New(Config{Store: s, MaxSteps: 3, MaxAge: 48 * time.Hour}); err != nil || e.Load(t.Context()) != nil {
			t.Fatal("restart")
		}
		time.Sleep(20 * time.Hour) // 50 in all
		if st := create("8"); st != dimse.StatusSuccess {
			t.Error(st)
		}
		want("8")
	})
}

// A step of ten thousand images is kept in less than 256 KiB.
func TestStepIsSmall(t *testing.T) {
	attributes, wrong := change(begun("2.25.99"), done(Completed, 10_000))
	if wrong != nil {
		t.Fatal(wrong)
	}
	s := Step{UID: "2.25.5", Calling: "CT1", Attributes: attributes, Age: time.Hour}
	packed, err := s.Append(nil)
	if err != nil || len(packed) > 256<<10 {
		t.Fatalf("%d bytes, %v", len(packed), err)
	}
	t.Logf("10,000 images: %d bytes", len(packed))
	got, err := Parse(packed)
	if err != nil || !got.Attributes.Equal(s.Attributes) || got.Age != s.Age || got.Summary().Instances != 10_000 {
		t.Errorf("came back altered: %v", err)
	}
}

// FuzzAttributes: whatever attribute list comes, the engine answers, and what it
// has kept it can read again.
func FuzzAttributes(f *testing.F) {
	for _, s := range []dataset.Set{begun("2.25.99"), done(Completed, 3), statusOnly(InProgress)} {
		b, err := s.Append(nil, dimse.ImplicitVRLE)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, b)
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		s := &shelf{kept: map[string][]byte{}}
		e, err := New(Config{Store: s})
		if err != nil || e.Load(t.Context()) != nil {
			t.Fatal("new")
		}
		made := e.create(t.Context(), "CT1", "2.25.5", dimse.DataSet{TransferSyntaxUID: dimse.ImplicitVRLE, Bytes: first})
		changed := e.set(t.Context(), "2.25.5", dimse.DataSet{TransferSyntaxUID: dimse.ImplicitVRLE, Bytes: second})
		if made.Status != dimse.StatusSuccess && changed.Status == dimse.StatusSuccess {
			t.Error("changed what is not there")
		}
		if again, err := New(Config{Store: s}); err != nil || again.Load(t.Context()) != nil {
			t.Error("what was kept cannot be read")
		}
	})
}

// FuzzParse: whatever a store gives back is refused or is a step.
func FuzzParse(f *testing.F) {
	s := Step{UID: "2.25.5", Calling: "CT1", Attributes: begun("2.25.99")}
	b, err := s.Append(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Parse(b)
		if err != nil {
			return
		}
		packed, err := got.Append(nil)
		if err != nil {
			return // what Parse takes in an odd syntax need not fit another
		}
		if again, err := Parse(packed); err != nil || again.UID != got.UID {
			t.Errorf("%+v became %+v, %v", got, again, err)
		}
	})
}

// private is n private elements from a group on, as many as anybody likes to send.
func private(group uint32, n int) (s dataset.Set) {
	for i := range n {
		g := group + 2*uint32(i/0xF000)
		s = append(s, dataset.Element{Tag: dataset.Tag(g<<16 | uint32(0x1000+i%0xF000)), VR: "US"})
	}
	return s
}

// A step that was answered with success can be read, now and after a restart,
// however many changes it is put together of; a change too many is refused, and the
// step goes on without it.
func TestStepThatWasTakenCanBeRead(t *testing.T) {
	w := newWard(t, Config{})
	if rsp := w.create(t, "2.25.5", append(begun("2.25.99"), private(0x0101, 30_000)...)); rsp.Status != dimse.StatusSuccess {
		t.Fatal(rsp)
	}
	if rsp := w.set(t, "2.25.5", private(0x0051, 30_000)); rsp.Status != dimse.StatusProcessingFailure {
		t.Errorf("60,000 elements: %v", rsp)
	}
	if rsp := w.create(t, "2.25.6", append(begun("2.25.99"), private(0x0101, maxElements)...)); rsp.Status != dimse.StatusProcessingFailure {
		t.Errorf("all at once: %v", rsp)
	}
	if rsp := w.set(t, "2.25.5", private(0x0051, 10_000)); rsp.Status != dimse.StatusSuccess {
		t.Errorf("40,000 elements: %v", rsp)
	}
	for uid, packed := range w.store.kept {
		if _, err := Parse(packed); err != nil {
			t.Errorf("%s: %v", uid, err)
		}
	}
	again := newWard(t, Config{Store: w.store})
	if rsp := again.set(t, "2.25.5", done(Completed, 100)); rsp.Status != dimse.StatusSuccess {
		t.Errorf("after a restart: %v", rsp)
	}
}

// TestUnreadableStepHarmsNoOther: what a store gives back damaged is left in it and
// refused by its name until it is too old; all other steps go on.
func TestUnreadableStepHarmsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{kept: map[string][]byte{"?": []byte("no step at all")}}
		for _, uid := range []string{"2.25.5", "2.25.6"} {
			step := Step{UID: uid, Calling: "CT1", Attributes: begun("2.25.99")}
			s.kept[uid], _ = step.Append(nil)
		}
		s.kept["2.25.5"] = cutAttributes(t, s.kept["2.25.5"])
		log := &strings.Builder{}
		e, err := New(Config{Store: s, MaxAge: 48 * time.Hour, Log: slog.New(slog.NewTextHandler(log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(log.String(), "cannot be read"); n != 2 || strings.Contains(log.String(), "2.25.") {
			t.Errorf("%d lines in\n%s", n, log)
		}
		if a := e.set(t.Context(), "2.25.5", encoded(t, statusOnly(Discontinued))); a.Status != dimse.StatusProcessingFailure {
			t.Errorf("N-SET of the damaged one: %v", a)
		}
		if a := e.create(t.Context(), "CT1", "2.25.5", encoded(t, begun("2.25.99"))); a.Status != dimse.StatusDuplicateInstance {
			t.Errorf("N-CREATE over it: %v", a)
		}
		if len(s.kept) != 3 {
			t.Errorf("%d kept, want all 3", len(s.kept))
		}
		if a := e.set(t.Context(), "2.25.6", encoded(t, done(Completed, 1))); a.Status != dimse.StatusSuccess {
			t.Errorf("N-SET of another: %v", a)
		}
		for day, want := range []int{4, 3} { // a day later it is as before; after two days it goes, and the other
			time.Sleep(25 * time.Hour)
			if a := e.create(t.Context(), "CT1", fmt.Sprint("2.25.7", day), encoded(t, begun("2.25.99"))); a.Status != dimse.StatusSuccess {
				t.Errorf("N-CREATE after %d days: %v", day+1, a)
			}
			if len(s.kept) != want {
				t.Errorf("%d kept after %d days, want %d", len(s.kept), day+1, want)
			}
		}
		if s.kept["?"] == nil {
			t.Error("what has no name was dropped")
		}
	})
}

// cutAttributes takes the last byte off the attributes of a packed step.
func cutAttributes(t *testing.T, packed []byte) []byte {
	p, err := io.ReadAll(flate.NewReader(bytes.NewReader(packed[1:])))
	if err != nil {
		t.Fatal(err)
	}
	out := bytes.NewBuffer([]byte{version1})
	w, _ := flate.NewWriter(out, flate.DefaultCompression)
	w.Write(p[:len(p)-1])
	w.Close()
	return out.Bytes()
}

// TestManyChangesAreCheap: a modality can choose how many attributes it changes,
// not how long all others wait: twice as many take about twice as long.
func TestManyChangesAreCheap(t *testing.T) {
	first, second := append(begun("2.25.99"), private(0x0101, 90_000)...), private(0x0051, 90_000)
	began := time.Now()
	after, wrong := change(first, second)
	took := time.Since(began)
	t.Logf("%d elements in %v", len(after), took)
	if wrong != nil || len(after) != len(first)+len(second) || took > 15*time.Second { // with all behind moved for each of them: minutes
		t.Errorf("%d elements in %v, %v", len(after), took, wrong)
	}
	if !slices.IsSortedFunc(after, func(x, y dataset.Element) int { return cmp.Compare(x.Tag, y.Tag) }) {
		t.Error("out of order")
	}
}

// TestChangeReplacesWholeTags: of doubles the last of the modifications counts; the
// character set stays as it began.
func TestChangeReplacesWholeTags(t *testing.T) {
	e := func(tag dataset.Tag, v string) dataset.Element {
		return dataset.Element{Tag: tag, VR: "LO", Value: []byte(v)}
	}
	before := dataset.Set{e(tagCharacterSet, "A "), e(0x00091001, "1 "), e(0x00091001, "2 "), e(0x00091005, "5 "), e(tagStatus, InProgress)}
	got, wrong := change(before, dataset.Set{e(tagCharacterSet, "B "), e(0x00091001, "3 "), e(0x00091001, "4 "), e(0x00091003, "6 ")})
	want := dataset.Set{e(tagCharacterSet, "A "), e(0x00091001, "4 "), e(0x00091003, "6 "), e(0x00091005, "5 "), e(tagStatus, InProgress)}
	if wrong != nil || !got.Equal(want) {
		t.Errorf("got %v, %v", got, wrong)
	}
}

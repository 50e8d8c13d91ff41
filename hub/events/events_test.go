package events

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"edged/hub"
	"edged/hub/ledger"
)

// What is told has every instance, by series, with where it is, and identifiers as they
// were sent.
func TestAStudyIsToldWithAllOfIt(t *testing.T) {
	r := newRig(t)
	a := r.receive("one", "1.2.3", 2, header())
	b := r.receive("one", "1.2.3", 1, header(map[uint32]string{0x00200013: "2", 0x00280008: ""}))
	c := r.receive("one", "1.2.3", 3, header(map[uint32]string{0x0020000E: "1.2.3.2", 0x00080060: "SR"}))
	d := r.receive("one", "1.2.3", 3, header(map[uint32]string{0x0020000E: "1.2.3.2", 0x00100020: "ID8"})) // other contents: held
	r.archive()
	r.say("one", "1.2.3", 1, 4)
	m := &memory{}
	r.run(r.config(m))
	e := m.wait(t, 1)[0]
	if e.Format != Format || e.Version != Version || e.Study != "1.2.3" || e.Kind != "complete" || e.Revision != 1 || e.Ledger == "" || len(e.At) != 24 {
		t.Errorf("head %+v", e.head)
	}
	if fmt.Sprint(e.Appliances) != "[{one  1 4 4}]" {
		t.Errorf("appliances %v", e.Appliances)
	}
	want := totals{Series: 2, Instances: 4, Bytes: a.Length + b.Length + c.Length + d.Length, States: map[string]int64{"archived": 3, "held": 1}}
	if fmt.Sprint(e.Totals) != fmt.Sprint(want) {
		t.Errorf("totals %v, want %v", e.Totals, want)
	}
	if len(e.Series) != 2 || e.Series[0].UID != "1.2.3.1" || e.Series[0].Instances != 2 || e.Series[1].Modality != "CT" || *e.Series[1].Attributes[0]["Modality"].Text != "SR" && *e.Series[1].Attributes[1]["Modality"].Text != "SR" {
		t.Errorf("series %+v", e.Series)
	}
	first := e.Series[0].Objects[0]
	if first.ID != b.ID.String() || first.SOPInstance != "1.2.3.9.1" || first.State != "archived" || first.ArchivedAt == "" || first.Number != "2" || first.Frames != nil || *first.Rows != 512 || fmt.Sprint(first.Destinations) != "[{vna done}]" {
		t.Errorf("first %+v", first)
	}
	if second := e.Series[0].Objects[1]; second.ID != a.ID.String() || *second.Frames != 12 {
		t.Errorf("second %+v", second)
	}
	held := e.Series[1].Objects[1]
	if held.ID != d.ID.String() || held.State != "held" || held.Held != "conflict" || *held.Identifiers == *e.Series[1].Objects[0].Identifiers || held.ArchivedAt != "" {
		t.Errorf("held %+v", held)
	}
	identified(t, e)
}

// identified looks at the first of two sets of identifiers.
func identified(t *testing.T, e event) {
	t.Helper()
	if len(e.Identifiers) != 2 || e.Identifiers[0].Instances != 3 || e.Identifiers[1].Instances != 1 {
		t.Fatalf("identifiers %+v", e.Identifiers)
	}
	at := e.Identifiers[0].Attributes
	if name := at["PatientName"]; name.Tag != "00100010" || name.VR != "PN" || *name.Text != "Rossi^Niccolò" || string(name.Raw) != "Rossi^Niccol\xf2 " {
		t.Errorf("name %+v %q", name, name.Raw)
	}
	if id := at["PatientID"]; *id.Text != "ID7" || id.Raw != nil {
		t.Errorf("ID %+v", id)
	}
	if issuer := at["IssuerOfPatientID"]; *issuer.Text != "ASL1" {
		t.Errorf("issuer %+v", issuer)
	}
	if other := at["OtherPatientIDsSequence"]; len(other.Items) != 1 || *other.Items[0]["PatientID"].Text != "RSSNCL" || *other.Items[0]["IssuerOfPatientID"].Text != "MEF" {
		t.Errorf("other IDs %+v", other)
	}
	if empty := at["ReferringPhysicianName"]; empty.Text == nil || *empty.Text != "" {
		t.Errorf("an empty value %+v", empty)
	}
	if id := e.Identifiers[1].Attributes["PatientID"]; *id.Text != "ID8" {
		t.Errorf("ID of the other %+v", id)
	}
}

// A late instance is told as a change, with all that was told before, though the hub's
// copies are gone by then.
func TestALateInstanceIsToldWithAllTheOthers(t *testing.T) {
	r := newRig(t)
	a := r.receive("one", "1.2.3", 1, header())
	r.archive()
	r.say("one", "1.2.3", 1, 1)
	m := &memory{}
	r.run(r.config(m))
	m.wait(t, 1)
	r.mu.Lock()
	delete(r.copies, a.ID)
	r.mu.Unlock()
	r.receive("one", "1.2.3", 2, header(map[uint32]string{0x00200013: "2"}))
	r.archive()
	r.say("one", "1.2.3", 2, 2)
	e := m.wait(t, 2)[1]
	if e.Kind != "changed" || e.Revision != 2 || e.Totals.Instances != 2 || e.Totals.States["archived"] != 2 || e.Totals.Problems != 0 || len(e.Series) != 1 || e.Series[0].Objects[0].Number != "1" {
		t.Errorf("%+v", e)
	}
	if r.opened != 2 {
		t.Errorf("%d headers were read of two", r.opened)
	}
}

// What cannot be read is listed with what the rows say.
func TestWhatCannotBeReadIsListed(t *testing.T) {
	r := newRig(t)
	gone := r.receive("one", "1.2.3", 1, header())
	delete(r.copies, gone.ID)
	r.receive("one", "1.2.3", 2, "this is no data set at all")
	cut := header()
	r.receive("one", "1.2.3", 3, cut[:len(cut)/2])
	r.archive()
	r.say("one", "1.2.3", 1, 3)
	m := &memory{}
	r.run(r.config(m))
	e := m.wait(t, 1)[0]
	if e.Totals.Instances != 3 || e.Totals.Problems != 3 || e.Totals.States["archived"] != 3 || e.Series[0].UID != "" || e.Series[0].Modality != "CT" {
		t.Fatalf("%+v", e)
	}
	for i, want := range []string{problemGone, problemUnreadable, problemPart} {
		if i < len(e.Series[0].Objects) && e.Series[0].Objects[i].Problem != want {
			t.Errorf("instance %d: %q, want %q", i, e.Series[0].Objects[i].Problem, want)
		}
	}
}

// Texts that are made to break JSON, or a terminal, or a character set come out as text
// where they are legible, and as bytes where not; in the end it is one JSON value.
func TestHostileTextsStayWhatTheyAre(t *testing.T) {
	r := newRig(t)
	hostile := map[uint32]string{
		0x00100010: "\"}],\x00\x1b[2J\\u0000</script>\xf0\x9f", 0x00100020: "\x1b$B$h$m", 0x00100021: strings.Repeat("]", 200), 0x00080050: "\xff\xfe\x00\x01",
		0x0020000E: "1.2\n\xff", 0x00200013: "\"0x1\"", 0x00280008: "99999999999999999999999", 0x00080005: "ISO 2022 IR 87\\",
	}
	o := r.instance("one", "1.2.3\"\xff", 1, header(hostile))
	o.Names.SOPInstance = "1.2\"\u2028\xff"
	h := o.Names.NewHash()
	h.Sum(o.ID[:0])
	r.copies[o.ID] = []byte(header(hostile))
	r.must(r.ledger.Receive(t.Context(), []hub.Object{o}))
	r.archive()
	r.say("one", o.Study, 1, 1)
	m := &memory{}
	r.run(r.config(m))
	e := m.wait(t, 1)[0]
	at := e.Identifiers[0].Attributes
	if name := at["PatientName"]; name.Text != nil || string(name.Raw) != strings.TrimSuffix(hostile[0x00100010], "")+pad(hostile[0x00100010]) {
		t.Errorf("name %q %v", name.Raw, name.Text)
	}
	if id := at["PatientID"]; id.Text != nil || string(id.Raw) != hostile[0x00100020]+pad(hostile[0x00100020]) {
		t.Errorf("ID %q %v", id.Raw, id.Text)
	}
	if i := e.Series[0].Objects[0]; i.Frames != nil || i.Number != `"0x1"` {
		t.Errorf("instance %+v", i)
	}
	if !bytes.HasSuffix(m.got[0], []byte("}\n")) || bytes.Count(m.got[0], []byte("\n")) != 1 {
		t.Errorf("not one line: %q", m.got[0])
	}
}

func pad(s string) string { return strings.Repeat(" ", len(s)%2) }

// A process may end between any two steps: whoever is told again is told the same
// bytes, and nothing is left out.
func TestWhateverEndsTheProcessTheSameIsToldAgain(t *testing.T) {
	r := newRig(t)
	a := r.receive("one", "1.2.3", 1, header())
	b := r.receive("one", "1.2.3", 1, header(map[uint32]string{0x00200013: "2"})) // held
	r.archive()
	r.say("one", "1.2.3", 1, 2)
	ctx := t.Context()
	m := &memory{}
	e := New(r.config(m))
	_, err := e.c.Ledger.MakeEvents(ctx, e.rules)
	r.must(err)
	lease := func(e *Events) *ledger.Delivery {
		r.must(e.c.Ledger.StartDeliveries(ctx)) // the process has begun again
		d, err := e.c.Ledger.LeaseDelivery(ctx, "memory", time.Hour)
		r.must(err)
		if d == nil {
			t.Fatal("the delivery is gone")
		}
		return d
	}
	lease(e) // ended here
	d := lease(e)
	_, err = e.body(ctx, d.Event) // and here
	r.must(err)
	r.must(r.ledger.Release(ctx, b.ID, "a tester")) // what would be told changes
	r.archive()
	delete(r.copies, a.ID)
	for range 2 { // told, and ended before that was recorded
		d = lease(e)
		body, err := e.body(ctx, d.Event)
		r.must(err)
		r.must(m.Send(ctx, Message{Event: d.Event, Packed: body}))
	}
	r.run(r.config(m))
	got := m.wait(t, 4) // again, and the change
	for n := range 3 {
		if !bytes.Equal(m.got[n], m.got[0]) || got[n].Revision != 1 || got[n].Totals.States["held"] != 1 {
			t.Errorf("time %d: %s", n, m.got[n])
		}
	}
	if got[3].Revision != 2 || got[3].Totals.States["archived"] != 2 {
		t.Errorf("the change: %s", m.got[3])
	}
}

// A node that was slow, and whose lease ran out, sends nothing when another one has
// delivered meanwhile: the body is gone then, and an empty one must not be told.
func TestWhatIsDeliveredIsNotToldAgainWithoutItsBody(t *testing.T) {
	r := newRig(t)
	r.receive("one", "1.2.3", 1, header())
	r.archive()
	r.say("one", "1.2.3", 1, 1)
	ctx := t.Context()
	m := &memory{}
	e := New(r.config(m))
	_, err := r.ledger.MakeEvents(ctx, e.rules)
	r.must(err)
	lease := func(ttl time.Duration) ledger.Delivery {
		d, err := r.ledger.LeaseDelivery(ctx, "memory", ttl)
		r.must(err)
		if d == nil {
			t.Fatal("there is nothing to deliver")
		}
		return *d
	}
	slow := lease(0) // it runs out at once
	e.deliver(ctx, m, lease(time.Minute))
	e.deliver(ctx, m, slow)
	if len(m.got) != 1 || len(m.got[0]) == 0 {
		t.Errorf("told %q", m.got)
	}
	if body, err := e.body(ctx, slow.Event); !errors.Is(err, errTold) {
		t.Errorf("its body is %q, %v", body, err)
	}
	if s, err := r.ledger.EventStats(ctx, []string{"memory"}); err != nil || s.Sinks["memory"] != (ledger.SinkStats{}) {
		t.Errorf("%+v, %v", s, err)
	}
}

// A sink that is away for long gets all of it when it comes back, each study in order;
// meanwhile it is not asked once an event.
func TestWhatWaitedForASinkArrivesInOrder(t *testing.T) {
	r := newRig(t)
	away, asked := true, 0
	m := &memory{}
	m.err = func(Message) error {
		asked++
		if away {
			return &Away{"not reached"}
		}
		return nil
	}
	c := r.config(m)
	c.Received = true
	r.run(c)
	for n := range 10 {
		for s := range 3 {
			study := fmt.Sprintf("1.2.%d", s)
			r.receive("one", study, 100*s+n, header(map[uint32]string{0x00200013: fmt.Sprint(n), 0x0020000D: study}))
			r.say("one", study, uint32(n+1), uint32(n+1))
		}
		m.until(t, func() bool {
			s, err := r.ledger.EventStats(t.Context(), []string{"memory"})
			return err == nil && s.Sinks["memory"].Waiting == int64(3*(n+1))
		})
	}
	m.mu.Lock()
	if asked > 400 {
		t.Errorf("asked %d times while it was away", asked)
	}
	away = false
	m.mu.Unlock()
	last := map[string]uint32{}
	for _, e := range m.wait(t, 30) {
		if e.Revision != last[e.Study]+1 {
			t.Errorf("%s: revision %d behind %d", e.Study, e.Revision, last[e.Study])
		}
		last[e.Study] = e.Revision
	}
}

// A study that a sink refuses, or cannot stand, delays no other.
func TestOneStudyBlocksNoOther(t *testing.T) {
	r := newRig(t)
	m := &memory{}
	m.err = func(msg Message) error {
		switch msg.Event.Study {
		case "1.2.0":
			return &Refused{"answered 422"}
		case "1.2.1":
			return errors.New("answered 500")
		}
		return nil
	}
	c := r.config(m)
	c.Received = true
	r.run(c)
	for s := range 6 {
		study := fmt.Sprintf("1.2.%d", s)
		r.receive("one", study, s, header())
		r.say("one", study, 1, 1)
	}
	m.wait(t, 4)
	m.until(t, func() bool { // outcomes are recorded behind
		s, err := r.ledger.EventStats(t.Context(), []string{"memory"})
		st := s.Sinks["memory"]
		return err == nil && st.Failed == 1 && st.Waiting == 1 && st.Words == "answered 500"
	})
	m.mu.Lock()
	m.err = nil
	m.mu.Unlock()
	if n, err := r.ledger.RetryDeliveries(t.Context(), "memory", "a tester"); err != nil || n != 1 {
		t.Errorf("%d retried, %v", n, err)
	}
	m.wait(t, 6)
}

// A sink may be away for longer than the hub's copies stay: what it is to be told is put
// together before, and nothing of it is missing when it comes back.
func TestWhatASinkIsToldIsKeptWhileItIsAway(t *testing.T) {
	r := newRig(t)
	a := r.receive("one", "1.2.3", 1, header())
	r.archive()
	r.say("one", "1.2.3", 1, 1)
	m := &memory{}
	away := true
	m.err = func(Message) error {
		if away {
			return &Away{"not reached"}
		}
		return nil
	}
	c := r.config() // its workers never come to it
	c.buildAge = time.Nanosecond
	c.Rules.Sinks = []string{"memory"}
	stop := r.run(c)
	m.until(t, func() bool {
		s, _ := r.ledger.EventStats(t.Context(), []string{"memory"}) // first: there is none before it is made
		list, err := r.ledger.UnbuiltEvents(t.Context(), 0, 10)
		return err == nil && len(list) == 0 && s.Sinks["memory"].Waiting == 1
	})
	stop()
	delete(r.copies, a.ID)
	away = false
	r.run(r.config(m))
	if e := m.wait(t, 1)[0]; e.Totals.Problems != 0 || len(e.Identifiers) != 1 {
		t.Errorf("%+v", e)
	}
}

// P10: no name and no identifier of a person is in the log, nor in what the ledger lists.
func TestNobodyIsNamedButToSinks(t *testing.T) {
	r := newRig(t)
	r.receive("one", "1.2.3", 1, header())
	r.archive()
	r.say("one", "1.2.3", 1, 1)
	m := &memory{}
	n := 0
	m.err = func(Message) error {
		if n++; n < 3 {
			return []error{&Away{"not reached"}, errors.New("answered 500")}[n-1]
		}
		return &Refused{"answered 422"}
	}
	stop := r.run(r.config(m))
	m.until(t, func() bool { return n == 3 })
	stop()
	failed, err := r.ledger.FailedDeliveries(t.Context(), 10)
	r.must(err)
	s, err := r.ledger.EventStats(t.Context(), []string{"memory"})
	r.must(err)
	for what, text := range map[string]string{"log": r.log.String(), "listing": fmt.Sprint(failed), "statistics": fmt.Sprint(s)} {
		for _, secret := range []string{"Rossi", "Niccol", "ID7", "RSSNCL", "ACC1"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q in the %s: %s", secret, what, text)
			}
		}
	}
	if len(failed) != 1 || !strings.Contains(r.log.String(), "refuses") || strings.Contains(r.log.String(), "1.2.3") {
		t.Errorf("failed %v, log %s", failed, r.log.String())
	}
}

// Two nodes on the same rows tell each event once.
func TestTwoNodesTellOnce(t *testing.T) {
	r := newRig(t)
	m := &memory{}
	c := r.config(m)
	c.Received = true
	other := c
	other.Ledger = r.openLedger("b")
	r.run(c)
	r.run(other)
	for s := range 30 {
		study := fmt.Sprintf("1.2.%d", s)
		r.receive("one", study, s, header())
		r.say("one", study, 1, 1)
	}
	m.wait(t, 30)
	seen := map[string]bool{}
	for _, e := range m.wait(t, 30) {
		if seen[e.Study] {
			t.Errorf("%s twice", e.Study)
		}
		seen[e.Study] = true
	}
}

package ledger

import (
	"crypto/sha256"
	"testing"
	"time"

	"edged/hub"
)

// enrolled makes a device of a facility.
func (w *world) enrolled(id, facility string) {
	w.Helper()
	code, key := sha256.Sum256([]byte("code "+id)), sha256.Sum256([]byte("key "+id))
	w.must(w.AddCode(w.ctx, code, facility, w.now.Add(time.Hour), "test"))
	_, err := w.Claim(w.ctx, code, key, id, "")
	w.must(err)
}

func routedObject(device string, n int, modality, calling string) hub.Object {
	o := object(device, n, modality+calling)
	o.Modality, o.Calling = modality, calling
	return o
}

// jobs are how many wait for each of these destinations.
func (w *world) jobs(names ...string) (out []int64) {
	w.Helper()
	s := w.stats()
	for _, n := range names {
		out = append(out, s.Backlog[n].Objects)
	}
	return out
}

func (w *world) done(destination string) {
	w.Helper()
	for _, j := range w.lease(destination, 99) {
		w.must(w.Done(w.ctx, j, ""))
	}
}

func TestAnObjectGoesWhereItsFacilityModalityAndTitleLeadIt(t *testing.T) {
	w := start(t, Config{
		Destinations: []Destination{{Name: "all", Required: true}, {Name: "asl1", Required: true}, {Name: "ct"}, {Name: "tc1"}},
		Routes: map[string]Route{"asl1": {Facilities: []string{"ASL1", "ASL7"}}, "ct": {Modalities: []string{"CT", "MR"}},
			"tc1": {Modalities: []string{"CT"}, AETitles: []string{"TC1"}}},
	})
	w.enrolled("a", "ASL1")
	w.enrolled("b", "ASL2")
	w.receive(routedObject("a", 1, "CT", "TC1"), routedObject("a", 2, "US", "TC1"), routedObject("b", 3, "MR", "TC1"),
		routedObject("b", 4, "CT", "TC2"), routedObject("nobody", 5, "", ""))
	w.want("jobs", w.jobs("all", "asl1", "ct", "tc1"), []int64{5, 2, 3, 1})
	j := w.lease("tc1", 9)
	w.want("the job says the modality", []any{len(j), j[0].Object.Modality}, []any{1, "CT"})
	w.want("nothing is unrouted", w.stats().Unrouted, int64(0))
}

// Archived: every required destination that it is for has it, and it is for one.
func TestArchivedWaitsForTheRequiredDestinationsThatAnObjectIsFor(t *testing.T) {
	w := start(t, Config{
		Destinations: []Destination{{Name: "ct", Required: true}, {Name: "mr", Required: true}, {Name: "copy"}},
		Routes:       map[string]Route{"ct": {Modalities: []string{"CT"}}, "mr": {Modalities: []string{"MR", "CT"}}},
	})
	w.receive(routedObject("a", 1, "CT", ""), routedObject("a", 2, "MR", ""), routedObject("a", 3, "US", ""))
	w.want("unrouted", w.stats().Unrouted, int64(1))
	w.done("copy")
	w.want("what no required one is for", w.stats().Archived, int64(0))
	w.done("mr")
	w.want("the MR", []any{w.stats().Archived, len(w.confirmed("a"))}, []any{int64(1), 1})
	w.done("ct")
	w.want("the CT", []any{w.stats().Archived, len(w.confirmed("a"))}, []any{int64(2), 2})
}

// The same object from two facilities has two archives, and is archived for nobody
// until both have it.
func TestASecondSenderMayLeadAnObjectElsewhere(t *testing.T) {
	w := start(t, Config{
		Destinations: []Destination{{Name: "one", Required: true}, {Name: "two", Required: true}},
		Routes:       map[string]Route{"one": {Facilities: []string{"ASL1"}}, "two": {Facilities: []string{"ASL2"}}},
	})
	w.enrolled("a", "ASL1")
	w.enrolled("b", "ASL2")
	w.receive(object("a", 1, "x"))
	w.done("one")
	w.want("archived for the first", w.stats().Archived, int64(1))
	w.receive(object("b", 1, "x"))
	w.want("not for the second", []any{w.stats().Archived, len(w.confirmed("b")), w.jobs("one", "two")}, []any{int64(0), 0, []int64{0, 1}})
	w.done("two")
	w.want("then for both", []any{w.stats().Archived, len(w.confirmed("b"))}, []any{int64(1), 1})
	w.receive(object("b", 1, "x"))
	w.want("a repeat changes nothing", []any{w.stats().Archived, w.jobs("one", "two")}, []any{int64(1), []int64{0, 0}})
}

func TestAChangeOfRoutesIsFollowed(t *testing.T) {
	config := place(t, Config{Destinations: []Destination{{Name: "ct", Required: true}, {Name: "mr", Required: true}}})
	config.Routes = map[string]Route{"ct": {Modalities: []string{"CT"}}, "mr": {Modalities: []string{"MR"}}}
	w := start(t, config)
	w.receive(routedObject("a", 1, "CT", ""), routedObject("a", 2, "MR", ""), routedObject("a", 3, "US", ""), routedObject("a", 4, "CT", ""))
	w.must(w.Done(w.ctx, w.lease("ct", 1)[0], ""))
	w.want("before", []any{w.jobs("ct", "mr"), w.stats().Unrouted}, []any{[]int64{1, 1}, int64(1)})
	config.Routes = map[string]Route{"ct": {Modalities: []string{"US"}}} // mr is for all
	w = start(t, config)
	w.want("after", []any{w.jobs("ct", "mr"), w.stats().Unrouted, w.stats().Archived}, []any{[]int64{1, 3}, int64(0), int64(1)})
	w = start(t, config)
	w.want("and stays", w.jobs("ct", "mr"), []int64{1, 3})
}

func finding(o hub.Object, words string) []hub.Finding {
	return []hub.Finding{{ID: o.ID, Flags: hub.FlagHold, Words: words}}
}

// held is what waits, and what the device was told of it.
func (w *world) held(device string) (int64, []string) {
	w.Helper()
	list, err := w.Troubles(w.ctx, device, 0, 99)
	w.must(err)
	var words []string
	for _, t := range list {
		words = append(words, t.Words)
	}
	return w.stats().Held, words
}

// Before the object, with its offer or after it: its jobs wait, and the appliance is told.
func TestAFindingHoldsAnObjectBeforeTheArchive(t *testing.T) {
	for name, tell := range map[string]func(w *world, o hub.Object){
		"before": func(w *world, o hub.Object) {
			w.must(w.Findings(w.ctx, "a", finding(o, "another patient")))
			w.receive(o)
		},
		"after": func(w *world, o hub.Object) {
			w.receive(o)
			w.must(w.Findings(w.ctx, "a", finding(o, "another patient")))
		},
		"twice": func(w *world, o hub.Object) {
			w.must(w.Findings(w.ctx, "a", finding(o, "another patient")))
			w.receive(o)
			w.must(w.Findings(w.ctx, "a", finding(o, "")))
		},
		"offered": func(w *world, o hub.Object) { o.Flags |= hub.FlagHold; w.receive(o) },
		"among others": func(w *world, o hub.Object) {
			o.Flags |= hub.FlagHold
			w.receive(object("a", 7, "x"), object("a", 8, "x"), o, object("a", 9, "x"))
			w.done("vna")
		},
		"leased": func(w *world, o hub.Object) {
			w.receive(o)
			j := w.one("vna")
			w.must(w.Findings(w.ctx, "a", finding(o, "another patient")))
			if err := w.Later(w.ctx, j, 0, true, "busy"); err == nil {
				w.Error("the lease holds on")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, Config{})
			o := object("a", 1, "x")
			tell(w, o)
			n, words := w.held("a")
			w.want("held and told once", []any{n, len(words), len(w.lease("vna", 9))}, []any{int64(1), 1, 0})
			if words[0] != "held: another patient" && words[0] != findingWords {
				t.Errorf("told %q", words[0])
			}
			count, err := w.ReleaseFrom(w.ctx, "a", []hub.ID{o.ID}, "checked")
			w.must(err)
			n, words = w.held("a")
			w.want("released", []any{count, n, len(words)}, []any{1, int64(0), 0})
			w.must(w.Findings(w.ctx, "a", finding(o, "another patient"))) // a repeat, as after a reconnection
			w.receive(o)
			w.done("vna")
			w.want("on its way, for good", w.stats().Held, int64(0))
			if w.stats().Archived == 0 {
				t.Error("not archived")
			}
		})
	}
}

func TestAnAdministratorMayReleaseAFinding(t *testing.T) {
	w := start(t, Config{})
	o := object("a", 1, "x")
	w.receive(o)
	w.must(w.Findings(w.ctx, "a", finding(o, "")))
	w.must(w.Release(w.ctx, o.ID, "admin"))
	w.done("vna")
	w.want("archived", w.stats().Archived, int64(1))
}

// A device decides about what it sent, and only about its own finding: not about P5,
// not about what another one has found, not about what others sent.
func TestADeviceReleasesOnlyItsOwnFindings(t *testing.T) {
	w := start(t, Config{})
	one, two, shared, foreign := object("a", 1, "x"), object("a", 1, "y"), object("a", 2, "x"), object("b", 3, "x")
	w.receive(one)
	two.Flags |= hub.FlagHold
	w.receive(two, shared, foreign)
	other := shared
	other.Device = "b"
	w.receive(other)
	w.must(w.Findings(w.ctx, "a", append(finding(shared, ""), finding(foreign, "")...))) // b's, a never sent it
	w.must(w.Findings(w.ctx, "b", finding(shared, "")))
	w.want("held: P5 and the shared one", w.stats().Held, int64(2))
	n, err := w.ReleaseFrom(w.ctx, "a", []hub.ID{two.ID, shared.ID, foreign.ID}, "all mine")
	w.must(err)
	w.want("nothing is let go", []any{n, w.stats().Held}, []any{0, int64(2)})
	n, err = w.ReleaseFrom(w.ctx, "b", []hub.ID{two.ID, shared.ID}, "checked")
	w.must(err)
	w.want("the shared one, after both", []any{n, w.stats().Held}, []any{1, int64(1)})
	for o, want := range map[*hub.Object]bool{&one: false, &two: true, &shared: false} {
		if got, err := w.HeldByConflict(w.ctx, o.ID); got != want || err != nil {
			t.Errorf("held by P5: %v (%v), want %v", got, err, want)
		}
	}
	w.must(w.Release(w.ctx, two.ID, "admin"))
	w.want("P5 by the administrator", w.stats().Held, int64(0))
}

// What is delivered while the finding comes is a fact; a further destination gets no
// job that could overtake the hold.
func TestAHoldIsNeitherOvertakenNorUndoesAFact(t *testing.T) {
	config := place(t, Config{Destinations: []Destination{{Name: "vna", Required: true}}})
	w := start(t, config)
	o, p := object("a", 1, "x"), object("a", 2, "x")
	w.receive(o, p)
	j := w.lease("vna", 1)[0]
	w.must(w.Findings(w.ctx, "a", append(finding(o, ""), finding(p, "")...)))
	w.must(w.Done(w.ctx, j, ""))
	w.want("the fact", []int64{w.stats().Archived, w.stats().Held}, []int64{1, 1})
	config.Destinations = append(config.Destinations, Destination{Name: "new"})
	w = start(t, config)
	w.want("held for the new one too", []any{len(w.lease("new", 9)), w.stats().Backlog["new"].Held}, []any{0, int64(1)})
}

// P5 and the list of an archive's answer.
func TestAListOfUIDsConfirmsNoConflictingObject(t *testing.T) {
	for name, deliver := range map[string]bool{"hold": false, "deliver": true} {
		t.Run(name, func(t *testing.T) {
			config := place(t, Config{Destinations: []Destination{{Name: "vna", Required: true, Confirm: "stow"}}, Deliver: deliver})
			w := start(t, config)
			o := object("a", 1, "x")
			w.receive(o)
			w.must(w.Unconfirmed(w.ctx, w.one("vna"), ""))
			if deliver {
				w.want("archived", w.stats().Archived, int64(1))
				return
			}
			w = start(t, config)
			w.want("waits over a restart", []int64{w.stats().Archived, w.stats().Backlog["vna"].Unconfirmed}, []int64{0, 1})
			w.must(w.Confirm(w.ctx, o.ID, "admin"))
			w.want("archived", w.stats().Archived, int64(1))
		})
	}
}

package ledger

import (
	"errors"
	"strings"
	"testing"

	"edged/hub"
)

// configured is node with other destinations.
func (w *world) configured(name string, list ...Destination) *world {
	w.Helper()
	was := w.config.Destinations
	w.config.Destinations = list
	defer func() { w.config.Destinations = was }()
	return w.node(name)
}

// trail is what the audit says of one subject, oldest first.
func (w *world) trail(subject string) (out []string) {
	w.Helper()
	rows, err := w.read.QueryContext(w.ctx, `SELECT action || ': ' || detail FROM audit WHERE subject = ? ORDER BY seq`, subject)
	w.must(err)
	out, err = collect[string](rows)
	w.must(err)
	return out
}

// A rolling change of configuration: of two nodes the one that was started last says
// what the destinations are. What the other one would receive had no job for the new
// archive and were archived without it, so it writes nothing, and goes on when the nodes
// agree.
func TestANodeWithOtherDestinationsWritesNothing(t *testing.T) {
	if !overPostgres() {
		t.Skip("with SQLite there is one node")
	}
	vna, second := Destination{Name: "vna", Required: true}, Destination{Name: "second", Required: true}
	w := start(t, Config{Node: "b"})
	w.receive(object("a", 1, "before"))
	job := w.one("vna")
	other := w.configured("a", vna, second)
	w.want("receives", errors.Is(w.Receive(w.ctx, []hub.Object{object("a", 2, "after")}), ErrDestinations), true)
	w.want("settles", errors.Is(w.Done(w.ctx, job, ""), ErrDestinations), true)
	w.want("beats", errors.Is(w.Beat(w.ctx), ErrDestinations), true)
	w.want("is ready", errors.Is(w.Ready(w.ctx), ErrDestinations), true)
	w.want("has ended", w.Err(), nil)
	w.want("the other is ready", other.Ready(w.ctx), nil)

	w.must(w.Leave(w.ctx)) // others deliver what it had leased
	other.want("the new one has jobs", len(other.lease("second", 9)), 1)
	for _, j := range other.lease("vna", 9) {
		other.must(other.Done(w.ctx, j, ""))
	}
	w.want("archived though the new one has nothing", other.stats().Archived, 0)

	w.node("b") // is configured as it was, and started last
	w.want("the other is ready", errors.Is(other.Ready(w.ctx), ErrDestinations), true)
	w.must(w.Ready(w.ctx))
	w.must(w.Beat(w.ctx))
	w.receive(object("a", 3, "agreed"))
}

// The same for what is decided beside destinations: what one node would hold (P5) another
// must not deliver, and what one makes an event of every sink must hear of.
func TestANodeWithOtherRulesWritesNothing(t *testing.T) {
	if !overPostgres() {
		t.Skip("with SQLite there is one node")
	}
	for what, change := range map[string]func(*Config){
		"conflict":          func(c *Config) { c.Deliver = true },
		"another sink":      func(c *Config) { c.Sinks = []string{"index", "region"} },
		"no sink":           func(c *Config) { c.Sinks = nil },
		"when it is told":   func(c *Config) { c.Received = true },
		"sinks in an order": nil,
	} {
		w := start(t, Config{Node: "a", Sinks: []string{"index", "shelf"}})
		w.receive(object("a", 1, "before"))
		was := w.config
		if change != nil {
			change(&w.config)
		} else {
			w.config.Sinks = []string{"shelf", "index"}
		}
		other := w.node("b")
		w.config = was
		want := change != nil
		w.want(what+": receives", errors.Is(w.Receive(w.ctx, []hub.Object{object("a", 2, "after")}), ErrDestinations), want)
		w.want(what+": is ready", errors.Is(w.Ready(w.ctx), ErrDestinations), want)
		other.must(other.Ready(w.ctx))
		rows := other.count(`SELECT count(*) FROM audit WHERE action LIKE 'configuration %'`)
		w.want(what+": rows in the trail", rows > 0, want)
	}
}

// Whoever has changed what becomes of conflicts, or who is told of studies, stands in the
// trail, with what was before; objects are not walked over for sinks.
func TestEachChangeOfRulesIsInTheTrail(t *testing.T) {
	c := place(t, Config{})
	w := start(t, c)
	w.receive(object("a", 1, "x"))
	c.Deliver, c.Sinks = true, []string{"index"}
	w = start(t, c)
	w.want("conflict", w.trail(conflictKey), []string{`configuration added: was none; is {"conflict":"deliver"}`})
	w.want("events", w.trail(eventsKey), []string{`configuration added: was none; is {"events":{"when":"archived","sinks":["index"]}}`})
	c.Sinks, c.Received = nil, true
	w = start(t, c)
	w.want("transactions of a start with other sinks", w.Commits().Count, 1)
	w.want("events then", len(w.trail(eventsKey)), 2)
	c.Deliver, c.Received = false, false
	w = start(t, c)
	w.want("conflict at last", len(w.trail(conflictKey)), 2)
	w.want("destinations", w.count(`SELECT count(*) FROM audit WHERE action LIKE 'destination %'`), 0)
}

// The order of destinations, and of what they are for, in a file means nothing.
func TestTheSameDestinationsInAnotherOrderAreTheSame(t *testing.T) {
	one := Config{Destinations: []Destination{{Name: "a"}, {Name: "b", Required: true}}, Routes: map[string]Route{"a": {Modalities: []string{"CT", "MR"}}}}
	other := Config{Destinations: []Destination{{Name: "b", Required: true}, {Name: "a"}}, Routes: map[string]Route{"a": {Modalities: []string{"MR", "CT"}}}}
	if one.settingsText() != other.settingsText() {
		t.Errorf("%s\n%s", one.settingsText(), other.settingsText())
	}
	other.Routes["a"] = Route{Modalities: []string{"MR"}}
	if one.settingsText() == other.settingsText() {
		t.Error("another route is the same")
	}
}

// Who has made an archive that must have everything one that need not has changed what
// archived means: the trail says when, and what was before.
func TestEachChangeOfDestinationsIsInTheTrail(t *testing.T) {
	c := place(t, Config{Destinations: []Destination{{Name: "vna", Required: true, Confirm: "commitment"}, {Name: "old"}}})
	w := start(t, c)
	w.want("rows about the first start", len(w.trail("vna")), 0)
	w.receive(object("a", 1, "x"))
	w.must(w.Stored(w.ctx, w.one("vna"), ""))
	c.Destinations = []Destination{{Name: "vna", Confirm: "success"}, {Name: "new"}}
	c.Routes = map[string]Route{"new": {Modalities: []string{"CT"}}}
	again := start(t, c)
	want := func(subject string, rows ...string) {
		t.Helper()
		got := again.trail(subject)
		if len(got) != len(rows) {
			t.Fatalf("%s: %q", subject, got)
		}
		for i, words := range rows {
			for _, one := range strings.Split(words, "|") {
				if !strings.Contains(got[i], one) {
					t.Errorf("%s: %q says nothing of %q", subject, got[i], one)
				}
			}
		}
	}
	want("vna", `destination changed|"required":true|"required":false|commitment|success`, `confirm by success|1 jobs|count as done`)
	want("old", `destination removed`)
	want("new", `destination added|CT`)
	w.want("done", again.count(`SELECT count(*) FROM jobs WHERE destination = 'vna' AND state = 'done'`), 1)
	start(t, c)
	w.want("rows of a start with the same", len(again.trail("new")), 1)
}

// A command beside the hub decides by the same destinations as the hub, or not at all.
func TestAConfirmationBesideTheHubAsksForItsDestinations(t *testing.T) {
	w := start(t, Config{Destinations: []Destination{{Name: "vna", Required: true, Confirm: "commitment"}}})
	w.receive(object("a", 1, "x"), object("a", 1, "y"))
	c := w.config
	c.Destinations = []Destination{{Name: "vna", Confirm: "commitment"}}
	l, err := Open(w.ctx, c)
	w.must(err)
	defer l.Close()
	if err := l.Confirm(w.ctx, object("a", 1, "x").ID, "cli"); !errors.Is(err, errOtherDestinations) {
		t.Error(err)
	}
}

// BenchmarkNothing is what each transaction pays beside its commit; it looks whether the
// nodes agree, and whether a newer program was here.
func BenchmarkNothing(b *testing.B) {
	l, err := Open(b.Context(), place(b, Config{}))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	for b.Loop() {
		if err := l.Pulse(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

package ledger

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ErrDestinations means that another node was started later, with another configuration
// of the destinations, of conflict or of events. What this one received it would give no
// jobs that the other wants, and would call archived too early, or let go what the other
// holds; an event that it made a sink of the other would never hear of. So it writes nothing.
var ErrDestinations = errors.New("another node was started with other destinations, with other routes, required or confirm of one, with another conflict, " +
	"or with other events (when, or names of sinks): this one writes nothing any more; restart this node with the configuration of the others")

// errOtherDestinations is for what is done beside a hub.
var errOtherDestinations = errors.New("the configuration here has other destinations, routes, required or confirm, another conflict or other events than the hub was started with: restart hubd run first")

// settings is what is configured of one destination.
type settings struct {
	Name       string   `json:"name"`
	Required   bool     `json:"required"`
	Confirm    string   `json:"confirm,omitempty"`
	Facilities []string `json:"facilities,omitempty"`
	Modalities []string `json:"modalities,omitempty"`
	AETitles   []string `json:"ae_titles,omitempty"`
}

// Names of what is configured beside destinations, as in the configuration. No destination
// has a colon.
const (
	conflictKey = "conflict:"
	eventsKey   = "events:"
)

// shared is what else all nodes must agree in; left out as long as it is as without any.
type shared struct {
	Conflict string       `json:"conflict,omitempty"`
	Events   *eventsShare `json:"events,omitempty"`
}

type eventsShare struct {
	When  string   `json:"when"`
	Sinks []string `json:"sinks,omitempty"`
}

// name is that in settings, "" of none.
func (s *shared) name() string {
	switch {
	case s.Conflict != "":
		return conflictKey
	case s.Events != nil:
		return eventsKey
	}
	return ""
}

// shares are those of this configuration.
func (c *Config) shares() (out []shared) {
	if c.Deliver {
		out = append(out, shared{Conflict: "deliver"})
	}
	if len(c.Sinks) > 0 || c.Received {
		e := &eventsShare{"archived", inOrder(c.Sinks)}
		if c.Received {
			e.When = "received"
		}
		out = append(out, shared{Events: e})
	}
	return out
}

// settings are those of each destination as a text, by name, and what else nodes must
// agree in. The order in a file means nothing.
func (c *Config) settings() map[string]string {
	out := map[string]string{}
	for _, d := range c.Destinations {
		r := c.Routes[d.Name]
		text, err := json.Marshal(settings{d.Name, d.Required, d.Confirm, inOrder(r.Facilities), inOrder(r.Modalities), inOrder(r.AETitles)})
		if err != nil {
			panic(err) // of texts and a bool
		}
		out[d.Name] = string(text)
	}
	for _, s := range c.shares() {
		text, err := json.Marshal(s)
		if err != nil {
			panic(err) // of texts
		}
		out[s.name()] = string(text)
	}
	return out
}

func inOrder(list []string) []string { return slices.Sorted(slices.Values(list)) }

// noDestinations is what stands in meta where there is none, so that it is not empty.
const noDestinations = "none"

// settingsText is what stands in meta: a line for each.
func (c *Config) settingsText() string {
	all := c.settings()
	if len(all) == 0 {
		return noDestinations
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		lines = append(lines, all[name])
	}
	return strings.Join(lines, "\n")
}

// settingsOf is the inverse, of what a program before this one has written nil.
func settingsOf(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		var s struct {
			settings
			shared
		}
		if line == noDestinations {
			continue
		}
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			return nil
		}
		out[cmp.Or(s.shared.name(), s.Name)] = line
	}
	return out
}

// outvoted says that another node was started since this one with other destinations;
// said is what stands in meta. Who has not started is beside the nodes, and decides
// nothing about destinations.
func (l *Ledger) outvoted(said string) error {
	if mine := l.agreed.Load(); mine != nil && *mine != said {
		return ErrDestinations
	}
	return nil
}

// saidDestinations reads them.
const saidDestinations = `coalesce((SELECT value FROM meta WHERE key = 'destinations'), '')`

// agrees is asked before something beside a hub decides by destinations.
func (b *batch) agrees() error {
	if b.agreed.Load() != nil {
		return nil // see outvoted
	}
	var said string
	if err := b.row(`SELECT ` + saidDestinations + ` AS said`).Scan(&said); err != nil {
		return err
	}
	if said != "" && said != b.config.settingsText() {
		return errOtherDestinations
	}
	return nil
}

// destinationsChanged notes what is configured now, and has the walk begin that brings
// objects and jobs to it, when that is not what the rows were brought to last. Nobody has
// received an object with others since: who had them writes no more (outvoted).
func (b *batch) destinationsChanged() error {
	var was string
	if err := b.row(`SELECT ` + saidDestinations + ` AS said`).Scan(&was); err != nil {
		return err
	}
	now := b.config.settingsText()
	if was == now {
		return nil
	}
	if err := b.note("destinations", now); err != nil {
		return err
	}
	if err := b.auditSettings(was); err != nil {
		return err
	}
	if old := settingsOf(was); was != "" && old != nil && sameBut(eventsKey, old, b.config.settings()) {
		return nil // a walk that is under way goes on
	}
	return b.beginWalk()
}

// sameBut reports whether two are the same but for one name.
func sameBut(name string, a, b map[string]string) bool {
	a, b = maps.Clone(a), maps.Clone(b)
	delete(a, name)
	delete(b, name)
	return maps.Equal(a, b)
}

// note writes a row of meta.
func (b *batch) note(key, value string) error {
	_, err := b.exec(`INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2`, key, value)
	return err
}

// auditSettings has a row for each destination that came, went or changed. What a ledger
// begins with is no change.
func (b *batch) auditSettings(was string) error {
	old, now := settingsOf(was), b.config.settings()
	if was == "" {
		return nil
	}
	if old == nil {
		return b.audit(b.me(), "destinations", "all", "was "+was+"; is "+b.config.settingsText())
	}
	names := map[string]bool{}
	for name := range old {
		names[name] = true
	}
	for name := range now {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if old[name] == now[name] {
			continue
		}
		what := "destination "
		if name == conflictKey || name == eventsKey {
			what = "configuration "
		}
		if err := b.audit(b.me(), what+changeOf(old[name], now[name]), name, fmt.Sprintf("was %s; is %s", orNone(old[name]), orNone(now[name]))); err != nil {
			return err
		}
	}
	return nil
}

// changeOf is for the trail's column of actions.
func changeOf(was, is string) string {
	switch {
	case was == "":
		return "added"
	case is == "":
		return "removed"
	}
	return "changed"
}

func orNone(text string) string {
	if text == "" {
		return noDestinations
	}
	return text
}

// me is this process in the trail.
func (b *batch) me() string { return Who("hubd", b.config.Node) }

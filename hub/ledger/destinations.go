package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ErrDestinations means that another node was started later, with another configuration
// of the destinations. What this one received it would give no jobs that the other wants,
// and would call archived too early, so it writes nothing.
var ErrDestinations = errors.New("another node was started with other destinations, or with other routes, required or confirm of one: " +
	"this one writes nothing any more; restart this node with the configuration of the others")

// errOtherDestinations is for what is done beside a hub.
var errOtherDestinations = errors.New("the configuration here has other destinations, routes, required or confirm than the hub was started with: restart hubd run first")

// settings is what is configured of one destination.
type settings struct {
	Name       string   `json:"name"`
	Required   bool     `json:"required"`
	Confirm    string   `json:"confirm,omitempty"`
	Facilities []string `json:"facilities,omitempty"`
	Modalities []string `json:"modalities,omitempty"`
	AETitles   []string `json:"ae_titles,omitempty"`
}

// settings are those of each destination as a text, by name. The order in a file means
// nothing.
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
		var s settings
		if line == noDestinations {
			continue
		}
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			return nil
		}
		out[s.Name] = line
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

// destinationsChanged brings objects and jobs to the destinations of the configuration,
// when those are not what the rows were brought to last. Nobody has received an object
// with others since: who had them writes no more (outvoted).
func (b *batch) destinationsChanged() error {
	var was string
	if err := b.row(`SELECT ` + saidDestinations + ` AS said`).Scan(&was); err != nil {
		return err
	}
	now := b.config.settingsText()
	if was == now {
		return nil
	}
	if _, err := b.exec(`INSERT INTO meta VALUES ('destinations', ?1) ON CONFLICT (key) DO UPDATE SET value = ?1`, now); err != nil {
		return err
	}
	if err := b.auditSettings(was); err != nil {
		return err
	}
	for _, d := range b.config.Destinations {
		if err := b.reroute(d); err != nil {
			return err
		}
	}
	if err := b.countUnrouted(); err != nil {
		return err
	}
	return b.archiveWaiting()
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
		if err := b.audit(b.me(), "destination "+changeOf(old[name], now[name]), name, fmt.Sprintf("was %s; is %s", orNone(old[name]), orNone(now[name]))); err != nil {
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

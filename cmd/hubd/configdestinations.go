package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"regexp"
	"strings"

	"edged/hub/forward"
	"edged/hub/ledger"
	"edged/internal/config"
)

// Destination is one archive.
type Destination struct {
	Name         string `yaml:"name"`
	Type         string `yaml:"type" allowed:"dir|cstore|stow"`
	Confirm      string `yaml:"confirm" allowed:"commitment|stow|dir|success"`
	Required     bool   `yaml:"required"`
	Path         string `yaml:"path"`
	Create       bool   `yaml:"create"`
	Address      string `yaml:"address"`
	AETitle      string `yaml:"ae_title"`
	Calling      string `yaml:"calling"`
	Associations int    `yaml:"associations"`
	For          Route  `yaml:"for"`
	URL          string `yaml:"url"`
	// RequestObjects and RequestBytes bound one request of a stow; a larger object goes alone.
	RequestObjects int             `yaml:"request_objects"`
	RequestBytes   config.ByteSize `yaml:"request_bytes"`
	Auth           Auth            `yaml:"auth"`
	TLS            TLS             `yaml:"tls"`
}

// TLS is how a cstore destination is spoken to, in PEM files; without a CA in the clear.
type TLS struct {
	CA   string `yaml:"ca"`
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// SetDefaults is where each element of destinations starts.
func (d *Destination) SetDefaults() {
	*d = Destination{Required: true, Calling: "HUBD", Associations: 2, RequestObjects: forward.MaxStowObjects, RequestBytes: defaultRequestBytes}
}

const (
	defaultRequestBytes = 64 << 20
	leastRequestBytes   = 1 << 20
	mostRequestBytes    = 4 << 30
)

// Route says which objects a destination is for: those that match one of the
// values of each list that is not empty. Without any list, all.
type Route struct {
	Facilities []string `yaml:"facilities"`
	Modalities []string `yaml:"modalities"`
	AETitles   []string `yaml:"ae_titles"`
}

var destinationName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

func (d *Destination) check(key string) (bad config.Errors) {
	add := func(sub, format string, args ...any) { bad = append(bad, config.Bad(key+sub, format, args...)) }
	if !destinationName.MatchString(d.Name) {
		add(".name", "%q: want 1 to 32 small letters, digits, - and _; never change it, jobs are kept by this name", d.Name)
	}
	switch d.Type {
	case "dir":
		d.checkDir(add)
	case "cstore":
		d.checkCStore(add)
	case "stow":
		d.checkStow(add)
	default:
		add(".type", "is missing: want dir, cstore or stow")
	}
	if d.Type != "stow" && (d.URL != "" || !d.Auth.none()) {
		add(".url", "url and auth are for a stow: leave them out")
	}
	if d.Type != "stow" && (d.RequestObjects != forward.MaxStowObjects || d.RequestBytes != defaultRequestBytes) {
		add(".request_objects", "request_objects and request_bytes are for a stow: leave them out")
	}
	if d.Type != "cstore" && d.TLS != (TLS{}) {
		add(".tls", "is for a cstore: leave it out; a stow has it by its https, and auth.ca")
	}
	d.For.check(add)
	return bad
}

// modality is PS3.5 §6.2, VR CS.
var modality = regexp.MustCompile(`^[A-Z0-9_ ]{1,16}$`)

func (r Route) check(add func(sub, format string, args ...any)) {
	for _, f := range r.Facilities {
		if !facilityCode.MatchString(f) {
			add(".for.facilities", "%q is no facility code: want 1 to 64 letters, digits, dots, - and _", f)
		}
	}
	for _, m := range r.Modalities {
		if !modality.MatchString(m) {
			add(".for.modalities", "%q is no modality: want capital letters, as CT", m)
		}
	}
	for _, t := range r.AETitles {
		if !validTitle(t) || t != strings.TrimSpace(t) {
			add(".for.ae_titles", "%q is no AE title: want 1 to 16 printable characters without backslash, and no space around", t)
		}
	}
}

// everything reports whether it is for each object.
func (r Route) everything() bool { return len(r.Facilities)+len(r.Modalities)+len(r.AETitles) == 0 }

// routes is what the ledger decides by; nil when all is for all.
func (c *Config) routes() map[string]ledger.Route {
	var out map[string]ledger.Route
	for _, d := range c.Destinations {
		if d.For.everything() {
			continue
		}
		if out == nil {
			out = map[string]ledger.Route{}
		}
		out[d.Name] = ledger.Route(d.For)
	}
	return out
}

// destinationWarnings are about what goes where.
func (c *Config) destinationWarnings() (out []string) {
	required, all := false, false
	for _, d := range c.Destinations {
		required, all = required || d.Required, all || d.Required && d.For.everything()
		if d.Type == "stow" && !safe(d.URL) {
			out = append(out, "destination "+d.Name+" has an url with http: images of patients go over the network unencrypted")
		}
		if host, _, err := net.SplitHostPort(d.Address); d.Type == "cstore" && d.TLS.CA == "" && err == nil && !loopback(host) {
			out = append(out, "destination "+d.Name+" is a cstore without tls: images of patients go over the network unencrypted. Set tls where the archive offers it, else see that nobody listens between")
		}
	}
	out = append(out, c.sharedWarnings()...)
	if required && !all {
		out = append(out, "each required destination is for some objects only (for): what none of them is for is never archived, appliances keep it, and the hub counts it as unrouted")
	}
	return out
}

// sharedWarnings are about files of several nodes.
func (c *Config) sharedWarnings() (out []string) {
	if !c.several() {
		return nil
	}
	for _, d := range c.Destinations {
		if d.Type == "dir" {
			out = append(out, "destination "+d.Name+" is a dir, and database is for several nodes: each delivers what it leases to its own "+d.Path+"; mount the same file system there on every node")
		}
	}
	for _, s := range c.Events.Sinks {
		if s.Type == "file" {
			out = append(out, "events sink "+s.Name+" is a file, and database is for several nodes: each tells some of the studies to its own "+s.Path+"; mount the same file system there on every node, or use http")
		}
	}
	return out
}

// secure is nil without TLS. Files are read once, so that a hub with a wrong one does not start.
func (d Destination) secure() (*tls.Config, error) {
	if d.TLS.CA == "" {
		return nil, nil
	}
	c, err := Auth{CA: d.TLS.CA, Cert: d.TLS.Cert, Key: d.TLS.Key}.tls()
	if err != nil {
		return nil, fmt.Errorf("destination %s: tls: %w", d.Name, err)
	}
	return c, nil
}

// cstore is what hub/forward gets.
func (d Destination) cstore() (forward.CStoreConfig, error) {
	secure, err := d.secure()
	return forward.CStoreConfig{Name: d.Name, Address: d.Address, Called: d.AETitle, Calling: d.Calling, Associations: d.Associations,
		Commitment: d.Confirm == "commitment", TLS: secure}, err
}

func (d *Destination) checkDir(add func(sub, format string, args ...any)) {
	if d.Path == "" {
		add(".path", "is missing: name the directory that is the archive")
	}
	if d.Confirm == "" {
		d.Confirm = "dir"
	}
	if d.Confirm != "dir" {
		add(".confirm", "a dir confirms by itself: leave it out or write dir")
	}
}

func (d *Destination) checkCStore(add func(sub, format string, args ...any)) {
	if d.Create {
		add(".create", "is for a dir: leave it out")
	}
	if _, port, err := net.SplitHostPort(d.Address); err != nil || port == "" {
		add(".address", "%q is not HOST:PORT, as vna.example.org:11112", d.Address)
	}
	for sub, title := range map[string]string{".ae_title": d.AETitle, ".calling": d.Calling} {
		if !validTitle(title) {
			add(sub, "%q is no AE title: want 1 to 16 printable characters without backslash", title)
		}
	}
	if d.Associations < 1 || d.Associations > 64 {
		add(".associations", "%d: want 1 to 64", d.Associations)
	}
	switch t := d.TLS; {
	case t != (TLS{}) && t.CA == "":
		add(".tls.ca", "is missing: name the file with the certificate of who signed the archive's")
	case (t.Cert == "") != (t.Key == ""):
		add(".tls", "a client certificate wants cert and key")
	}
	switch d.Confirm {
	case "commitment", "success":
	default:
		add(".confirm", "write commitment if the archive offers storage commitment, or success if its C-STORE Success means that it has the object safely; neither is assumed")
	}
}

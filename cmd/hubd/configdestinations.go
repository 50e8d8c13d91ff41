package main

import (
	"net"
	"regexp"

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
	Auth         Auth   `yaml:"auth"`
}

// SetDefaults is where each element of destinations starts.
func (d *Destination) SetDefaults() {
	*d = Destination{Required: true, Calling: "HUBD", Associations: 2}
}

// Route says which objects a destination is for: those that match one of the
// values of each list that is not empty. Without any list, all.
type Route struct {
	Facilities []string `yaml:"facilities"`
	Modalities []string `yaml:"modalities"`
	AETitles   []string `yaml:"ae_titles"`
}

// Auth is who the hub is for a stow destination: by password, by OAuth2 client
// credentials (RFC 6749 §4.4), or by a client certificate. Secrets are in files.
type Auth struct {
	User         string   `yaml:"user"`
	PasswordFile string   `yaml:"password_file"`
	TokenURL     string   `yaml:"token_url"`
	ClientID     string   `yaml:"client_id"`
	SecretFile   string   `yaml:"secret_file"`
	Scopes       []string `yaml:"scopes"`
	Cert         string   `yaml:"cert"`
	Key          string   `yaml:"key"`
	CA           string   `yaml:"ca"`
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
		add(".type", "stow (DICOMweb) is not available in this version: use dir or cstore")
	default:
		add(".type", "is missing: want dir or cstore")
	}
	return bad
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
	switch d.Confirm {
	case "commitment", "success":
	default:
		add(".confirm", "write commitment if the archive offers storage commitment, or success if its C-STORE Success means that it has the object safely; neither is assumed")
	}
}
